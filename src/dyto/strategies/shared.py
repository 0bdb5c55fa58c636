"""Helpers of several strategies: share a budget, process frames in chunks, record where tokens come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.features import FrameFeatures, KeyFrames, Sources, VisualTokens, usable_features
from dyto.finch import FloatArray, IntArray

CHUNK_BYTES = {"cpu": 1 << 24}
"""Bytes of patches per chunk, by kind of device: on a CPU what the allocator reuses instead of fetching new pages,
elsewhere (`OTHER_CHUNK_BYTES`) enough to keep the device busy; small compared with the tokens themselves."""

OTHER_CHUNK_BYTES = 1 << 28

CACHED = 4
"""Factor by which chunks are smaller that are only read and compared, so that they stay in a CPU's cache."""

ROUNDS = 60
"""Steps in which bisection finds a rate to the precision of floats."""


def shares(total: int, parts: int) -> IntArray:
    """Split a total into whole numbers that are as equal as possible, with the larger ones evenly spread.

    Example:
        >>> shares(7, 3).tolist()
        [2, 2, 3]
    """
    return np.diff(np.arange(parts + 1, dtype=np.int64) * total // parts)


def chunks(count: int, item_bytes: int, device: torch.device) -> Iterator[slice]:
    """Yield slices that cover `count` items in pieces that fit memory well."""
    step = max(1, CHUNK_BYTES.get(device.type, OTHER_CHUNK_BYTES) // max(1, item_bytes))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def frame_chunks(patches: Tensor) -> Iterator[slice]:
    """Yield slices of frames that cover (T, N, D) patches; on a CPU small enough for its cache."""
    held = 4 * CACHED if patches.device.type == "cpu" else 4
    return chunks(len(patches), held * patches[:1].numel(), patches.device)


def group_sums(x: Tensor, owner: Tensor, groups: int) -> Tensor:
    """Sum rows by group, in an order that never varies.

    Args:
        x: (n, D) rows, in float32.
        owner: (n,) int64 group of each row.
        groups: Number of groups.

    Returns:
        (groups, D) float32.
    """
    total = x.new_zeros(groups, x.shape[1])
    if x.device.type == "cpu":
        return total.index_add_(0, owner, x)
    for rows in chunks(len(x), 4 * groups, x.device):  # elsewhere index_add adds in any order; a product does not
        member = owner[rows] == torch.arange(groups, device=x.device)[:, None]  # (groups, rows)
        total += member.to(x.dtype) @ x[rows]
    return total


def apportion(weights: npt.ArrayLike, total: int, most: npt.ArrayLike | None = None) -> IntArray:
    """Split a total in proportion to weights: shares are rounded down, those with the largest remainders up.

    Args:
        weights: (n,) weights, not negative and not all 0.
        total: The sum of the result; at most the sum of `most`.
        most: (n,) upper bounds; None for no bounds. An excess goes to those that are not full.

    Returns:
        (n,) int64; of equal remainders, the lower place is rounded up.

    Example:
        >>> apportion([1, 1, 2], 6).tolist(), apportion([1, 1, 8], 6, [9, 9, 2]).tolist()
        ([2, 1, 3], [2, 2, 2])
    """
    weight = np.asarray(weights, np.float64)
    room = np.full(len(weight), total) if most is None else np.asarray(most, np.int64)
    wanted = weight / weight.sum() * total
    given = np.minimum(np.floor(wanted).astype(np.int64), room)
    while given.sum() < total:
        order = np.argsort(given - wanted, kind="stable")  # the furthest below its share first
        order = order[given[order] < room[order]][: total - given.sum()]
        given[order] += 1
    return given


def hit_total(scale: FloatArray, rounded: Callable[[FloatArray], IntArray], total: int, most: IntArray) -> IntArray:
    """Split a total into whole numbers in proportion to a scale, rounded by a given rule.

    Args:
        scale: (n,) the proportions, not all 0.
        rounded: Rounds (n,) rate * scale to whole numbers; it never falls if the rate rises.
        total: The sum of the result; at most the sum of `most`.
        most: (n,) upper bounds, which are reached at a high rate.

    Returns:
        (n,) int64, rounded at the rate at which they add up to the total; if that rate exists, the result is
        unique. Otherwise at the highest rate that stays below, and the rest goes to the largest remainders.

    Example:
        >>> round_up = lambda wanted: np.ceil(wanted).astype(np.int64)
        >>> hit_total(np.array([1.0, 9.0]), round_up, 7, np.array([1, 9])).tolist()
        [1, 6]
    """
    low, high = 0.0, float((most[scale > 0] / scale[scale > 0]).max())
    if rounded(high * scale).sum() <= total:
        low = high
    for _ in range(ROUNDS if low < high else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if rounded(middle * scale).sum() <= total else (low, middle)
    given, wanted = rounded(low * scale), np.minimum(low * scale, most)
    while given.sum() < total:
        order = np.argsort(given - wanted, kind="stable")  # the furthest below its share first
        order = order[given[order] < most[order]][: total - given.sum()]
        given[order] += 1
    return given


def first_largest(scores: Tensor, count: int) -> Tensor:
    """Return (..., count) int64 places of the largest scores of the last axis, largest first; ties: lower place."""
    return torch.sort(scores, dim=-1, descending=True, stable=True).indices[..., :count]


def largest(scores: Tensor, count: int) -> Tensor:
    """Return (..., count) int64 places of the largest scores of the last axis, ascending; ties: lower place."""
    return first_largest(scores, count).sort(-1).values


def among_largest(scores: Tensor, counts: IntArray) -> Tensor:
    """Mark in each row as many of the largest scores as wanted, (T,): (T, N) bool; ties: lower place."""
    rank = torch.sort(first_largest(scores, scores.shape[1]), dim=1).indices
    return rank < torch.as_tensor(counts, device=scores.device)[:, None]


def take_rows(x: Tensor, places: Tensor) -> Tensor:
    """Take the tokens at places (B, k) from frames (B, N, D): (B, k, D)."""
    return x[torch.arange(len(x), device=x.device)[:, None], places]


def other_places(places: Tensor, n: int) -> Tensor:
    """Return (B, n - k): the places of each frame that are not among (B, k) different ones, ascending."""
    free = torch.ones(len(places), n, dtype=torch.bool, device=places.device).scatter_(1, places, False)
    return free.nonzero()[:, 1].view(len(places), -1)


def check_finite(scores: Tensor) -> None:
    """Check that features can be compared.

    Raises:
        BadFeaturesError: A score is NaN or infinite.
    """
    with usable_features():
        if not torch.isfinite(scores).all():
            raise ValueError("they hold NaN or infinity")


def assemble(
    features: FrameFeatures,
    data: Tensor,
    frame: IntArray,
    sources: tuple[IntArray, IntArray, IntArray],
    budget: int,
    **rest: Any,
) -> VisualTokens:
    """Return tokens with their provenance.

    Args:
        features: Features of the T sampled frames.
        data: (L, D) tokens.
        frame: (L,) position of each token's frame.
        sources: (M,) token, frame and patch of each merged patch, sorted by token.
        budget: The token budget.
        **rest: Further fields of `VisualTokens`.

    Returns:
        The tokens; frames without tokens are not key frames.
    """
    token, source_frame, patch = sources
    used = np.flatnonzero(np.bincount(np.concatenate([frame, source_frame])))
    return VisualTokens(
        data=data,
        keyframes=KeyFrames.of(features, used),
        keyframe=np.searchsorted(used, frame),
        sources=Sources(token, np.searchsorted(used, source_frame), patch),
        grid=features.grid,
        budget=budget,
        uncompressed=features.num_seen * features.num_patches,
        **rest,
    )


def keep_patches(features: FrameFeatures, patches: Tensor, kept: Tensor, budget: int, **rest: Any) -> VisualTokens:
    """Keep some patches of all frames unmerged, and drop the others.

    Args:
        features: Features of the T sampled frames.
        patches: (T, N, D) their patches.
        kept: (L,) int64 places among the T * N patches, ascending.
        budget: The token budget.
        **rest: Further fields of `VisualTokens`.

    Returns:
        L tokens, in the order of the video.
    """
    places, n = kept.to(patches.device), features.num_patches
    data = patches[places // n, places % n]
    frame, patch = np.divmod(kept.cpu().numpy(), n)
    return assemble(features, data, frame, (np.arange(len(kept)), frame, patch), budget, **rest)
