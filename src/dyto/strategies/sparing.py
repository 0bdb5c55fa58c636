"""Which frames need not be encoded: those in which nothing differs from one that was."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from dyto.finch import IntArray
from dyto.video import Frames

CELLS = 32
"""Rows and columns of the cells that pictures are compared by."""


def alike(frames: Frames, levels: float) -> tuple[IntArray, IntArray]:
    """Find frames that look like one before them.

    Each is compared with the last one that was kept, not with the one before it, so that slow change adds up; and by
    the cell that differs most, so that a small thing that moves counts as much as a large one.

    Args:
        frames: T frames.
        levels: What the mean of a cell may differ by in any color, 0 to 255; at 0 every pixel must be the same.

    Returns:
        (K,) positions of the frames that are kept, and (T,) for each frame which of these stands for it.

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
