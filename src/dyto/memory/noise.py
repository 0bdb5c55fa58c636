"""The noise of a stream: what `dyto.strategies.scenes.noise_level` says of a video, from a bounded part of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dyto.finch import FloatArray
from dyto.strategies.runs import Directions
from dyto.strategies.scenes import WINDOW

LEAST, MOST, BINS = 1e-6, 4.0, 1024
"""Halved squared distances from the first to the second fall into that many bins of equal ratio, 1.5 % each."""

Counts = npt.NDArray[np.int64]
_EDGES: FloatArray = LEAST * (MOST / LEAST) ** (np.arange(BINS - 1) / (BINS - 1))


class NoiseMeter:
    """A running median of how far frames are from the nearest of their neighbours in time.

    Args:
        counts: (BINS,) frames in each bin, from an earlier stream.

    Example:
        >>> meter = NoiseMeter()
        >>> meter.add(np.repeat(np.eye(4, dtype=np.float32), 3, axis=0))
        >>> meter.level() <= LEAST
        True
    """

    def __init__(self, counts: Counts | None = None) -> None:
        self._counts = np.zeros(BINS, np.int64) if counts is None else counts.astype(np.int64)
        self._before: Directions | None = None  # of the last frames, (WINDOW, D) at most
        self._nearest = np.empty(0, np.float32)  # of those frames, so far

    def add(self, directions: Directions) -> None:
        """Take the next frames, (T, D) of length 1 in float32; how many at a time does not matter."""
        known = 0 if self._before is None else len(self._before)
        x = directions if self._before is None else np.concatenate([self._before, directions])
        nearest = np.concatenate([self._nearest, np.full(len(directions), np.inf, np.float32)])
        for gap in range(1, min(WINDOW, len(x) - 1) + 1):
            first = max(known, gap)  # pairs whose later frame is new
            half = np.square(x[first:] - x[first - gap : len(x) - gap]).sum(1) / 2
            np.minimum(nearest[first:], half, out=nearest[first:])
            np.minimum(nearest[first - gap : len(x) - gap], half, out=nearest[first - gap : len(x) - gap])
        done = max(0, len(x) - WINDOW)
        self._counts += _histogram(nearest[:done])
        self._before, self._nearest = x[done:].copy(), nearest[done:]

    @property
    def counts(self) -> Counts:
        """(BINS,) frames in each bin, those with neighbours still to come, too."""
        return self._counts + _histogram(self._nearest[np.isfinite(self._nearest)])

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


def _histogram(values: Directions) -> Counts:
    """Return how many halved squared distances fall into each bin; those up to `LEAST` into the first."""
    return np.bincount(np.searchsorted(_EDGES, values), minlength=BINS)


def _middles() -> FloatArray:
    edges = LEAST * (MOST / LEAST) ** ((np.arange(BINS) - 0.5) / (BINS - 1))
    return np.asarray(edges, np.float64)
