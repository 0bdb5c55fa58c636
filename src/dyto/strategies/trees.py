"""Trees of similar patches over time: each patch may join the most similar one of the previous frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.finch import FloatArray, IntArray
from dyto.strategies.shared import check_finite, chunks, group_sums

BoolArray = npt.NDArray[np.bool_]

NONE = -1.0
"""Similarity of a patch that can join nothing."""


def find_links(patches: Tensor, chosen: Tensor, ends: list[int]) -> tuple[FloatArray, IntArray]:
    """Find the most similar patch in the previous frame for each patch.

    Args:
        patches: (T, N, D) patches.
        chosen: (T, N) bool, patches that take no part.
        ends: Ends of the segments; patches join only within a segment.

    Returns:
        (T, N) float32 cosines, `NONE` for a patch that can join nothing; and (T, N) int64 place in the previous frame.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.
    """
    frames, n, _ = patches.shape
    alike = torch.full((frames, n), NONE, device=patches.device)
    parent = torch.zeros(frames, n, dtype=torch.int64, device=patches.device)
    for start, stop in zip([0, *ends], ends, strict=False):
        for chunk in chunks(stop - start - 1, 4 * n * n, patches.device):
            rows = slice(start + chunk.start, start + chunk.stop + 1)
            unit = torch.nn.functional.normalize(patches[rows].float(), dim=2)
            cosine = unit[1:] @ unit[:-1].transpose(1, 2)  # (B, N, N)
            cosine.masked_fill_(chosen[rows][1:, :, None], NONE).masked_fill_(chosen[rows][:-1, None], NONE)
            check_finite(cosine[:, 0])
            alike[rows][1:], parent[rows][1:] = cosine.max(2)
    return alike.cpu().numpy(), parent.cpu().numpy()


def links_above(alike: FloatArray, threshold: float, least: int) -> BoolArray:
    """Return which patches of a segment join the previous frame.

    Args:
        alike: (t, N) similarities from `find_links`.
        threshold: The similarity must be above this.
        least: Smallest number of patches that join nothing; for this the threshold rises to the similarity of a patch,
            which then joins nothing, either.

    Returns:
        (t, N).

    Example:
        >>> alike = np.array([[-1.0, -1.0, -1.0], [0.9, 0.95, 0.7]])
        >>> [links_above(alike, 0.8, least)[1].tolist() for least in (3, 5)]
        [[True, True, False], [False, False, False]]
    """
    linked = alike > threshold
    if alike.size - linked.sum() < least:
        ranked = np.sort(alike, axis=None)[::-1]
        linked = alike > max(float(ranked[alike.size - least - 1]), NONE + 1e-6)
    return linked


def roots_of(linked: BoolArray, parent: IntArray) -> IntArray:
    """Return the (T, N) root of each patch's tree, as a place among all T * N patches.

    Example:
        >>> linked, parent = np.array([[False, False], [True, False]]), np.array([[0, 0], [1, 0]])
        >>> roots_of(linked, parent).tolist()
        [[0, 1], [1, 3]]
    """
    root = np.arange(linked.size).reshape(linked.shape)
    for frame in range(1, len(root)):
        root[frame] = np.where(linked[frame], root[frame - 1][parent[frame]], root[frame])
    return root


def tree_sums(patches: Tensor, members: Tensor, owner: Tensor, count: int) -> Tensor:
    """Sum patches by tree: (count, D) float32, computed in chunks.

    Args:
        patches: (T, N, D) patches.
        members: (m,) places of the patches in these trees.
        owner: (m,) tree of each.
        count: Number of trees.
    """
    _, n, dim = patches.shape
    sums = torch.zeros(count, dim, device=patches.device)
    for chunk in chunks(len(members), 4 * dim, patches.device):
        rows = patches[members[chunk] // n, members[chunk] % n]  # (m, D)
        sums += group_sums(rows.float(), owner[chunk], count)
    return sums
