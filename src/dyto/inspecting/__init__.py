"""Views of what a strategy does to a video: one page for a browser, and pictures for a paper."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dyto.inspecting.drawing import save_pictures
    from dyto.inspecting.hierarchy import Levels
    from dyto.inspecting.look import Inspection, View, inspect_video
    from dyto.inspecting.page import check_page, render, save_page

__all__ = ["Inspection", "Levels", "View", "check_page", "inspect_video", "render", "save_page", "save_pictures"]

_HOME = {
    "Inspection": "look",
    "Levels": "hierarchy",
    "View": "look",
    "inspect_video": "look",
    "check_page": "page",
    "render": "page",
    "save_page": "page",
    "save_pictures": "drawing",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, because the command line needs none of them for its help."""
    if name in _HOME:
        return getattr(import_module(f"dyto.inspecting.{_HOME[name]}"), name)
    raise AttributeError(f"module 'dyto.inspecting' has no attribute {name!r}")
