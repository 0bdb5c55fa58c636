"""Sizes in which the bundled eye sees pictures: of one area, and nearly of their own aspect ratio, up to 4:3."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

Picture: TypeAlias = npt.NDArray[np.uint8]
Size: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class NearestAspect:
    """The size, of a few, whose aspect ratio is nearest to a picture's; longer pictures are squeezed.

    A picture of one of the sizes keeps it, so frames may be decoded in the eye's size.

    Attributes:
        sizes: Heights and widths of the wide ones and the square, pixels; upright pictures have them the other way.

    Example:
        >>> SIZES(1080, 1920), SIZES(1920, 1080), SIZES(480, 640), SIZES(1, 1000)
        ((192, 256), (256, 192), (192, 256), (192, 256))
    """

    sizes: tuple[Size, ...]

    def __call__(self, height: int, width: int) -> Size:
        """Return the (height, width) for a picture of this height and width."""
        wanted = math.log(max(height, width) / min(height, width))
        short, long = min(self.sizes, key=lambda size: abs(math.log(size[1] / size[0]) - wanted))
        return (short, long) if height <= width else (long, short)


SIZES = NearestAspect(((224, 224), (192, 224), (192, 256)))
"""Of the bundled eye, multiples of 32 pixels: the square that it was trained on, and shapes of about that area. Longer
pictures are squeezed to 4:3; how other sizes did is stated in docs/nouns.md."""


def by_size(pictures: Sequence[Picture], see: Callable[[Picture], Tensor]) -> Tensor:
    """Let a network see pictures of any sizes, those of the same size together.

    Args:
        pictures: B pictures, (H, W, 3).
        see: Function from (b, H', W', 3) pictures of one of `SIZES` to what is seen, (b, ...).

    Returns:
        (B, ...) in the order of the pictures.
    """
    sizes = [SIZES(*picture.shape[:2]) for picture in pictures]
    seen = {}
    for size in set(sizes):
        alike = [_resized(picture, size) for picture, own in zip(pictures, sizes, strict=True) if own == size]
        seen[size] = iter(see(np.stack(alike)))
    return torch.stack([next(seen[size]) for size in sizes])


def _resized(picture: Picture, size: Size) -> Picture:
    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC))
