"""The noise of a stream: what `dyto.strategies.scenes.noise_level` says of a video, from a bounded part of it."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from dyto.finch import FloatArray
from dyto.strategies.scenes import WINDOW

LEAST, MOST, BINS = 1e-6, 4.0, 1024
"""Halved squared distances from the first to the second fall into that many bins of equal ratio, 1.5 % each."""

Counts = npt.NDArray[np.int64]
Direction = npt.NDArray[np.float32]


class NoiseMeter:
    """A running median of how far frames are from the nearest of their neighbours in time.

    Args:
        counts: (BINS,) frames in each bin, from an earlier stream.

    Example:
        >>> meter = NoiseMeter()
        >>> for row in np.repeat(np.eye(4, dtype=np.float32), 3, axis=0):
        ...     meter.add(row)
        >>> meter.level() <= LEAST
        True
    """

    def __init__(self, counts: Counts | None = None) -> None:
        self._counts = np.zeros(BINS, np.int64) if counts is None else counts.astype(np.int64)
        self._before: deque[Direction] = deque(maxlen=WINDOW)
        self._nearest: deque[float] = deque(maxlen=WINDOW)  # of those frames, so far

    def add(self, direction: Direction) -> None:
        """Take the next frame, (D,) of length 1 in float32."""
        nearest = np.inf
        if self._before:
            half = np.square(np.stack(self._before) - direction).sum(1) / 2
            nearest = float(half.min())
            if len(self._nearest) == WINDOW:
                self._counts[_bin(min(self._nearest[0], float(half[0])))] += 1
            self._nearest = deque(map(min, self._nearest, half.tolist()), maxlen=WINDOW)
        self._before.append(direction)
        self._nearest.append(nearest)

    @property
    def counts(self) -> Counts:
        """(BINS,) frames in each bin, those with neighbours still to come, too."""
        counts = self._counts.copy()
        for nearest in self._nearest:
            if np.isfinite(nearest):
                counts[_bin(nearest)] += 1
        return counts

    def level(self) -> float:
        """Return the noise of what has been seen, within the width of a bin."""
        return level_of(self.counts)


def level_of(counts: Counts) -> float:
    """Return the median of a histogram, as the middle of its bin by ratio; 0 if it is empty or in the lowest bin."""
    total = int(counts.sum())
    if not total:
        return 0.0
    middle = int(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
    return float(_middles()[middle]) if middle else 0.0


def _bin(value: float) -> int:
    """Return the bin of a halved squared distance."""
    if value <= LEAST:
        return 0
    return min(BINS - 1, 1 + int(np.log(value / LEAST) / np.log(MOST / LEAST) * (BINS - 1)))


def _middles() -> FloatArray:
    edges = LEAST * (MOST / LEAST) ** ((np.arange(BINS) - 0.5) / (BINS - 1))
    return np.asarray(edges, np.float64)
