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
    """

    name: str

    def summaries(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """Describe each picture as a whole.

        Args:
            pictures: Pictures of any size, (H, W, 3) uint8.

        Returns:
            (B, D) float32: pictures that show the same have vectors of similar direction.
        """
        ...
