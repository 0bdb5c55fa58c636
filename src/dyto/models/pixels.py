"""Preparation of pictures for a tower: resizing, normalising, moving to the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from dyto.errors import VideoError
from dyto.finch import FloatArray, IntArray
from dyto.video import ArrivingFrames, Frames

Pictures = Sequence[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation per channel, for values from 0 to 1; the defaults are CLIP's."""

    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    def apply(self, pixels: npt.NDArray[np.uint8], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Normalise uint8 (B, H, W, 3) to (B, 3, H, W) on a device."""
        x = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()  # (B, 3, H, W)
        mean = torch.tensor(self.mean, device=device)[:, None, None] * 255
        std = torch.tensor(self.std, device=device)[:, None, None] * 255
        return ((x - mean) / std).to(dtype)


MOST_ASPECT = 200
"""Largest ratio of the longer to the shorter side of a frame that keeps its aspect ratio."""


@dataclass(frozen=True)
class NativeSize:
    """The size nearest to a frame's own that suits a tower of native resolution, keeping the aspect ratio.

    Attributes:
        side: Number of pixels of which both sides become a multiple.
        least: Smallest number of squares of that side in a frame.
        most: Largest number of squares of that side in a frame.

    Source:
        The resizing of Qwen2-VL (arXiv 2409.12191), with rounding half to even.

    Example:
        >>> size = NativeSize(28, least=128, most=768)
        >>> size(720, 1280), size(90, 160)
        ((560, 1008), (252, 448))
    """

    side: int
    least: int
    most: int

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) for a frame of this height and width."""
        if max(height, width) > MOST_ASPECT * min(height, width):
            raise VideoError(
                f"found frames of {height}x{width}, expected no side more than {MOST_ASPECT} times the other: "
                "crop the video"
            )
        area, squares = height * width, round(height / self.side) * round(width / self.side)
        if self.least <= squares <= self.most:
            return round(height / self.side) * self.side, round(width / self.side) * self.side
        wanted, towards = (self.most, math.floor) if squares > self.most else (self.least, math.ceil)
        scale = math.sqrt(wanted * self.side**2 / area) / self.side
        return max(1, towards(height * scale)) * self.side, max(1, towards(width * scale)) * self.side


@dataclass(frozen=True)
class LargestWithin:
    """The largest size of a frame's aspect whose sides are multiples of `side`, of at most `most` squares.

    A frame that already has such a size, with at least half as many squares, is kept: it may have been decoded so.

    Attributes:
        side: Both sides become multiples of this number of pixels, rounded down, but at least one.
        most: Largest number of squares of that side in a frame.

    Source: the resizing of Gemma 4.

    Example:
        >>> LargestWithin(48, 70)(720, 1280), LargestWithin(48, 70)(9, 2000)
        ((288, 528), (48, 3360))
    """

    side: int
    most: int

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) to use for a frame of this height and width."""
        rows, cols = height // self.side, width // self.side
        if (rows * self.side, cols * self.side) == (height, width) and self.most <= 2 * rows * cols <= 2 * self.most:
            return height, width
        scale = math.sqrt(self.most / (height * width))
        rows, cols = math.floor(scale * height), math.floor(scale * width)
        if not rows:
            rows, cols = 1, min(width // height, self.most)
        elif not cols:
            rows, cols = min(height // width, self.most), 1
        return rows * self.side, cols * self.side


def as_pictures(images: Frames | Pictures) -> tuple[Pictures, IntArray, FloatArray]:
    """Return pictures with frame numbers and seconds; pictures that are not frames are numbered from 0."""
    if isinstance(images, ArrivingFrames):
        return _Arriving(images), images.indices, images.seconds
    if isinstance(images, Frames):
        return list(images.data), images.indices, images.seconds
    number = np.arange(len(images), dtype=np.int64)
    return images, number, number.astype(np.float64)


class _Arriving(Sequence[npt.NDArray[np.uint8]]):
    """Pictures of frames that may still be arriving; access waits for them."""

    def __init__(self, frames: ArrivingFrames) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, which: int) -> npt.NDArray[np.uint8]: ...

    @overload
    def __getitem__(self, which: slice) -> list[npt.NDArray[np.uint8]]: ...

    def __getitem__(self, which: int | slice) -> npt.NDArray[np.uint8] | list[npt.NDArray[np.uint8]]:
        if isinstance(which, slice):
            return list(self._frames.rows(which))
        if not -len(self) <= which < len(self):
            raise IndexError(which)
        place = which % len(self)
        return self._frames.rows(slice(place, place + 1))[0]


def resize_pictures(pictures: Pictures, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize pictures to (height, width), bicubic, without keeping the aspect ratio: uint8 (B, H, W, 3)."""
    height, width = size
    resized = [
        picture
        if picture.shape[:2] == size
        else np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
        for picture in pictures
    ]
    return np.stack(resized)
