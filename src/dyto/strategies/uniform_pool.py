"""Uniform frames, average-pooled on their grid, so that more of them fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.strategies.base import Budgeted, Encode, check_at_least, too_small
from dyto.strategies.pooling import Pool, pool_frames, shrink, steps, windows
from dyto.strategies.uniform import spread

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class UniformPool(Budgeted):
    """Uniformly spaced frames, each average-pooled on its grid.

    Without either number, it takes as many frames as fit, pooled 2 x 2: 25 of 576 patches into 3680 tokens; with
    `pool=3`, 57. With only a number of frames, each is pooled to the largest grid with which all of them fit.

    Attributes:
        num_frames: Largest number of frames; None for as many as fit.
        pool: Patches along each side that become one token; None for 2, or for what `num_frames` requires.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.UniformPool(token_budget=60)).encode(video)
        VisualTokens(54 tokens of 6 key frames, budget=60, uncompressed=432, dim=192)
    """

    num_frames: int | None = None
    pool: int | None = None
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "uniform-pool"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "num_frames", "pool")

    @torch.no_grad()
    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode the frames that fit after pooling, and pool them; the question is ignored.

        Returns:
            Tokens frame after frame, each in raster order.

        Raises:
            ConfigError: The budget is below one pooled frame.
        """
        first = encode(frames[:1])  # shows the number of patches per frame
        budget = self.budget_for(first.num_patches)
        count, axes, pool = self._plan(first.grid, budget, len(frames))
        positions = spread(len(frames), count)
        features = first if len(frames) == 1 else encode(frames[positions])
        data, held = pool_frames(features, np.arange(count), pool, axes)
        keyframe = np.repeat(np.arange(count), len(data) // count)
        token, patch = np.nonzero(held)
        return VisualTokens(
            data=data,
            keyframes=KeyFrames(features.indices, features.seconds, positions),
            keyframe=keyframe,
            sources=Sources(token, keyframe[token], patch),
            grid=features.grid,
            budget=budget,
            uncompressed=len(frames) * features.num_patches,
        )

    def _plan(self, grid: tuple[int, int], budget: int, total: int) -> tuple[int, list[list[range]], Pool]:
        """Return the number of frames, the places that form one token, and the pooling function."""
        if self.pool is None and self.num_frames is not None:
            count = min(self.num_frames, total, budget)
            shape = shrink(grid, budget // count)
            axes = [windows(side, size) for side, size in zip(grid, shape, strict=True)]
            return count, axes, partial(F.adaptive_avg_pool2d, output_size=shape)
        kernel = tuple(min(self.pool or 2, side) for side in grid)
        axes = [steps(side, step) for side, step in zip(grid, kernel, strict=True)]
        size = len(axes[0]) * len(axes[1])
        if budget < size:
            raise too_small(budget, size, f"one frame pooled {kernel[0]} x {kernel[1]}", "set a larger pool")
        count = min(total, budget // size, total if self.num_frames is None else self.num_frames)
        return count, axes, partial(F.avg_pool2d, kernel_size=kernel, ceil_mode=True)
