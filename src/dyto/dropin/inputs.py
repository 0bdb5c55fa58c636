"""What a stock processor made of images and videos, read back: pictures, and where their placeholders stand."""

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
"""Arguments that hold pixels; a call without any of them has nothing to compress."""

Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Visual:
    """One image or one video of a call.

    Attributes:
        pictures: (T, H, W, 3) uint8; T is 1 for an image.
        tokens: Placeholders that stand for it in the input ids.
        end: How many of them close a video and are of no frame.
        seconds: (T,) times, where the processor tells them.
        patches: For each frame the (P, C) patches that the tower takes, for a family that has them in this shape.
        tiled: Whether the model itself reads more than this one picture of it: the tiles of a large image.
        video: Whether it is a video, and no image.
        mark: Id of its placeholders, where images and videos may both be there.
    """

    pictures: npt.NDArray[np.uint8]
    tokens: int
    end: int = 0
    seconds: npt.NDArray[np.float64] | None = None
    patches: tuple[Tensor, ...] = ()
    tiled: bool = False
    video: bool = False
    mark: int | None = None


@dataclass(frozen=True)
class PromptVideo:
    """One video of a prompt: a video, or images between which no words stand.

    Attributes:
        frames: Its pictures.
        spans: For each frame, from where to where its placeholders stand in the ids of the sample.
        patches: For each frame its patches, as in `Visual`.
        caption: How many ids before the first frame are its caption and marks; 0 where frames have no captions.
        after: How many ids behind each frame can be its marks, and are not the caption of the next.
    """

    frames: Frames
    spans: list[Span]
    patches: tuple[Tensor, ...] = ()
    caption: int = 0
    after: int = 0


@dataclass(frozen=True)
class PromptSample:
    """One row of a batch.

    Attributes:
        ids: (L,) input ids without padding.
        clips: Its videos in their order; none for a row of text alone.
    """

    ids: Tensor
    clips: list[PromptVideo] = field(default_factory=list)


def has_pixels(call: Mapping[str, Any]) -> bool:
    """Whether a call brings images or videos along."""
    return any(call.get(name) is not None for name in PIXELS)


def pictures_of(pixels: Tensor, normalization: Normalization) -> npt.NDArray[np.uint8]:
    """Undo what an image processor did to the values of pixels.

    Args:
        pixels: (T, 3, H, W) normalised.
        normalization: Their mean and standard deviation.

    Returns:
        (T, H, W, 3) uint8; exact for pixels that were uint8 before.

    Raises:
        ConfigError: Values that no picture has under this normalisation.
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
