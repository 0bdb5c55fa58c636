"""TW-FINCH: temporally weighted clustering by first neighbours, without parameters.

Sources: Sarfraz, Sharma and Stiefelhagen, "Efficient Parameter-free Clustering Using First Neighbor
Relations" (CVPR 2019); Sarfraz et al., "Temporally-Weighted Hierarchical Clustering for Unsupervised Action
Segmentation" (CVPR 2021).

A few hundred frames are clustered in a few milliseconds, so the work is done in float64 on the CPU whatever
device the features live on: the result is the same everywhere.

Edge cases: one frame is one cluster; two frames are one cluster; a zero vector is at cosine distance 1 from
everything; NaN and infinity are errors; identical frames are told apart by time alone.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

MIN_DISTANCE = 1e-6
"""Cosine distances below this count as this, so that (nearly) identical frames are ordered by time."""


def tw_finch(features: npt.ArrayLike | torch.Tensor, *, temporal: bool = True) -> list[IntArray]:
    """Cluster the frames of a video into nested partitions.

    Args:
        features: (T, D) one feature vector per frame, in presentation order; array or tensor on any device.
        temporal: Weight distances by the distance in time (TW-FINCH); False is plain FINCH.

    Returns:
        Partitions, finest first, each a (T,) int64 array of labels 0 .. K-1, numbered by first appearance.
        Every partition is a coarsening of the one before it. There is always at least one.

    Raises:
        ValueError: The features are not a (T, D) matrix with T >= 1 and D >= 1, or hold NaN or infinity.

    Example:
        >>> import numpy as np
        >>> scenes = np.repeat(np.eye(3), [4, 2, 4], axis=0)      # three scenes of identical frames
        >>> [labels.tolist() for labels in tw_finch(scenes)]
        [[0, 0, 0, 0, 1, 1, 2, 2, 2, 2]]
    """
    x = _as_matrix(features)
    frames = len(x)
    if frames == 1:
        return [np.zeros(1, dtype=np.int64)]

    labels = np.arange(frames, dtype=np.int64)  # every frame its own cluster, to begin with
    partitions: list[IntArray] = []
    count = frames
    # Every cluster is joined with another, so each round at least halves their number: the published rules for a
    # round that merges none, or just one, never come to bear.
    while count > 1:
        links = _first_neighbours(*_representatives(x, labels, count), temporal=temporal)
        labels = _connected_components(links)[labels]
        count = int(labels.max()) + 1
        if partitions and count == 1:
            break  # one cluster of everything says nothing
        partitions.append(labels)
    return partitions


def _as_matrix(features: npt.ArrayLike | torch.Tensor) -> FloatArray:
    if isinstance(features, torch.Tensor):
        features = features.detach().to("cpu", torch.float64).numpy()
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"features have shape {x.shape}, expected (T, D) with T >= 1 and D >= 1")
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise ValueError(
            f"features of {len(bad)} of {len(x)} frames hold NaN or infinity (the first is frame {bad[0]})"
        )
    return x


def _representatives(x: FloatArray, labels: IntArray, count: int) -> tuple[FloatArray, IntArray, IntArray]:
    """The mean features of each cluster, and its mean time as an exact fraction (sum of indices, size)."""
    size = np.bincount(labels, minlength=count)  # (K,)
    time_sum = np.zeros(count, dtype=np.int64)
    np.add.at(time_sum, labels, np.arange(len(labels)))
    if count == len(x):
        return x, time_sum, size
    order = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(size)[:-1]])
    means = np.add.reduceat(x[order], starts, axis=0) / size[:, None]  # (K, D)
    return means, time_sum, size


def _first_neighbours(means: FloatArray, time_sum: IntArray, size: IntArray, *, temporal: bool) -> IntArray:
    """For each cluster the index of its nearest other cluster; ties go to the lower index."""
    norm = np.linalg.norm(means, axis=1, keepdims=True)
    unit = np.divide(means, norm, out=np.zeros_like(means), where=norm > 0)
    distance = np.maximum(1.0 - unit @ unit.T, MIN_DISTANCE)  # (K, K)
    if temporal:
        # |mean time i - mean time j| over one common denominator: equal gaps give equal floats. The factor
        # 1 / T of the papers is the same for all and left out.
        gap = np.abs(time_sum[:, None] * size[None, :] - time_sum[None, :] * size[:, None])
        distance *= gap / (size[:, None] * size[None, :])
    np.fill_diagonal(distance, np.inf)
    nearest: IntArray = distance.argmin(axis=1)
    return nearest


def _connected_components(links: IntArray) -> IntArray:
    """Label the components of the undirected graph i - links[i], numbered by their lowest member."""
    root: IntArray = np.arange(len(links), dtype=np.int64)
    while True:
        lower = np.minimum(root, root[links])
        np.minimum.at(lower, links, root)
        lower = lower[lower]  # follow the pointers one step further
        if np.array_equal(lower, root):
            break
        root = lower
    return np.unique(root, return_inverse=True)[1].astype(np.int64)


def cluster_counts(partitions: list[Any]) -> list[int]:
    """The number of clusters in each partition, as `tw_finch` orders them (finest first)."""
    return [int(np.max(labels)) + 1 for labels in partitions]
