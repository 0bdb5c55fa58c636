"""A video as a row of runs of frames that are alike; neighbours join until all that are left differ.

The memory is a copy of the features, the time T log T.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from dyto.finch import IntArray

Directions: TypeAlias = npt.NDArray[np.float32]


class Runs(NamedTuple):
    """A video as a row of runs of frames that are alike.

    Attributes:
        bounds: (S + 1,) first frame of every run, and T.
        means: (S, D) mean direction of each; that of a scene leaves out the frames of fades that joined it.
        sizes: (S,) frames of each.
    """

    bounds: IntArray
    means: Directions
    sizes: IntArray


def runs_of(x: Directions, least: float, count: int | None = None, sizes: IntArray | None = None) -> Runs:
    """Join neighbours in time until all that are left differ, or until so many are left.

    Again and again the two neighbouring runs join that differ least: by the squared distance g of their means, or,
    where one of them is a single frame, whose noise is no mean over many, by g h with h = a b / (a + b) for runs of a
    and b frames (`min(h, 1) g`). That a run is long makes it neither more nor less different.

    Args:
        x: (T, D) directions; or the means of segments, neighbours in time.
        least: Runs that differ by less join.
        count: Number of runs at which to end instead, from 1 to T.
        sizes: (T,) frames of each segment; None for one each.

    Returns:
        The runs; ties join from the beginning of the video on.

    Example:
        >>> scenes = np.repeat(np.eye(3, dtype="float32"), [40, 1, 4], axis=0)
        >>> runs_of(scenes, 0.1).bounds.tolist()
        [0, 40, 41, 45]
    """
    row = Joining(x, np.ones(len(x), np.int64) if sizes is None else sizes)
    total, left_over = len(x), len(x)
    turn = np.zeros(total, np.int64)
    heap = [(row.between(i - 1, i), i, 0) for i in range(1, total)]
    heapq.heapify(heap)
    while heap and left_over != count:
        differ, second, when = heapq.heappop(heap)
        if not row.stands[second] or when != turn[second]:
            continue
        if count is None and differ >= least:
            break
        left_over -= 1
        first = int(row.left[second])
        row.join(first, second)
        for later in (first, int(row.right[first])):
            if 0 < later < total:
                turn[later] += 1
                heapq.heappush(heap, (row.between(int(row.left[later]), later), later, int(turn[later])))
    return row.runs(np.arange(total + 1))


class Joining:
    """Runs in order of time, of which neighbours join."""

    def __init__(self, means: Directions, sizes: IntArray) -> None:
        self.mean, self.size = means.copy(), sizes.copy()
        self.left, self.right = np.arange(len(means)) - 1, np.arange(len(means)) + 1
        self.stands = np.ones(len(means), bool)

    def join(self, first: int, second: int, mean: Directions | None = None) -> None:
        """Let a run take in the one after it; the mean (D,) is that of all their frames, or the one given."""
        whole, after = int(self.size[first] + self.size[second]), int(self.right[second])
        if mean is None:
            mean = joined(self.mean[first], self.mean[second], int(self.size[second]), whole)
        self.mean[first] = mean
        self.size[first], self.stands[second], self.right[first] = whole, False, after
        if after < len(self.mean):
            self.left[after] = first

    def gap(self, one: int, other: int) -> float:
        """Return the squared distance of two means."""
        return differ(self.mean[one], self.mean[other], 2, 2)

    def between(self, one: int, other: int) -> float:
        """Return by how much two runs differ."""
        return differ(self.mean[one], self.mean[other], int(self.size[one]), int(self.size[other]))

    def runs(self, bounds: IntArray) -> Runs:
        """Return what is left, given the (S + 1,) bounds of what the row began with."""
        starts = np.flatnonzero(self.stands)
        return Runs(bounds[np.append(starts, len(self.mean))], self.mean[starts], self.size[starts])


def differ(one: Directions, other: Directions, a: int, b: int) -> float:
    """Return by how much two runs of a and b frames differ, given their means (D,); see `runs_of`."""
    gap = one - other
    return float(gap @ gap) * min(1.0, a * b / (a + b))


def joined(one: Directions, other: Directions, size: int, whole: int) -> Directions:
    """Return the mean (D,) of two runs that join, the other of them `size` of `whole` frames."""
    return one + (other - one) * np.float32(size / whole)
