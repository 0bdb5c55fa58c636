"""The hierarchy of a stream: at most M segments, neighbours in time, of which the two that differ least join.

An answer at time t depends on frames up to t alone, and the result on the frames, not on how they came in batches.
Nothing grows with the stream.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dyto.errors import ConfigError
from dyto.finch import FloatArray, IntArray
from dyto.strategies.runs import Directions, differ, joined

NEAR = 1e-6
"""Squared distances that differ by less are equal. Then the earlier frame stays, unless it is in the first third of the
segment: a later one would otherwise never take its place, and a long scene be represented by how it begins."""


class Segments(NamedTuple):
    """Segments of a video, K of them in the order of time.

    Attributes:
        first: (K,) number of the first frame.
        last: (K,) number of the last frame.
        start: (K,) time of the first frame, in seconds.
        end: (K,) time of the last frame.
        sizes: (K,) frames.
        means: (K, D) float32 mean direction of the frames.
        frames: (K,) number of the frame that represents it.
        seconds: (K,) time of that frame.
    """

    first: IntArray
    last: IntArray
    start: FloatArray
    end: FloatArray
    sizes: IntArray
    means: Directions
    frames: IntArray
    seconds: FloatArray

    def take(self, rows: IntArray) -> Segments:
        """Return some of the segments."""
        columns: Any = (column[rows] for column in self)
        return Segments(*columns)


class OnlineHierarchy:
    """At most M segments of a stream of frames.

    A new frame is a segment. If there are then more than M, the two neighbours that differ least join, by the rule of
    `dyto.strategies.runs.runs_of`; of equal ones the earliest. Of their representatives the one nearer to the mean of
    all their frames stays.

    Args:
        most: M, at least 2.

    Raises:
        ConfigError: M is not a whole number of at least 2.

    Example:
        >>> tree = OnlineHierarchy(3)
        >>> scenes = np.repeat(np.eye(3, dtype=np.float32), [4, 1, 5], axis=0)
        >>> dropped = [tree.add(row, number, number / 25) for number, row in enumerate(scenes)]
        >>> tree.segments().first.tolist(), tree.segments().frames.tolist()
        ([0, 4, 5], [1, 4, 9])
    """

    def __init__(self, most: int) -> None:
        if isinstance(most, bool) or not isinstance(most, (int, np.integer)) or most < 2:
            raise ConfigError(f"a memory of {most!r} segments, expected a whole number of at least 2: give e.g. 64")
        self.most = int(most)
        self._order: list[int] = []  # rows of the arrays, in the order of time
        self._costs: list[float] = []  # of joining each of these with the one before it
        self._free = list(range(self.most, -1, -1))
        self._columns: Segments | None = None
        self._directions = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self._order)

    def add(self, direction: Directions, number: int, seconds: float) -> int | None:
        """Take the next frame.

        Args:
            direction: (D,) float32 of length 1.
            number: The frame's number, above those before it.
            seconds: Its time.

        Returns:
            The number of the frame that represents nothing any more; None if there is none.
        """
        columns = self._columns if self._columns is not None else self._make(len(direction))
        row = self._free.pop()
        frame = (number, number, seconds, seconds, 1, direction, number, seconds)
        pairs: Any = zip(columns, frame, strict=True)
        for column, value in pairs:
            column[row] = value
        self._directions[row] = direction
        self._order.append(row)
        self._costs.append(np.inf if len(self._order) == 1 else self._cost(len(self._order) - 1))
        return self.join() if len(self._order) > self.most else None

    @classmethod
    def of(cls, segments: Segments, directions: Directions, most: int | None = None) -> OnlineHierarchy:
        """Go on from segments.

        Args:
            segments: K of them.
            directions: (K, D) those of their representatives.
            most: M, at least K; None for K.
        """
        count = len(segments.frames)
        tree = cls(count if most is None else most)
        columns = tree._make(directions.shape[1])
        pairs: Any = zip(columns, segments, strict=True)
        for column, values in pairs:
            column[:count] = values
        tree._directions[:count] = directions
        tree._order, tree._free = list(range(count)), list(range(tree.most, count - 1, -1))
        tree._costs = [np.inf, *map(tree._cost, range(1, count))]
        return tree

    def segments(self) -> Segments:
        """Return a copy of the segments, in the order of time."""
        if self._columns is None:
            raise ConfigError("nothing was seen yet, expected at least one frame: feed some first")
        return self._columns.take(np.array(self._order, np.int64))

    def _make(self, dim: int) -> Segments:
        rows = self.most + 1
        whole, real = (rows, np.int64), (rows, np.float64)
        self._columns = Segments(
            np.zeros(*whole), np.zeros(*whole), np.zeros(*real), np.zeros(*real),
            np.zeros(*whole), np.zeros((rows, dim), np.float32), np.zeros(*whole), np.zeros(*real),
        )  # fmt: skip
        self._directions = np.zeros((rows, dim), np.float32)
        return self._columns

    def _cost(self, place: int) -> float:
        """Return what it costs to join the segment at a place with the one before it."""
        assert self._columns is not None
        one, other = self._order[place - 1], self._order[place]
        means, sizes = self._columns.means, self._columns.sizes
        return differ(means[one], means[other], int(sizes[one]), int(sizes[other]))

    def next_pair(self) -> Segments:
        """Return a copy of the two segments that join next."""
        assert self._columns is not None
        place = self._costs.index(min(self._costs))
        return self._columns.take(np.array(self._order[place - 1 : place + 1], np.int64))

    def join(self) -> int:
        """Join the two neighbours that differ least, and return the frame that represents nothing any more."""
        place = self._costs.index(min(self._costs))
        dropped = self._unite(self._order[place - 1], self._order[place])
        self._free.append(self._order.pop(place))
        self._costs.pop(place)
        for near in (place - 1, place):
            if 0 < near < len(self._order):
                self._costs[near] = self._cost(near)
        return dropped

    def _unite(self, one: int, other: int) -> int:
        """Put the segment of a row into that of the row before it, and return the frame that it drops."""
        assert self._columns is not None
        at = self._columns
        whole = int(at.sizes[one] + at.sizes[other])
        at.means[one] = joined(at.means[one], at.means[other], int(at.sizes[other]), whole)
        at.last[one], at.end[one], at.sizes[one] = at.last[other], at.end[other], whole
        far = [float(np.square(self._directions[row] - at.means[one]).sum()) for row in (one, other)]
        early = 3 * int(at.frames[one]) < 2 * int(at.first[one]) + int(at.last[one])  # in the first third
        if far[0] < far[1] if abs(far[0] - far[1]) > NEAR else not early:
            return int(at.frames[other])
        dropped = int(at.frames[one])
        at.frames[one], at.seconds[one] = at.frames[other], at.seconds[other]
        self._directions[one] = self._directions[other]
        return dropped
