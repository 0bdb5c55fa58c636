"""The images and videos in a stock processor's output: their pictures and placeholders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.models.pixels import Normalization
from dyto.video import Frames

PIXELS = ("pixel_values", "pixel_values_videos")
"""Arguments that hold pixels; a call without them has nothing to compress."""

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Visual:
    """One image or one video of a call.

    Attributes:
        pictures: (T, H, W, 3) uint8; T is 1 for an image.
        tokens: Number of its placeholders in the input ids.
        end: Number of placeholders at the end of a video that belong to no frame.
        seconds: (T,) times, if the processor gives them.
        patches: (P, C) patches of each frame for the tower, in families that use this shape.
        tiled: Whether the model itself reads more than this one picture: the tiles of a large image.
        video: Whether it is a video, not an image.
        mark: Id of its placeholders, if a prompt may have both images and videos.
        unseen: Whether the pictures cannot be had back from the pixels: in `pictures` a pixel stands for a token, and
            `patches` are the tokens (N, D) of each frame.
        row_end: Id of the text that may stand between the rows of a picture; None for none.
    """

    pictures: npt.NDArray[np.uint8]
    tokens: int
    end: int = 0
    seconds: npt.NDArray[np.float64] | None = None
    patches: tuple[Tensor, ...] = ()
    tiled: bool = False
    video: bool = False
    mark: int | None = None
    unseen: bool = False
    row_end: int | None = None


@dataclass(frozen=True)
class PromptVideo:
    """One video of a prompt: a video, or images without words between them.

    Attributes:
        frames: Pictures of the video.
        spans: For each frame the range of its placeholders in the ids of the sample.
        patches: For each frame its patches, as in `Visual`.
        caption: Number of ids before the first frame that are its caption and marks; 0 without captions.
        after: Number of ids after each frame that can be its marks, and are not the next caption.
        row_end: As in `Visual`.
    """

    frames: Frames
    spans: list[Span]
    patches: tuple[Tensor, ...] = ()
    caption: int = 0
    after: int = 0
    row_end: int | None = None


@dataclass(frozen=True)
class PromptSample:
    """One row of a batch.

    Attributes:
        ids: (L,) input ids without padding.
        clips: Videos of the row, in order; none for a row that is text only.
    """

    ids: Tensor
    clips: list[PromptVideo] = field(default_factory=list)


def has_pixels(call: Mapping[str, Any]) -> bool:
    """Return whether a call has images or videos."""
    return any(call.get(name) is not None for name in PIXELS)


def pictures_of(pixels: Tensor, normalization: Normalization) -> npt.NDArray[np.uint8]:
    """Undo an image processor's normalisation of pixel values.

    Args:
        pixels: (T, 3, H, W) normalised pixels.
        normalization: Mean and standard deviation.

    Returns:
        (T, H, W, 3) uint8; exact for pixels that were uint8 before.

    Raises:
        ConfigError: No picture has these values under this normalisation.
    """
    mean = torch.tensor(normalization.mean, device=pixels.device)[:, None, None]
    std = torch.tensor(normalization.std, device=pixels.device)[:, None, None]
    values = (pixels.detach().float() * std + mean) * 255  # (T, 3, H, W)
    low, high = (float(end) for end in values.aminmax())
    if not -2 <= low <= high <= 257:
        raise ConfigError(
            f"the pixels reach from {low:.0f} to {high:.0f} with mean {normalization.mean} and deviation "
            f"{normalization.std}, expected 0 to 255: pass the processor that made them as processor="
        )
    return values.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
