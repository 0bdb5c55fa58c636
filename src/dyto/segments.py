"""A hierarchy over time that cuts a video into any number of segments.

Ward's agglomeration (Ward, "Hierarchical Grouping to Optimize an Objective Function", 1963) with the constraint that
only neighbours in time join. At first every frame is a segment. Then, repeatedly, those two neighbouring segments join
whose union adds least to the squared distances of frames from their segment means. The order in which boundaries
between frames fall is the whole hierarchy: the last k - 1 of them cut the video into k segments.

Frames are compared by cosine: their features are scaled to length 1. The work is done in float64 on the CPU, whatever
the device of the features, so the result is the same everywhere.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from dyto.finch import FloatArray, IntArray, as_matrix

MEMBERS = ("middle", "medoid")

LEAST_COST = 0.02
"""Smallest cost that separates segments, about that of two frames at a cosine of 0.98. Camera and codec noise costs
less."""


ROWS = 256
"""Number of frames worked on at a time."""


class Hierarchy(NamedTuple):
    """Nested segmentations of T frames.

    Attributes:
        boundaries: (T - 1,) boundaries in the order in which they fall; boundary i is between frames i and i + 1.
        costs: (T - 1,) increase in squared distances when this boundary falls; never decreasing.
    """

    boundaries: IntArray
    costs: FloatArray

    @property
    def num_frames(self) -> int:
        """Number of frames, T."""
        return len(self.boundaries) + 1

    def wanted(self, least_gain: float, explained: float) -> int:
        """Return the number of segments that suits the content.

        Args:
            least_gain: Boundaries that cost at least this fraction of all costs are kept.
            explained: The costliest boundaries that together make up this fraction of all costs are kept too.

        Returns:
            1 to T. Boundaries that cost less than `LEAST_COST` never count.
        """
        total = float(self.costs.sum())
        falling = self.costs[::-1]
        different = int((falling >= least_gain * total).sum())
        enough = int(np.searchsorted(np.concatenate([[0.0], np.cumsum(falling)]), explained * total))
        return 1 + min(max(different, enough), int((falling >= LEAST_COST).sum()))

    def cut(self, segments: int) -> IntArray:
        """Cut the video into segments.

        Args:
            segments: Number of segments, 1 to T.

        Returns:
            (segments + 1,) first frames of the segments, in order, followed by T.
        """
        if not 1 <= segments <= self.num_frames:
            raise ValueError(f"{segments} segments asked for, expected 1 to {self.num_frames}")
        standing = self.boundaries[self.num_frames - segments :]
        return np.concatenate([[0], np.sort(standing) + 1, [self.num_frames]]).astype(np.int64)


def ward(features: npt.ArrayLike | torch.Tensor) -> Hierarchy:
    """Build the hierarchy of a video.

    Args:
        features: (T, D) one feature vector per frame, in presentation order; array or tensor on any device.

    Returns:
        The hierarchy. Among equal costs, earlier boundaries fall first.

    Raises:
        ValueError: The features are not a (T, D) matrix with T >= 1 and D >= 1, or hold NaN or infinity.

    Example:
        >>> import numpy as np
        >>> scenes = np.repeat(np.eye(3), [4, 2, 4], axis=0)      # three scenes of identical frames
        >>> ward(scenes).cut(3).tolist()
        [0, 4, 6, 10]
    """
    mean = _directions(features)
    total = len(mean)
    size = [1.0] * total
    left = list(range(-1, total - 1))  # the previous segment, by its first frame
    right = list(range(1, total + 1))
    cost = [np.inf, *_first_costs(mean)]  # of joining the segment that begins here with the previous one
    waiting = [(cost[start], start) for start in range(1, total)]  # also costs that no longer hold
    heapq.heapify(waiting)
    boundaries, costs = np.empty(total - 1, np.int64), np.empty(total - 1)

    def renew(start: int, before: int) -> None:
        gap = mean[before] - mean[start]
        cost[start] = float(gap @ gap * (size[before] * size[start] / (size[before] + size[start])))
        heapq.heappush(waiting, (cost[start], start))

    for step in range(total - 1):
        least, second = heapq.heappop(waiting)
        while least != cost[second]:
            least, second = heapq.heappop(waiting)
        first, after = left[second], right[second]
        boundaries[step], costs[step] = second - 1, least
        whole = size[first] + size[second]
        mean[first] = (mean[first] * size[first] + mean[second] * size[second]) / whole
        size[first] = whole
        cost[second] = np.nan  # equal to nothing
        right[first] = after
        if after < total:
            left[after] = first
            renew(after, first)
        if first > 0:
            renew(first, left[first])
    return Hierarchy(boundaries, np.maximum.accumulate(costs))


def _first_costs(x: FloatArray) -> list[float]:
    """Return what it costs to join each frame but the first with the one before it."""
    costs: list[float] = []
    for start in range(1, len(x), ROWS):
        block = x[start - 1 : start + ROWS]
        costs += (np.square(block[1:] - block[:-1]).sum(1) / 2).tolist()
    return costs


def representatives(features: npt.ArrayLike | torch.Tensor, bounds: IntArray, member: str = "middle") -> IntArray:
    """Return the frame that represents each segment.

    Args:
        features: (T, D) as in `ward`.
        bounds: (K + 1,) as returned by `Hierarchy.cut`.
        member: "middle", or "medoid": the frame nearest to the mean of its segment (among equals, the frame nearest
            to the middle).

    Returns:
        (K,) sorted positions.
    """
    if member not in MEMBERS:
        raise ValueError(f"member {member!r}, expected one of {', '.join(MEMBERS)}")
    middles = (bounds[:-1] + bounds[1:] - 1) // 2
    if member == "middle":
        return middles
    x = _directions(features)
    chosen = np.empty(len(middles), np.int64)
    for i, (start, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        distance = np.square(x[start:end] - x[start:end].mean(0)).sum(1)
        near = start + np.flatnonzero(distance <= distance.min() + 1e-9)
        chosen[i] = near[np.abs(near - middles[i]).argmin()]
    return chosen


def _directions(features: npt.ArrayLike | torch.Tensor) -> FloatArray:
    """Scale vectors (T, D) to length 1, in an array of their own; a zero vector stays zero."""
    x = np.array(as_matrix(features))
    for start in range(0, len(x), ROWS):
        block = x[start : start + ROWS]
        norm = np.linalg.norm(block, axis=1, keepdims=True)
        np.divide(block, norm, out=block, where=norm > 0)
    return x
