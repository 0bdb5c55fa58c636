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
    """

    pictures: npt.NDArray[np.uint8]
    tokens: int
    end: int = 0
    seconds: npt.NDArray[np.float64] | None = None
    patches: tuple[Tensor, ...] = ()
    tiled: bool = False


@dataclass(frozen=True)
class Sample:
    """One row of a batch.

    Attributes:
        ids: (L,) input ids without padding.
        frames: Its pictures as the frames of one video; None for a row of text alone.
        spans: For each frame, from where to where its placeholders stand in `ids`.
        patches: For each frame its patches, as in `Visual`.
    """

    ids: Tensor
    frames: Frames | None = None
    spans: list[Span] = field(default_factory=list)
    patches: tuple[Tensor, ...] = ()


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


def read_samples(
    call: Mapping[str, Any], visuals: list[Visual], placeholders: frozenset[int], mask: Tensor
) -> list[Sample]:
    """Say for every row of a batch which pictures it holds, and where.

    Args:
        call: With `input_ids`, (B, L).
        visuals: All images and videos of the batch, in the order of their placeholders.
        placeholders: Ids of the tokens that stand for images or videos.
        mask: (B, L) attention mask.

    Raises:
        ConfigError: Placeholders and pictures do not match, or a row is no single video.
    """
    waiting = list(visuals)
    samples = []
    for number, (row, attended) in enumerate(zip(call["input_ids"], mask, strict=True)):
        ids = row[attended.bool()]  # (L,)
        marks = torch.isin(ids, torch.tensor(sorted(placeholders), device=ids.device))
        places = marks.nonzero().flatten().tolist()
        mine: list[tuple[Visual, list[int]]] = []
        while places and waiting and waiting[0].tokens <= len(places):
            visual = waiting.pop(0)
            mine.append((visual, places[: visual.tokens]))
            places = places[visual.tokens :]
        if places:
            raise ConfigError(
                f"sample {number} has {int(marks.sum())} placeholders, but its images stand for "
                f"{sum(v.tokens for v, _ in mine)}: pass what one call of the processor made, unchanged"
            )
        samples.append(_sample(number, ids, mine))
    if waiting:
        raise ConfigError(f"{len(waiting)} images or videos have no placeholder in input_ids: pass them unchanged")
    return samples


def _sample(number: int, ids: Tensor, visuals: list[tuple[Visual, list[int]]]) -> Sample:
    if not visuals:
        return Sample(ids)
    if len(visuals) == 1 and visuals[0][0].tiled:
        raise ConfigError(
            f"sample {number} is a single image in tiles, expected the frames of a video as several images, or a "
            "video: ask about single images outside the block"
        )
    if len(visuals) > 1 and any(len(visual.pictures) > 1 for visual, _ in visuals):
        raise ConfigError(
            f"sample {number} has {len(visuals)} videos or images beside one, expected one video a sample: "
            "put each video into a row of its own"
        )
    sizes = {visual.pictures.shape[1:3] for visual, _ in visuals}
    if len(sizes) > 1:
        raise ConfigError(f"sample {number} has images of sizes {sorted(sizes)}, expected frames of one size")
    pictures = np.concatenate([visual.pictures for visual, _ in visuals])  # (T, H, W, 3)
    spans = [span for visual, places in visuals for span in _spans(places, visual)]
    index = np.arange(len(pictures))
    told = visuals[0][0].seconds
    seconds = index.astype(np.float64) if told is None else told
    frames = Frames(pictures, index, seconds, source_size=pictures.shape[1:3])
    return Sample(ids, frames, spans, tuple(patch for visual, _ in visuals for patch in visual.patches))


def _spans(places: list[int], visual: Visual) -> list[Span]:
    """Share the placeholders of one image or video out among its frames."""
    frames = len(visual.pictures)
    each, rest = divmod(len(places) - visual.end, frames)
    if rest:
        raise ConfigError(f"a video of {frames} frames has {len(places)} placeholders: pass it unchanged")
    return [(places[i * each], places[(i + 1) * each - 1] + 1) for i in range(frames)]
