"""Eyes that encode frames without a download at run time: a small network trained on photographs, and plain pixels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dyto.eye.package import can_see as can_see

if TYPE_CHECKING:
    from dyto.eye.base import Eye as Eye
    from dyto.eye.pixels import PixelEye as PixelEye
    from dyto.eye.weights import load_eye as load_eye

__all__ = ["Eye", "PixelEye", "can_see", "load_eye"]

_HOME = {"Eye": "base", "PixelEye": "pixels", "load_eye": "weights"}


def __getattr__(name: str) -> Any:
    """Import a name on first use, because all of these need torch."""
    if name in _HOME:
        return getattr(import_module(f"dyto.eye.{_HOME[name]}"), name)
    raise AttributeError(f"module 'dyto.eye' has no attribute {name!r}")
