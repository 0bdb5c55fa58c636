"""Controls for comparisons: random patches, and random frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import IntArray
from dyto.strategies.base import EncodesAll, check_at_least
from dyto.strategies.shared import keep_patches
from dyto.strategies.uniform import Uniform


@dataclass(frozen=True)
class Random(EncodesAll):
    """Random patches of all frames: the control for strategies that choose patches.

    Attributes:
        seed: Random seed; the same seed draws the same from equally many patches.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> Random(token_budget=100).compress(FrameFeatures.from_projected(features))
        VisualTokens(100 tokens of 35 key frames, budget=100, uncompressed=1440, dim=64)
    """

    seed: int = 0
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "seed")

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Keep random patches.

        Args:
            features: Features of the T sampled frames.

        Returns:
            The min(budget, T * N) tokens in the order of the video.
        """
        budget = self.budget_for(features.num_patches)
        patches = features.patches()  # (T, N, D)
        kept = draw(patches.shape[0] * patches.shape[1], budget, self.seed)
        return keep_patches(features, patches, torch.from_numpy(kept), budget)


@dataclass(frozen=True)
class RandomFrames(Uniform):
    """Random whole frames within the budget: the control for strategies that choose frames.

    Attributes:
        token_budget: Largest number of visual tokens. None for 3680, scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
        seed: Random seed; the same seed draws the same from equally many frames.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.RandomFrames()).encode(video)
        VisualTokens(216 tokens of 6 key frames, budget=230, uncompressed=432, dim=192)
    """

    seed: int = 0

    name: ClassVar[str] = "random-frames"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "seed")

    def positions(self, total: int, count: int) -> IntArray:
        """Random positions of frames, in time order."""
        return draw(total, count, self.seed)


def draw(total: int, count: int, seed: int) -> IntArray:
    """Sorted int64 numbers below `total`, min(total, `count`) of them, drawn without repeating.

    Example:
        >>> draw(100, 3, 0).tolist() == draw(100, 3, 0).tolist(), draw(3, 9, 0).tolist()
        (True, [0, 1, 2])
    """
    return np.sort(np.random.default_rng(seed).permutation(total)[:count]).astype(np.int64)
