"""EVS: patches that changed since the previous frame.

Source: Bagrov et al., "Efficient Video Sampling: Pruning Temporally Redundant Tokens for Faster VLM Inference" (arXiv
2510.14624); the rule as NVIDIA publishes it in TensorRT-LLM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.strategies.base import EncodesAll, check_words, too_small
from dyto.strategies.shared import check_finite, frame_chunks, keep_patches, largest


@dataclass(frozen=True)
class EVS(EncodesAll):
    """The patches that differ most from the same place one frame earlier, and all of the first frame.

    Attributes:
        precision: Precision of comparisons: "float32", or "model" for the dtype of the features, as published.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> EVS(token_budget=100).compress(FrameFeatures.from_projected(features))
        VisualTokens(100 tokens of 32 key frames, budget=100, uncompressed=1440, dim=64)
    """

    precision: str = "float32"
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "evs"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_words(self, precision=("float32", "model"))

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Keep the patches that changed most.

        Args:
            features: Features of the T sampled frames.

        Returns:
            The min(budget, T * N) tokens in the order of the video.

        Raises:
            ConfigError: The first frame, which is always kept, does not fit the budget.
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        if budget < n:
            raise too_small(budget, n, "the first frame, which is kept whole,")
        patches = features.patches()  # (T, N, D)
        kept = largest(changes(patches, self.precision == "model").flatten(), budget)
        return keep_patches(features, patches, kept, budget)


def changes(patches: Tensor, as_given: bool = False) -> Tensor:
    """Return how much each patch differs from the same place one frame earlier.

    Args:
        patches: (T, N, D) patches of consecutive frames.
        as_given: Whether to compute in their dtype; otherwise in float32.

    Returns:
        (T, N) 1 - cosine, 0 to 2; infinite in the first frame.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.

    Example:
        >>> changes(torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]], [[0.0, 1.0]]])).flatten().tolist()
        [inf, 1.0, 0.0]
    """
    dtype = patches.dtype if as_given else torch.float32
    check_finite(patches[0])
    change = patches.new_full(patches.shape[:2], torch.inf, dtype=dtype)  # (T, N)
    for chunk in frame_chunks(patches[1:]):
        now, before = patches[1:][chunk].to(dtype), patches[:-1][chunk].to(dtype)  # (B, N, D)
        change[1:][chunk] = 1 - torch.nn.functional.cosine_similarity(now, before, dim=2)
    check_finite(change[1:])
    return change
