"""Frames that need not be encoded, because nothing in them differs from an encoded frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from dyto.finch import IntArray
from dyto.video import Frames

CELLS = 32
"""Rows and columns of the cells by which pictures are compared."""


def alike(frames: Frames, levels: float) -> tuple[IntArray, IntArray]:
    """Find frames that look like an earlier one.

    Each is compared with the last kept frame, not with the previous one, so that slow change adds up. The cell that
    differs most decides, so that a small moving thing counts as much as a large one.

    Args:
        frames: T frames.
        levels: Largest difference of a cell's mean in any colour, 0 to 255; at 0 every pixel must be the same.

    Returns:
        (K,) positions of the kept frames, and (T,) for each frame the index of the kept frame that represents it.

    Example:
        >>> pixels = np.zeros((4, 64, 64, 3), np.uint8)
        >>> pixels[2:, 10:14, 20:24] = 90
        >>> frames = Frames(pixels, np.arange(4), np.arange(4.0), source_size=(64, 64))
        >>> alike(frames, levels=2)
        (array([0, 2]), array([0, 0, 1, 1]))
    """
    kept: list[int] = []
    stands = np.zeros(len(frames), np.int64)
    last: npt.NDArray[np.int16] = np.empty(0, np.int16)
    for position, picture in enumerate(frames.data):
        if not kept or not np.array_equal(picture, frames.data[kept[-1]]):
            cells = _cells(picture)
            if not kept or not levels or np.abs(cells - last).max() > levels:
                kept.append(position)
                last = cells
        stands[position] = len(kept) - 1
    return np.asarray(kept, np.int64), stands


def _cells(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Average the cells of a picture: (CELLS, CELLS, 3)."""
    return np.asarray(Image.fromarray(picture).resize((CELLS, CELLS), Image.Resampling.BOX)).astype(np.int16)
