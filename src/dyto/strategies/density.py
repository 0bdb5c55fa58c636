"""Density peaks: points that are close to many others, and far from any denser point."""

from __future__ import annotations

import torch
from torch import Tensor

from dyto.strategies.shared import check_finite, chunks, first_largest, group_sums, take_rows


def density_peaks(patches: Tensor, frames: Tensor, places: Tensor, neighbours: int) -> Tensor:
    """Score how much each patch is a density peak among the patches of its frame.

    Args:
        patches: (T, N, D) patches.
        frames: (A,) frames to score.
        places: (A, R) patches of these frames to use.
        neighbours: Number of nearest patches for the density.

    Returns:
        (A, R) float32: density, exp(-mean squared distance to the nearest patches), times the distance to the
        nearest patch of higher density (for the densest, the largest distance). Distances are between L2-normalised
        vectors. Of two equally dense patches, the one at the lower place counts as denser.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.
    """
    size = places.shape[1]
    scores = torch.empty(places.shape, device=patches.device)
    near = min(neighbours, size - 1)
    for chunk in chunks(len(frames), 4 * size * size, patches.device):
        x = torch.nn.functional.normalize(take_rows(patches[frames[chunk]], places[chunk]).float(), dim=2)
        squares = (2 - 2 * x @ x.transpose(1, 2)).clamp_min_(0)  # (B, R, R)
        check_finite(squares[:, 0])
        squares.diagonal(dim1=1, dim2=2).zero_()
        # The nearest is the patch itself, at distance 0, so it adds nothing to the sum.
        nearest = squares.topk(near + 1, dim=2, largest=False).values.sum(2) / max(1, near)
        order = torch.sort(nearest, dim=1, stable=True).indices  # the densest first
        rank = torch.sort(order, dim=1).indices
        denser = rank[:, None, :] < rank[:, :, None]  # (B, R, R): the second is denser than the first
        apart = squares.masked_fill(~denser, torch.inf).amin(2)  # (B, R)
        apart = torch.where(rank == 0, squares.amax(2), apart)
        scores[chunk] = torch.exp(-nearest) * apart.sqrt()
    return scores


def join(x: Tensor, others: Tensor, centres: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Let tokens join the centre most similar to them by cosine; ties go to the lower one.

    Args:
        x: (n, D) tokens.
        others: (m,) indices of the tokens that join.
        centres: (c,) indices of the centres.

    Returns:
        (m,) int64 centre of each, counted from 0; (c, D) float32 mean of the tokens that joined it, zero for none;
        and (c, 1) their number.
    """
    count = len(centres)
    unit = torch.nn.functional.normalize(x[centres].float(), dim=1)
    joined = torch.empty(len(others), dtype=torch.int64, device=x.device)
    sums = torch.zeros(count, x.shape[1], device=x.device)
    for chunk in chunks(len(others), 4 * (count + x.shape[1]), x.device):
        rows = x[others[chunk]].float()
        joined[chunk] = (rows @ unit.T).argmax(1)  # the length of a row does not change its order
        sums += group_sums(rows, joined[chunk], count)
    sizes = torch.bincount(joined, minlength=count)[:, None]
    return joined, sums / sizes.clamp_min(1), sizes


TIES = ("place", "release")
"""The order of equal density peaks, see `highest`."""


def distances(x: Tensor) -> Tensor:
    """Return (..., R, R) float32 Euclidean distances between (..., R, D) points, divided by the root of D."""
    return torch.cdist(x.float(), x.float()) / x.shape[-1] ** 0.5


def peak_scores(apart: Tensor, neighbours: int) -> Tensor:
    """Score how much each point is a density peak, as code in this field computes DPC-kNN (Du et al., 2016).

    Args:
        apart: (R, R) distances between points.
        neighbours: Number of nearest points for the density, including the point itself.

    Returns:
        (R,) density, exp(-mean squared distance to the nearest points), times the distance to the nearest denser
        point; for the densest, the largest distance of all.

    Example:
        >>> peak_scores(torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]]), 1).tolist()
        [3.0, 3.0, 3.0]
    """
    near = apart.topk(min(neighbours, len(apart)), dim=1, largest=False).values
    density = torch.exp(-near.square().mean(1))
    denser = density[None, :] > density[:, None]  # (R, R): the second is denser than the first
    return density * torch.where(denser, apart, apart.max()).amin(1)


def highest(scores: Tensor, count: int, ties: str) -> Tensor:
    """Return the (count,) int64 indices of the highest of (R,) scores, the highest first.

    Args:
        scores: The scores.
        count: Number of places wanted.
        ties: Order of ties: the lowest "place" first, or "release", as in `torch.topk`.
    """
    if ties == "release":
        return scores.topk(count).indices
    return first_largest(scores, count)


def nearest_centre(apart: Tensor, centres: Tensor) -> Tensor:
    """Return (R,) int64 nearest centres of the points; ties go to the first, and a centre's is itself.

    Example:
        >>> apart = torch.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
        >>> nearest_centre(apart, torch.tensor([2, 0])).tolist()
        [1, 1, 0]
    """
    joined = apart[:, centres].argmin(1)
    joined[centres] = torch.arange(len(centres), device=apart.device)
    return joined
