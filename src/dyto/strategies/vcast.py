"""V-CAST: patches of large norm that differ from their frame; more of them where the video changes course.

Source: "V-CAST: Video Curvature-Aware Spatio-Temporal Pruning for Efficient Video Large Language Models" (arXiv
2603.27650), as its code does it. docs/rivals.md lists the differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import IntArray
from dyto.strategies.base import EncodesAll, check_at_least, check_words
from dyto.strategies.shared import among_largest, check_finite, frame_chunks, keep_patches

TINY = 1e-6
"""Smallest divisor, for the length of a vector and the spread of lengths."""


@dataclass(frozen=True)
class VCast(EncodesAll):
    """Patches of large norm that differ from their frame; more of them from frames where the video changes course.

    Attributes:
        temperature: Temperature of the softmax that shares the budget among frames; higher is more equal.
        least: Tokens that every frame gets, if the budget allows.
        leftover: Where tokens go that rounding down leaves over: "spread" for one token each, the largest fractions
            first; or "release" for the frame with the largest fraction until it is full.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> VCast(token_budget=90).compress(FrameFeatures.from_projected(features))
        VisualTokens(90 tokens of 40 key frames, budget=90, uncompressed=1440, dim=64)
    """

    temperature: float = 0.7
    least: int = 1
    leftover: str = "spread"
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "vcast"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, TINY, "temperature")
        check_at_least(self, 0, "least")
        check_words(self, leftover=("spread", "release"))

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Keep patches of large norm that differ from their frame.

        Args:
            features: Features of the T sampled frames.

        Returns:
            The min(budget, T * N) tokens in the order of the video.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        frames, n = len(features), features.num_patches
        budget = self.budget_for(n)
        total = min(budget, frames * n)
        patches = features.patches()  # (T, N, D)
        means = unit_means(patches)
        weights = (curvature(means) / self.temperature).softmax(0)
        quota = frame_shares(weights, total, n, self.least, self.leftover == "release")
        kept = among_largest(outstanding(patches, means), quota)  # (T, N)
        return keep_patches(features, patches, kept.flatten().nonzero().flatten(), budget)


def unit_means(patches: Tensor) -> Tensor:
    """Return (T, D) float32 of length 1: the mean patch of each frame.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.
    """
    means = torch.cat([patches[chunk].float().mean(1) for chunk in frame_chunks(patches)])
    check_finite(means)
    return torch.nn.functional.normalize(means, dim=1, eps=TINY)


def curvature(means: Tensor) -> Tensor:
    """Return how much a video turns at each frame.

    Args:
        means: (T, D) one vector per frame.

    Returns:
        (T,) 1 - cosine of the steps to a frame and from it, 0 to 2; 1 at both ends and if nothing moves.

    Example:
        >>> curvature(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))[:2].tolist()
        [1.0, 1.0]
    """
    steps = means[1:] - means[:-1]  # (T - 1, D)
    turns = means.new_ones(len(means))
    turns[1:-1] = 1 - torch.nn.functional.cosine_similarity(steps[:-1], steps[1:], dim=1, eps=TINY)
    return turns


def outstanding(patches: Tensor, means: Tensor) -> Tensor:
    """Return how much each patch stands out from its frame.

    Args:
        patches: (T, N, D) patches.
        means: (T, D) mean patch of each frame, of length 1.

    Returns:
        (T, N) float32: 1 - cosine with the mean, plus the patch's length, from 0 for the shortest of the frame to 1
        for the longest.
    """
    scores = torch.empty(patches.shape[:2], device=patches.device)
    for chunk in frame_chunks(patches):
        x = patches[chunk].float()
        length = torch.linalg.vector_norm(x, dim=2)  # (B, N)
        along = (x @ means[chunk][:, :, None])[:, :, 0] / length.clamp_min(TINY)
        least = length.amin(1, keepdim=True)
        scores[chunk] = 1 - along + (length - least) / (length.amax(1, keepdim=True) - least + TINY)
    check_finite(scores)
    return scores


def frame_shares(weights: Tensor, total: int, most: int, least: int = 1, pile: bool = False) -> IntArray:
    """Return the number of tokens that each frame keeps.

    Args:
        weights: (T,) float32, above 0.
        total: Number of all tokens, at most T * `most`.
        most: Number of patches per frame.
        least: Tokens that every frame gets, if there are enough for all.
        pile: Whether leftover tokens go to one frame until it is full, as in the release.

    Returns:
        (T,) whole numbers from 0 to `most` that add up to `total`: beyond `least`, in proportion to the weights,
        rounded down, with leftover tokens for the largest fractions.

    Example:
        >>> weights = torch.tensor([0.4, 0.3, 0.3])
        >>> frame_shares(weights, 5, 9).tolist(), frame_shares(weights, 5, 9, pile=True).tolist()
        ([2, 2, 1], [3, 1, 1])
    """
    floor = min(least, most)
    if total < floor * len(weights):
        floor = 0
    wanted = (weights / weights.sum() * (total - floor * len(weights))).cpu().numpy()
    given = np.minimum(np.floor(wanted).astype(np.int64), most - floor) + floor
    order = np.argsort(np.floor(wanted) - wanted, kind="stable")  # the largest fraction first
    while given.sum() < total:
        open_ = order[given[order] < most]
        if pile:
            given[open_[0]] += min(most - given[open_[0]], total - given.sum())
        else:
            given[open_[: total - given.sum()]] += 1
    return given
