"""Uniform frames, unmerged: the control that every comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dyto.features import FrameFeatures, KeyFrames, Sources, VisualTokens
from dyto.finch import IntArray
from dyto.strategies.base import Budgeted, Encode, too_small

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class Uniform(Budgeted):
    """Uniformly spaced whole frames within the budget, with all their tokens in raster order.

    Attributes:
        token_budget: Largest number of visual tokens. None for 3680, scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.Uniform(token_budget=150)).encode(video)
        VisualTokens(144 tokens of 4 key frames, budget=150, uncompressed=432, dim=192)
    """

    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "uniform"
    picks_keyframes: ClassVar[bool] = True

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode the frames that fit and keep them whole; the question is ignored.

        Returns:
            The min(T, budget // N) * N tokens.

        Raises:
            ConfigError: The budget is below one frame.
        """
        first = encode(frames[:1])  # shows the number of patches per frame
        n = first.num_patches
        budget = self.budget_for(n)
        if budget < n:
            raise too_small(budget, n)
        positions = self.positions(len(frames), budget // n)
        features = first if len(frames) == 1 else encode(frames[positions])
        return whole_frames(features, positions, budget, uncompressed=len(frames) * n)

    def positions(self, total: int, count: int) -> IntArray:
        """Return which `count` of `total` frames are taken, in time order."""
        return spread(total, count)


@dataclass(frozen=True)
class Concat:
    """All tokens of all sampled frames, without compression; only the model's context limits them.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.Concat()).encode(video)
        VisualTokens(432 tokens of 12 key frames, budget=None, uncompressed=432, dim=192)
    """

    name: ClassVar[str] = "concat"
    uses_question: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode the sampled frames and keep everything."""
        features = encode(frames)
        return whole_frames(features, np.arange(len(frames)), None, len(frames) * features.num_patches)


def spread(total: int, count: int) -> IntArray:
    """Return positions of `count` frames spread over `total`, as frames are sampled from a video."""
    from dyto.video import uniform_indices

    return np.asarray(uniform_indices(total, count), dtype=np.int64)


def whole_frames(features: FrameFeatures, positions: IntArray, budget: int | None, uncompressed: int) -> VisualTokens:
    """Return the unchanged tokens of frames, which were at `positions` among those sampled."""
    n = features.num_patches
    owners = np.tile(np.arange(n, dtype=np.int64), (len(features), 1))  # (K, N)
    return VisualTokens(
        data=features.patches().flatten(0, 1),
        keyframes=KeyFrames(features.indices, features.seconds, positions),
        keyframe=np.repeat(np.arange(len(features)), n),
        sources=Sources.from_owners(owners, n),
        grid=features.grid,
        budget=budget,
        uncompressed=uncompressed,
    )
