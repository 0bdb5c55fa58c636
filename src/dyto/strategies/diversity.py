"""Diverse patches with high attention, chosen one by one."""

from __future__ import annotations

import torch
from torch import Tensor

from dyto.strategies.shared import check_finite, chunks

ATTENTION_SCALE = 1e6
"""Factor that keeps small attention values clear of rounding, as in the release."""


def diverse_patches(
    patches: Tensor, attention: Tensor, relevance: Tensor | None, count: int, repeats: bool = False
) -> Tensor:
    """Choose patches by max-min diversity: each is the furthest from those chosen before it.

    The distance to a patch is 1 - cosine, times the attention that it receives and its relevance. The first is the
    patch that is furthest from its nearest neighbour.

    Args:
        patches: (T, N, D) patches.
        attention: (T, N) attention that each receives.
        relevance: (T, N) further weight, which may be negative; None for no weight.
        count: Patches wanted per frame, 0 to N.
        repeats: Whether a patch can be chosen again if all others have a distance below -1, as in the release.

    Returns:
        (T, count) int64 places in each frame, ascending; ties go to the lower place.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.

    Example:
        >>> x = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, 0.0]]])
        >>> diverse_patches(x, torch.ones(1, 4), None, 2)
        tensor([[0, 3]])
    """
    frames, n, _ = patches.shape
    taken = -1.0 if repeats else -torch.inf
    chosen = torch.empty(frames, count, dtype=torch.int64, device=patches.device)
    for chunk in chunks(frames if count else 0, 4 * n * n, patches.device):
        unit = torch.nn.functional.normalize(patches[chunk].float(), dim=2)
        apart = (1 - unit @ unit.transpose(1, 2)).mul_(attention[chunk, None] * ATTENTION_SCALE)  # (B, N, N)
        if relevance is not None:
            apart.mul_(relevance[chunk, None])
        check_finite(apart[:, 0])
        row = torch.arange(len(apart), device=patches.device)
        chosen[chunk, 0] = second_least(apart).argmax(1)
        nearest = torch.full(apart.shape[:2], torch.inf, device=patches.device)  # (B, N) to any that is chosen
        done = torch.zeros_like(nearest, dtype=torch.bool)
        for step in range(1, count):
            last = chosen[chunk, step - 1]
            nearest = torch.minimum(nearest, apart[row, last])
            done[row, last] = True
            chosen[chunk, step] = nearest.masked_fill(done, taken).argmax(1)
    return chosen.sort(1).values


def second_least(apart: Tensor) -> Tensor:
    """Return (B, N): the second smallest value of each column of (B, N, N), or the only one.

    Example:
        >>> second_least(torch.tensor([[[0.0, 5.0, 1.0], [2.0, 0.0, 1.0], [4.0, 3.0, 0.0]]]))
        tensor([[2., 3., 1.]])
    """
    least, place = apart.min(1, keepdim=True)  # (B, 1, N)
    if apart.shape[1] == 1:
        return least[:, 0]
    apart.scatter_(1, place, torch.inf)
    second = apart.amin(1)
    apart.scatter_(1, place, least)
    return second
