"""The protocol of an eye, which turns pictures into features for comparing frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor


class Eye(Protocol):
    """An encoder of pictures. Any object that follows this protocol can choose frames, see `dyto.models.eyes.seen_by`.

    Attributes:
        name: Its name.
        image_size: Height and width of its input, in pixels.
        grid: Rows and columns of its patches.
        width: Numbers that describe a patch, D.
    """

    name: str
    image_size: tuple[int, int]
    grid: tuple[int, int]
    width: int

    def patches(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """Describe the patches of pictures.

        Args:
            pictures: Pictures of any size, (H, W, 3) uint8.

        Returns:
            (B, N, D) float32, the patches in raster order.
        """
        ...

    def summaries(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """Describe each picture as a whole.

        Args:
            pictures: Pictures of any size, (H, W, 3) uint8.

        Returns:
            (B, D) float32: the mean over the patches.
        """
        ...
