"""EVS: patches that changed since the frame before.

Source: Bagrov et al., "Efficient Video Sampling: Pruning Temporally Redundant Tokens for Faster VLM Inference" (arXiv
2510.14624), as vLLM serves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.strategies.base import EncodesAll, too_small
from dyto.strategies.shared import check_finite, frame_chunks, keep_patches, largest


@dataclass(frozen=True)
class EVS(EncodesAll):
    """The patches that differ most from the same place one frame earlier, and all of the first frame.

    Attributes:
        token_budget: Most visual tokens in all. None: `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> EVS(token_budget=100).compress(FrameFeatures.from_projected(features))
        VisualTokens(100 tokens of 32 key frames, budget=100, uncompressed=1440, dim=64)
    """

    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "evs"

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Keep the patches that changed most.

        Args:
            features: Features of the T sampled frames.

        Returns:
            min(budget, T * N) tokens in the order of the video.

        Raises:
            ConfigError: The first frame, which is always kept, does not fit the budget.
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        if budget < n:
            raise too_small(budget, n, "the first frame, which is kept whole,")
        patches = features.patches()  # (T, N, D)
        kept = largest(changes(patches).flatten(), budget)
        return keep_patches(features, patches, kept, budget)


def changes(patches: Tensor) -> Tensor:
    """How much each patch differs from the same place one frame earlier.

    Args:
        patches: (T, N, D) patches of consecutive frames.

    Returns:
        (T, N) float32: 1 - cosine, 0 to 2; infinite in the first frame.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.

    Example:
        >>> changes(torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[0.0, 1.0]]])).flatten().tolist()
        [inf, 1.0, 0.0]
    """
    norm = torch.cat([torch.linalg.vector_norm(patches[c].float(), dim=2) for c in frame_chunks(patches)])  # (T, N)
    check_finite(norm)
    cosine = torch.zeros_like(norm)
    for chunk in frame_chunks(patches[1:]):
        now, before = patches[1:][chunk].float(), patches[:-1][chunk].float()  # (B, N, D)
        cosine[1:][chunk] = torch.linalg.vecdot(now, before)
    cosine[1:] /= (norm[1:] * norm[:-1]).clamp_min(torch.finfo(norm.dtype).tiny)
    change = 1 - cosine
    change[0] = torch.inf
    return change
