"""Model families on stock transformers, with one adapter each, chosen by the `model_type` of a checkpoint."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dyto.models.base import Prefix, VideoModel
    from dyto.models.catalog import CATALOG
    from dyto.models.families import FAMILIES, Chat, Family, ModelEntry
    from dyto.models.loading.load import load_model
    from dyto.models.pixels import Normalization
    from dyto.models.towers import FrameTower

_HOMES = {
    "base": ("Prefix", "VideoModel"),
    "catalog": ("CATALOG",),
    "families": ("FAMILIES", "Chat", "Family", "ModelEntry"),
    "loading.load": ("load_model",),
    "pixels": ("Normalization",),
    "towers": ("FrameTower",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CATALOG",
    "FAMILIES",
    "Chat",
    "Family",
    "FrameTower",
    "ModelEntry",
    "Normalization",
    "Prefix",
    "VideoModel",
    "load_model",
]


def __getattr__(name: str) -> Any:
    """Import a name on first use, so that listing models needs no torch."""
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
