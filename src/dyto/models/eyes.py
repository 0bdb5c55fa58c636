"""Frames chosen by an eye instead of the model's own tower, which may be too weak for real pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dyto.eye import Eye, PixelEye, can_see, load_eye
from dyto.eye.names import HUB, check_eye
from dyto.features import FrameFeatures
from dyto.models.base import VideoModel
from dyto.models.pixels import Pictures, as_pictures

if TYPE_CHECKING:
    from dyto.video import Frames

EYES: dict[str, Callable[[], Eye]] = {"nouns": load_eye, "pixels": PixelEye}
"""Eyes that need no download by name."""


def find_eye(name: str) -> Eye:
    """Load an eye by its name.

    Args:
        name: A key of `EYES` or `HUB`, or a folder or hub name of a CLIP, SigLIP or DINO.

    Raises:
        ConfigError: No eye has that name.
        ModelError: The checkpoint cannot be loaded.
        MissingExtraError: A package that it needs is not installed.
    """
    check_eye(name)
    if name in EYES:
        return EYES[name]()
    folder = Path(name).expanduser()
    from dyto.models.tower_eye import TowerEye

    return TowerEye(HUB.get(name) or (str(folder) if folder.is_dir() else name), name)


def usual_eye() -> Eye:
    """Return the best eye that needs no download: `nouns` if the extra `see` is installed, otherwise `pixels`."""
    return load_eye() if can_see() else PixelEye()


def seen_by(model: VideoModel, eye: Eye) -> VideoModel:
    """Wrap a model so that an eye chooses its frames; the model still reads its own patches.

    Args:
        model: Any model.
        eye: Any eye.

    Returns:
        A copy that shares all weights. The `summary` of its `FrameFeatures` is the eye's.

    Example:
        >>> import dyto
        >>> model = seen_by(dyto.load_model("tiny"), find_eye("nouns"))
        >>> answer = dyto.VideoQA(model).ask("clip.mp4", "What is shown?")  # doctest: +SKIP
    """

    def encode(images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        features = model.encode(images, attention_layer=attention_layer)
        summary = eye.summaries(as_pictures(images)[0]).to(features.summary)
        return replace(features, summary=summary, summary_source=f"eye {eye.name}", patch_dim=features.dim)

    seen = model.seeing_by(encode)
    seen.eye = eye
    return seen
