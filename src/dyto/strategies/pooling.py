"""Pooling frames on their grid, with a record of each token's patches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.features import FrameFeatures
from dyto.finch import IntArray

Pool = Callable[[Tensor], Tensor]
"""Pools the (B, D, rows, cols) patches of frames."""

CHUNK_FRAMES = 8


def steps(side: int, step: int) -> list[range]:
    """Group the places along one side of the grid by `step`; the last group may be smaller."""
    return [range(place, min(place + step, side)) for place in range(0, side, step)]


def windows(side: int, count: int) -> list[range]:
    """Return the places that each of `count` adaptively pooled outputs covers, along one side of the grid.

    Example:
        >>> windows(24, 4)[1], windows(5, 3)[2]
        (range(6, 12), range(3, 5))
    """
    return [range(i * side // count, -(-(i + 1) * side // count)) for i in range(count)]


def shrink(grid: tuple[int, int], most: int) -> tuple[int, int]:
    """Return the largest grid of the same shape within `grid` and with at most `most` places; at least 1 x 1.

    Example:
        >>> shrink((24, 24), 147), shrink((18, 32), 64), shrink((6, 6), 99)
        ((12, 12), (6, 10), (6, 6))
    """
    rows, cols = grid
    for height in range(rows, 0, -1):
        width = max(1, cols * height // rows)
        if height * width <= most:
            return height, width
    return 1, min(cols, max(1, most))


def pool_frames(
    features: FrameFeatures, positions: IntArray, pool: Pool, axes: list[list[range]]
) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """Pool some frames.

    Args:
        features: Features of the frames.
        positions: (n,) their positions.
        pool: Pools each frame to m tokens.
        axes: For rows and for columns, the places along the grid that each token covers.

    Returns:
        (n * m, D) tokens, and (n * m, N) bool, their patches.
    """
    rows, cols = features.grid
    held = np.zeros((len(axes[0]) * len(axes[1]), rows, cols), dtype=np.bool_)
    for token, (row, col) in enumerate(product(*axes)):
        held[token, row.start : row.stop, col.start : col.stop] = True
    pooled = []
    for start in range(0, len(positions), CHUNK_FRAMES):
        patches = features.patches(positions[start : start + CHUNK_FRAMES])  # (B, N, D)
        grid = patches.transpose(1, 2).reshape(len(patches), -1, rows, cols)  # (B, D, rows, cols)
        pooled.append(pool(grid).flatten(2).transpose(1, 2).flatten(0, 1))  # (B * m, D)
    empty = features.summary.new_empty(0, features.dim)
    return torch.cat([empty, *pooled]), np.tile(held.reshape(len(held), -1), (len(positions), 1))
