"""TW-FINCH: parameter-free, temporally weighted clustering by first neighbours.

Sources: Sarfraz, Sharma and Stiefelhagen, "Efficient Parameter-free Clustering Using First Neighbor
Relations" (CVPR 2019); Sarfraz et al., "Temporally-Weighted Hierarchical Clustering for Unsupervised Action
Segmentation" (CVPR 2021).

Clustering a few hundred frames takes a few milliseconds, so it runs in float64 on the CPU, whatever the device of
the features: the result is the same everywhere.

Edge cases: one frame is one cluster; two frames are one cluster; a zero vector is at cosine distance 1 from
everything; NaN and infinity are errors; only time distinguishes identical frames.

Example:
    >>> import numpy as np
    >>> scenes = np.repeat(np.eye(3), [4, 2, 4], axis=0)  # ten frames of three scenes
    >>> tw_finch(scenes)[0].tolist()
    [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
_Rows = TypeVar("_Rows", FloatArray, IntArray)

MIN_DISTANCE = 1e-6
"""Smallest cosine distance; smaller ones are raised to it, so that (nearly) identical frames are ordered by time."""

ROWS = 32
"""Number of clusters compared with all others at a time."""


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
    # At first every frame is its own cluster. Sums over a cluster are sums over its parts.
    products = _inner_products(x)  # (K, K) of the feature sums; nothing else of the features is needed
    size = np.ones(frames, np.int64)  # (K,) frames
    time_sum = np.arange(frames, dtype=np.int64)  # (K,) sum of their positions
    labels = time_sum
    partitions: list[IntArray] = []
    # Every cluster joins another, so each round at least halves their number. The published rules for rounds that
    # merge nothing, or one pair, never apply.
    while True:
        joined = _connected_components(_first_neighbours(products, size, time_sum, temporal))  # (K,)
        if partitions and not joined.any():
            return partitions  # a single cluster carries no information
        labels = joined[labels]
        partitions.append(labels)
        products = _summed(_summed(products, joined).T, joined)
        size, time_sum = _summed(size, joined), _summed(time_sum, joined)


def as_matrix(features: npt.ArrayLike | torch.Tensor) -> FloatArray:
    """Return features as a finite float64 matrix, (T, D) on the CPU, or raise a ValueError."""
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
    """Return the (T, T) inner products, doubled, exactly symmetric.

    Torch computes them because numpy's threads stall when other work shares the cores.
    """
    rows = torch.from_numpy(x)
    products = rows @ rows.T
    both: FloatArray = (products + products.T).numpy()
    return both


def _summed(rows: _Rows, groups: IntArray) -> _Rows:
    """Sum the rows of each group, in order. Torch does it because numpy adds rows one number at a time."""
    values: torch.Tensor = torch.from_numpy(np.ascontiguousarray(rows))
    sums = values.new_zeros((int(groups.max()) + 1, *values.shape[1:]))
    summed: _Rows = sums.index_add_(0, torch.from_numpy(groups), values).numpy()
    return summed


def _first_neighbours(products: FloatArray, size: IntArray, time_sum: IntArray, temporal: bool) -> IntArray:
    """Return for each cluster the index of its nearest other cluster; ties go to the lower index.

    Clusters are compared by the means of their frames. `products` holds doubled products of sums; cosines are the same.
    """
    norm = np.sqrt(np.maximum(products.diagonal(), 0))  # (K,)
    nearest = np.empty(len(size), np.int64)
    for start in range(0, len(size), ROWS):  # B rows at a time fit the processor's cache
        block = slice(start, start + ROWS)
        scale = norm[block, None] * norm[None, :]
        cosine = np.divide(products[block], scale, out=np.zeros_like(scale), where=scale > 0)
        distance = np.maximum(1.0 - cosine, MIN_DISTANCE)  # (B, K)
        if temporal:
            # |mean time i - mean time j| over a common denominator, so equal gaps give equal floats. The papers'
            # factor 1 / T is the same for all and left out.
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
        lower = lower[lower]  # follow each pointer one step further
        if np.array_equal(lower, root):
            break
        root = lower
    return np.unique(root, return_inverse=True)[1].astype(np.int64)
