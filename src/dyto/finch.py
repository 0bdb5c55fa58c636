"""TW-FINCH: parameter-free, temporally weighted clustering by first neighbours.

Sources: Sarfraz, Sharma and Stiefelhagen, "Efficient Parameter-free Clustering Using First Neighbor
Relations" (CVPR 2019); Sarfraz et al., "Temporally-Weighted Hierarchical Clustering for Unsupervised Action
Segmentation" (CVPR 2021).

It runs on the CPU, whatever the device of the features, and the result is that of float64: for each cluster, float32
finds the few others that may be nearest within its error, and float64 decides between them. The distances of all pairs
are never in memory together.

Edge cases: one frame is one cluster; two frames are one cluster; a zero vector is at cosine distance 1 from
everything; NaN and infinity are errors; only time distinguishes identical frames.

Example:
    >>> import numpy as np
    >>> scenes = np.repeat(np.eye(3), [4, 2, 4], axis=0)  # ten frames of three scenes
    >>> tw_finch(scenes)[0].tolist()
    [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

MIN_DISTANCE = 1e-6
"""Smallest cosine distance; smaller ones are raised to it, so that (nearly) identical frames are ordered by time."""

CELLS = 1 << 18
"""Number of pairs of clusters compared at a time, so that they fit the processor's cache."""

FEW = 0.05
"""Largest share of these pairs that is looked at one by one in float64; if more may be nearest, all are."""

CANCELLED = 1e-12
"""Length of a sum relative to its parts below which nothing is left of it but rounding."""


RANK = 64
"""Number of vectors in whose space clusters are compared first."""


class _Clusters(NamedTuple):
    """Clusters of frames, K of them.

    Attributes:
        sums: (K, D) sums of features, float64, or at first the features in their own dtype.
        size: (K,) frames.
        time_sum: (K,) sums of their positions.
        lengths: (K,) sums of the lengths of their features.
    """

    sums: torch.Tensor
    size: IntArray
    time_sum: IntArray
    lengths: FloatArray


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
    x = _matrix(features)
    frames = len(x)
    positions = np.arange(frames, dtype=np.int64)
    # At first every frame is its own cluster. Sums over a cluster are sums over its parts.
    clusters = _Clusters(x, np.ones(frames, np.int64), positions, _lengths(x))
    labels = positions
    partitions: list[IntArray] = []
    # Every cluster joins another, so each round at least halves their number. The published rules for rounds that
    # merge nothing, or one pair, never apply.
    while True:
        joined = _connected_components(_first_neighbours(clusters, temporal))  # (K,)
        if partitions and not joined.any():
            return partitions  # a single cluster carries no information
        labels = joined[labels]
        partitions.append(labels)
        clusters = _Clusters(
            _summed(clusters.sums, joined),
            np.bincount(joined, clusters.size).astype(np.int64),
            np.bincount(joined, clusters.time_sum).astype(np.int64),
            np.bincount(joined, clusters.lengths).astype(np.float64),
        )


def as_matrix(features: npt.ArrayLike | torch.Tensor) -> FloatArray:
    """Return features as a finite float64 matrix, (T, D) on the CPU, or raise a ValueError."""
    matrix: FloatArray = _matrix(features).double().numpy()
    return matrix


def _matrix(features: npt.ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return features as a finite matrix, (T, D) on the CPU in float32 or float64, or raise a ValueError."""
    if not isinstance(features, torch.Tensor):
        given = np.asarray(features)
        features = torch.from_numpy(np.ascontiguousarray(given, np.float32 if given.dtype == np.float32 else float))
    x = features.detach().cpu()
    x = x if x.dtype == torch.float64 else x.float() if x.is_floating_point() else x.double()
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"features have shape {tuple(x.shape)}, expected (T, D) with T >= 1 and D >= 1")
    if not bool(x.sum().isfinite()) and len(bad := (~x.isfinite().all(1)).nonzero()):
        raise ValueError(
            f"features of {len(bad)} of {len(x)} frames hold NaN or infinity (the first is frame {int(bad[0])})"
        )
    return x


def _blocks(count: int, width: int) -> list[slice]:
    """Cut `count` rows into blocks of about `CELLS` numbers, for rows of `width`."""
    rows = max(1, CELLS // width)
    return [slice(start, min(start + rows, count)) for start in range(0, count, rows)]


def _lengths(rows: torch.Tensor) -> FloatArray:
    """Return the lengths of rows, (K,), in float64: roots of their squares doubled, as all products here are.

    Doubled or not, cosines are the same but for rounding, and rounding decides between clusters that are equally near.
    """
    squares = [2 * rows[block].double().square().sum(1) for block in _blocks(*rows.shape)]
    lengths: FloatArray = torch.cat(squares).sqrt_().numpy()
    return lengths


def _summed(rows: torch.Tensor, groups: IntArray) -> torch.Tensor:
    """Sum the rows of each group in float64, in order. Torch does it because numpy adds one number at a time."""
    sums = torch.zeros((int(groups.max()) + 1, rows.shape[1]), dtype=torch.float64)
    for block in _blocks(*rows.shape):
        sums.index_add_(0, torch.from_numpy(groups[block]), rows[block].double())
    return sums


def _first_neighbours(clusters: _Clusters, temporal: bool) -> IntArray:
    """Return for each cluster the index of its nearest other cluster; ties go to the lower index.

    Clusters are compared by the means of their frames.
    """
    count, dim = clusters.sums.shape
    if count == 1:
        return np.zeros(1, np.int64)
    norm = _lengths(clusters.sums)
    norm[norm <= CANCELLED * clusters.lengths] = 0  # as a zero vector: at distance 1 from everything
    exact = _Exact(clusters, norm, temporal)
    unit = torch.empty((count, dim), dtype=torch.float32)
    inverse = torch.from_numpy(np.divide(2**0.5, norm, out=np.zeros_like(norm), where=norm > 0))
    usual = norm[norm > 0]  # float32 holds such lengths and their inverses
    dtype = torch.float32 if len(usual) and 1e-30 < usual.min() <= usual.max() < 1e30 else torch.float64
    for block in _blocks(count, dim):
        unit[block] = clusters.sums[block].to(dtype) * inverse[block, None].to(dtype)
    # Rounding of the inputs, and of sums of `dim` products whose errors mostly cancel: several times what is measured.
    error = 2.0**-24 * (8 + 2 * dim**0.5)
    times = clusters.time_sum / clusters.size
    ways = [unit] if not temporal or dim < 4 * RANK or count < 8 * RANK else [_sketch(unit, error), unit]
    nearest = np.empty(count, np.int64)
    everyone = torch.arange(count)
    for block in _blocks(count, count):
        rows, columns = everyone[block], everyone
        for way in list(ways):
            distance = way[block] @ (way if columns is everyone else way[columns]).T  # (B, C), within `error`
            distance = distance.neg_().add_(1).clamp_(min=MIN_DISTANCE)
            gap, slack = _gaps(times, rows, columns) if temporal else (torch.ones(distance.shape), 0.0)
            gap[rows[:, None] == columns] = torch.inf  # nobody is a neighbour of its own
            # No neighbour is farther than the one that seems nearest, and the others' distances have lower bounds.
            closest = (distance * gap).argmin(1, keepdim=True)
            most = 1 - (unit[block] * unit[columns[closest[:, 0]]]).sum(1, keepdim=True) + error
            most = most.clamp_(min=MIN_DISTANCE).mul_(1 + 2.0**-20) * (gap.gather(1, closest) + slack)
            gap = gap.mul_(1 - 2.0**-22).sub_(slack).clamp_(min=0)
            may = distance.sub_(error).clamp_(min=MIN_DISTANCE).mul_(gap) <= most  # (B, C)
            left = may.any(0)
            if way is not unit and int(left.sum()) > count // 2:
                ways = [unit]  # what does not help with one block will not with the next
                left[:] = True
            if way is not unit:
                columns = columns[left]
        if int(may.sum()) > FEW * len(rows) * count:
            nearest[block] = exact.rows(block)
            continue
        first, second = (part.numpy() for part in may.nonzero(as_tuple=True))
        second = columns.numpy()[second]
        found = np.zeros(len(first))
        doubtful = np.bincount(first)[first] > 1  # where only one may be nearest, it is
        found[doubtful] = exact.pairs(first[doubtful] + block.start, second[doubtful])
        order = np.lexsort((second, found, first))  # row after row, the nearest first, and of equals the lowest
        nearest[block] = second[order][np.unique(first[order], return_index=True)[1]]
    return nearest


def _gaps(times: FloatArray, rows: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return the distances in time between clusters, (B, C) in float32, and a bound on their absolute error."""
    near = torch.from_numpy(times - times[int(rows[0])]).float()  # small numbers near the rows, so exact there
    here = near[rows]
    return (here[:, None] - near[columns]).abs_(), 2.0**-22 * float(here.abs().max() + 1)


def _sketch(unit: torch.Tensor, error: float) -> torch.Tensor:
    """Return short vectors, (K, RANK + 1), whose products are at least those of vectors of length 1.

    They are coordinates in the space of a few of the vectors, and the length of what is outside it (Cauchy-Schwarz).

    Args:
        unit: (K, D) vectors.
        error: Bound on the error of their products.
    """
    chosen = torch.linspace(0, len(unit) - 1, RANK).long()
    basis = torch.linalg.qr(unit[chosen].T)[0]  # (D, RANK)
    inside = unit @ basis
    outside = (1 + 4 * error - inside.square().sum(1, keepdim=True)).clamp_(min=4 * error).sqrt_()
    return torch.cat([inside, outside], 1)


class _Exact:
    """Distances in float64.

    Args:
        clusters: The clusters.
        norm: (K,) lengths of their sums.
        temporal: Whether distances are weighted by time.
    """

    def __init__(self, clusters: _Clusters, norm: FloatArray, temporal: bool) -> None:
        self._sums, self._size, self._time_sum, _ = clusters
        self._norm, self._temporal = norm, temporal

    def pairs(self, first: IntArray, second: IntArray) -> FloatArray:
        """Return the distances of pairs of clusters, (P,)."""
        products = np.empty(len(first))
        for block in _blocks(len(first), self._sums.shape[1]):
            one, other = self._sums[torch.from_numpy(first[block])], self._sums[torch.from_numpy(second[block])]
            products[block] = 2 * one.double().mul_(other).sum(1).numpy()
        return self._distances(products, first, second)

    def rows(self, block: slice) -> IntArray:
        """Return the nearest other cluster of each of some clusters, compared with all."""
        first = np.arange(block.start, block.stop)[:, None]
        some = self._sums[block].double()
        products = 2 * np.hstack(
            [(some @ part.double().T).numpy() for part in torch.split(self._sums, 1 << 10)]
        )  # (B, K)
        distance = self._distances(products, first, np.arange(len(self._size))[None, :])
        distance[np.arange(len(first)), first[:, 0]] = np.inf
        nearest: IntArray = distance.argmin(axis=1)
        return nearest

    def _distances(self, products: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
        scale = self._norm[first] * self._norm[second]
        cosine = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
        distance: FloatArray = np.maximum(1.0 - cosine, MIN_DISTANCE)
        if self._temporal:
            # |mean time i - mean time j| over a common denominator, so equal gaps give equal floats. The papers'
            # factor 1 / T is the same for all and left out.
            size, other = self._size[first], self._size[second]
            distance = distance * (
                np.abs(self._time_sum[first] * other - self._time_sum[second] * size) / (size * other)
            )
        return distance


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
