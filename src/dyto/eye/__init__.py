"""A small eye trained on photographs, which encodes frames without a download at run time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dyto.eye.base import Eye as Eye
    from dyto.eye.weights import load_eye as load_eye

__all__ = ["Eye", "load_eye"]

_HOME = {"Eye": "base", "load_eye": "weights"}


def __getattr__(name: str) -> Any:
    """Import a name on first use, because both need torch."""
    if name in _HOME:
        return getattr(import_module(f"dyto.eye.{_HOME[name]}"), name)
    raise AttributeError(f"module 'dyto.eye' has no attribute {name!r}")
