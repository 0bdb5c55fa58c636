"""Segments in the order in which their hierarchy splits, so that any prefix is a coarser segmentation.

The first row stands for the whole video. Every later row is cut from the segment of a row before it, its parent, at
one end. What its mean differs by from the mean of what is left to the parent is kept rather than the mean: with that,
both follow from the mean of the parent, for any prefix and without a loss of precision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dyto.finch import FloatArray, IntArray
from dyto.memory.online import OnlineHierarchy, Segments
from dyto.strategies.runs import Directions


class Splits(NamedTuple):
    """Segments in the order of splits.

    Attributes:
        rows: Each row's segment when it was cut from its parent; `means` is the mean of all for the first row, and for
            the others the difference of the two means.
        parents: (K,) the row that it was cut from; 0 for the first.
        edges: (K,) number of the frame at which what is left to the parent now ends, or begins.
        edge_seconds: (K,) time of that frame.
    """

    rows: Segments
    parents: IntArray
    edges: IntArray
    edge_seconds: FloatArray


def split_order(segments: Segments, directions: Directions) -> Splits:
    """Put segments in the order in which their hierarchy splits.

    Args:
        segments: K of them, in the order of time.
        directions: (K, D) those of their representatives.

    Example:
        >>> tree, scenes = OnlineHierarchy(9), np.repeat(np.eye(3, dtype=np.float32), [4, 1, 4], axis=0)
        >>> dropped = [tree.add(row, number, number / 25) for number, row in enumerate(scenes)]
        >>> splits = split_order(tree.segments(), scenes)
        >>> time_order(splits, 3)[1].first.tolist(), time_order(splits, 3)[1].sizes.tolist()
        ([0, 4, 5], [4, 1, 4])
    """
    count = len(segments.frames)
    joins: list[tuple[Segments, int]] = []  # what joined, and which of the two is represented no more
    if count > 1:
        tree = OnlineHierarchy.of(segments, directions)
        for _ in range(count - 1):
            pair = tree.next_pair()
            joins.append((pair, pair.frames.tolist().index(tree.join())))
        whole = tree.segments()
    else:
        whole = segments
    rows, parents, edges = [whole], [0], [(0, 0.0)]
    place = {int(whole.frames[0]): 0}
    for pair, gone in reversed(joins):
        cut, left = pair.take(np.array([gone])), pair.take(np.array([1 - gone]))
        rows.append(cut._replace(means=cut.means - left.means))
        parents.append(place[int(left.frames[0])])
        edges.append((left.last[0], left.end[0]) if gone else (left.first[0], left.start[0]))
        place[int(cut.frames[0])] = len(place)
    columns = Segments(*(np.concatenate(parts) for parts in zip(*rows, strict=True)))
    at = np.array([edge[0] for edge in edges], np.int64)
    return Splits(columns, np.array(parents, np.int64), at, np.array([edge[1] for edge in edges], np.float64))


def time_order(splits: Splits, count: int) -> tuple[IntArray, Segments]:
    """Return the segments of a prefix.

    Args:
        splits: K rows or more.
        count: How many rows to take, K.

    Returns:
        (K,) the row of each segment, and the segments, both in the order of time.

    Raises:
        ValueError: The rows are not a hierarchy.
    """
    at = splits.rows.take(np.arange(count))
    means = at.means.astype(np.float64)
    sizes, first, last = at.sizes.tolist(), at.first.tolist(), at.last.tolist()  # quicker one by one than arrays
    edges = splits.edges.tolist()
    for row, parent in enumerate(splits.parents[1:count].tolist(), start=1):
        if not 0 <= parent < row or not 0 < sizes[row] < sizes[parent]:
            raise ValueError(f"row {row} is cut from row {parent}, which is no longer than it or comes later")
        whole, gap = sizes[parent], means[row].copy()
        sizes[parent] -= sizes[row]
        means[row] = means[parent] + gap * (sizes[parent] / whole)
        means[parent] -= gap * (sizes[row] / whole)
        if first[row] == first[parent]:
            first[parent], at.start[parent] = edges[row], splits.edge_seconds[row]
        elif last[row] == last[parent]:
            last[parent], at.end[parent] = edges[row], splits.edge_seconds[row]
        else:
            raise ValueError(f"row {row} is not cut from an end of row {parent}")
    at = at._replace(
        sizes=np.array(sizes, np.int64), first=np.array(first, np.int64), last=np.array(last, np.int64),
        means=means.astype(np.float32),
    )  # fmt: skip
    order = np.argsort(at.first, kind="stable")
    found = at.take(order)
    inside = (found.first <= found.frames) & (found.frames <= found.last)
    if not inside.all() or (found.first[1:] <= found.last[:-1]).any():
        raise ValueError("segments overlap, or lack the frame that represents them")
    return order, found
