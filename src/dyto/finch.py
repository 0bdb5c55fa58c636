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

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

MIN_DISTANCE = 1e-6
"""Cosine distances below this count as this, so that (nearly) identical frames are ordered by time."""

ROWS = 64
"""Clusters that are compared with all others at a time."""


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
    x = as_matrix(features)
    frames = len(x)
    if frames == 1:
        return [np.zeros(1, dtype=np.int64)]

    products = _inner_products(x)  # all that is ever needed of the features
    labels = np.arange(frames, dtype=np.int64)  # every frame its own cluster, to begin with
    partitions: list[IntArray] = []
    count = frames
    # Every cluster is joined with another, so each round at least halves their number: the published rules for a
    # round that merges none, or just one, never come to bear.
    while count > 1:
        labels = _connected_components(_first_neighbours(products, labels, count, temporal))[labels]
        count = int(labels.max()) + 1
        if partitions and count == 1:
            break  # one cluster of everything says nothing
        partitions.append(labels)
    return partitions


def as_matrix(features: npt.ArrayLike | torch.Tensor) -> FloatArray:
    """One finite float64 vector per frame, (T, D) on the CPU; a ValueError says what else was found."""
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


def _inner_products(x: FloatArray) -> FloatArray:
    """(T, T), exactly symmetric. By torch: numpy's threads stall where other work shares the cores."""
    rows = torch.from_numpy(x)
    products = (rows @ rows.T).numpy()
    return (products + products.T) / 2


def _first_neighbours(products: FloatArray, labels: IntArray, count: int, temporal: bool) -> IntArray:
    """For each cluster the index of its nearest other cluster; ties go to the lower index.

    Clusters are compared by the means of their original members, whose inner products are means of `products`.
    """
    size = np.bincount(labels, minlength=count)  # (K,)
    order = np.argsort(labels, kind="stable")
    starts = np.cumsum(size) - size
    if count < len(labels):
        rows = np.add.reduceat(products[order], starts, axis=0)  # (K, T)
        products = np.add.reduceat(rows[:, order], starts, axis=1)  # (K, K), times the sizes: cosines do not care
    norm = np.sqrt(np.maximum(products.diagonal(), 0))  # (K,)
    time_sum = np.add.reduceat(order, starts)  # (K,)
    nearest = np.empty(count, np.int64)
    for start in range(0, count, ROWS):  # a few rows at a time, B of them, stay in the processor's cache
        block = slice(start, start + ROWS)
        scale = norm[block, None] * norm[None, :]
        cosine = np.divide(products[block], scale, out=np.zeros_like(scale), where=scale > 0)
        distance = np.maximum(1.0 - cosine, MIN_DISTANCE)  # (B, K)
        if temporal:
            # |mean time i - mean time j| over one common denominator: equal gaps give equal floats. The factor
            # 1 / T of the papers is the same for all and left out.
            gap = np.abs(time_sum[block, None] * size[None, :] - time_sum[None, :] * size[block, None])
            distance *= gap / (size[block, None] * size[None, :])
        np.fill_diagonal(distance[:, start:], np.inf)
        nearest[block] = distance.argmin(axis=1)
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
