"""Framing: how a family fits a frame to its tower's square by cropping or squashing, and with which filter.

Stock image processors also resize with PIL, so the bytes of a frame are the same. Stock video processors resize with
torchvision, which rounds some pixels differently.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from dyto.errors import VideoError
from dyto.models.pixels import MOST_ASPECT, Pictures


@dataclass(frozen=True)
class ShortestSide:
    """The size of a frame whose shorter side is shrunk to `side`, keeping the aspect ratio; smaller frames stay.

    Example:
        >>> ShortestSide(336)(720, 1280), ShortestSide(336)(90, 160)
        ((336, 597), (90, 160))
    """

    side: int

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) for a frame of this size."""
        return self.scaled(height, width) if min(height, width) > self.side else (height, width)

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width), but enlarge smaller frames.

        Raises:
            VideoError: One side is so much longer than the other that the enlarged frame would fill the memory.
        """
        if max(height, width) > MOST_ASPECT * min(height, width):
            raise VideoError(
                f"found frames of {height}x{width}, expected no side more than {MOST_ASPECT} times the other: "
                "crop the video"
            )
        if width < height:
            return self.side * height // width, self.side
        return self.side, self.side * width // height


@dataclass(frozen=True)
class LongestSide:
    """The size of a frame whose longer side becomes `side`, keeping the aspect ratio, with an even shorter side.

    Example:
        >>> LongestSide(512)(720, 1280)
        (288, 512)
    """

    side: int

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) for a frame of this size."""
        shorter = int(self.side / (max(height, width) / min(height, width)))
        shorter = max(1, shorter + shorter % 2)
        return (shorter, self.side) if width >= height else (self.side, shorter)


@dataclass(frozen=True)
class AtMost:
    """The size of a frame that is shrunk to `side` only if its longer side exceeds it.

    Example:
        >>> AtMost(2048)(720, 1280), AtMost(2048)(2160, 4096)
        ((720, 1280), (1080, 2048))
    """

    side: int

    def __call__(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) for a frame of this size."""
        longest = max(height, width)
        if longest <= self.side:
            return height, width
        return max(1, height * self.side // longest), max(1, width * self.side // longest)


def resize(
    picture: npt.NDArray[np.uint8],
    size: tuple[int, int],
    resample: Image.Resampling = Image.Resampling.BICUBIC,
) -> npt.NDArray[np.uint8]:
    """Resize one picture to (height, width)."""
    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size[::-1], resample))


def squashed(pictures: Pictures, side: int, resample: Image.Resampling) -> npt.NDArray[np.uint8]:
    """Resize to (B, side, side, 3) without keeping the aspect ratio."""
    return np.stack([resize(picture, (side, side), resample) for picture in pictures])


def center_cropped(pictures: Pictures, side: int) -> npt.NDArray[np.uint8]:
    """Resize the shorter side to `side` (bicubic) and crop the middle of the longer one: (B, side, side, 3)."""
    fit = ShortestSide(side)
    cropped = []
    for picture in pictures:
        resized = resize(picture, fit.scaled(*picture.shape[:2]))
        top, left = (resized.shape[0] - side) // 2, (resized.shape[1] - side) // 2
        cropped.append(resized[top : top + side, left : left + side])
    return np.stack(cropped)
