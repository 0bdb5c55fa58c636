"""Frames chosen by an eye instead of the model's own tower, which may be too weak for real pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dyto.errors import unknown
from dyto.eye import Eye, load_eye
from dyto.features import FrameFeatures
from dyto.models.base import VideoModel
from dyto.models.pixels import Pictures, as_pictures

if TYPE_CHECKING:
    from dyto.video import Frames

EYES = {"nouns": load_eye}
"""Eyes by name."""


def find_eye(name: str) -> Eye:
    """Load an eye by its name.

    Raises:
        ConfigError: No eye has that name.
        MissingExtraError: A package that it needs is not installed.
    """
    if name not in EYES:
        raise unknown("eye", name, EYES)
    return EYES[name]()


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

    return model.seeing_by(encode)
