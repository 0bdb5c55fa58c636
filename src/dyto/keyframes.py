"""From nested partitions to key frames (DyTo, section 3.2 of the paper, and its released code).

Example:
    >>> from dyto.finch import tw_finch
    >>> scenes = np.repeat(np.eye(3), [4, 2, 4], axis=0)  # ten frames of three scenes
    >>> pick_frames(choose_partition(tw_finch(scenes))).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dyto.finch import IntArray

PARTITIONS = ("second-finest", "finest", "coarsest")
MEMBERS = ("middle", "first")

RELEASE_QUOTAS = ((6, 12),)
"""Quotas of the release: up to 6 clusters share 12 frames; more clusters give one frame each."""


def choose_partition(partitions: Sequence[IntArray], which: str = "second-finest") -> IntArray:
    """Pick one level of the hierarchy.

    Args:
        partitions: Partitions, finest first, as `dyto.finch.tw_finch` returns them; at least one.
        which: "second-finest" (the release), "finest" or "coarsest". If there is only one partition, it is taken.

    Returns:
        (T,) int64 labels.

    Raises:
        ValueError: There is no partition, or the name is unknown.
    """
    if not partitions:
        raise ValueError("no partition given, expected at least one")
    if which not in PARTITIONS:
        raise ValueError(f"partition {which!r}, expected one of {', '.join(PARTITIONS)}")
    return {"finest": partitions[0], "second-finest": partitions[:2][-1], "coarsest": partitions[-1]}[which]


def pick_frames(
    labels: npt.ArrayLike,
    quotas: Sequence[tuple[int, int]] = RELEASE_QUOTAS,
    member: str = "middle",
) -> IntArray:
    """Pick the key frames of a partition, without a cap.

    With K clusters, the first quota `(most, frames)` with K <= most applies: each cluster gives its first
    `frames // K` frames (all of them if it has fewer). Beyond all quotas, every cluster gives one frame: the
    member at position `size // 2`, counted from 0.

    Args:
        labels: (T,) cluster of each frame, in presentation order.
        quotas: Pairs (largest number of clusters, frames to share), ascending.
        member: The single frame of a cluster beyond all quotas: "middle" as above, or "first".

    Returns:
        Sorted int64 indices of the key frames.

    Raises:
        ValueError: `labels` is empty or not one-dimensional, or `member` is unknown.

    Source:
        The released selection rule; `quotas=((6, 12), (12, 24))` is the reconstruction for 34B.

    Example:
        >>> pick_frames([0, 0, 0, 1, 1]).tolist()                  # 2 clusters share 12 frames
        [0, 1, 2, 3, 4]
        >>> pick_frames([0, 0, 0, 1, 1, 2, 3, 4, 5, 6]).tolist()   # 7 clusters, one frame each
        [1, 4, 5, 6, 7, 8, 9]
    """
    label = np.asarray(labels)
    if label.ndim != 1 or not len(label):
        raise ValueError(f"labels have shape {label.shape}, expected (T,) with T >= 1")
    if member not in MEMBERS:
        raise ValueError(f"member {member!r}, expected one of {', '.join(MEMBERS)}")
    _, label, size = np.unique(label, return_inverse=True, return_counts=True)
    order = np.argsort(label, kind="stable")  # by cluster, then by time
    starts = np.cumsum(size) - size
    for most, frames in quotas:
        if len(size) <= most:
            rank = np.arange(len(label)) - np.repeat(starts, size)  # position inside its cluster
            return np.sort(order[rank < max(1, frames // len(size))])
    position = np.zeros_like(size) if member == "first" else size // 2
    return np.sort(order[starts + position])


def thin(indices: npt.ArrayLike, most: int) -> IntArray:
    """Thin a sorted list of frames evenly, keeping the first and, if two or more stay, the last.

    Args:
        indices: Sorted frame indices.
        most: Number of frames that may stay, at least 1.

    Returns:
        The indices at `int(linspace(0, n - 1, most))`, or all of them if there are at most `most`.

    Raises:
        ValueError: `most` is below 1.

    Example:
        >>> thin(range(10), 4).tolist()
        [0, 3, 6, 9]
    """
    if most < 1:
        raise ValueError(f"most is {most}, expected at least 1 frame")
    kept = np.asarray(indices, dtype=np.int64)
    return kept[np.linspace(0, len(kept) - 1, min(most, len(kept))).astype(np.int64)]
