"""SlowFast-LLaVA: few frames in detail, many frames in coarse pooling.

Source: Xu et al., "SlowFast-LLaVA: A Strong Training-Free Baseline for Video Large Language Models" (arXiv
2407.15841). Its published name is a pattern, `slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dyto.errors import ConfigError, unknown
from dyto.features import FrameFeatures, KeyFrames, Sources, VisualTokens
from dyto.strategies.base import Budgeted, Encode, check_at_least, too_small
from dyto.strategies.pooling import pool_frames, steps, windows
from dyto.strategies.uniform import spread

if TYPE_CHECKING:
    from dyto.video import Frames

POOLS: dict[str, tuple[tuple[int, int], Callable[..., Tensor]]] = {
    "spatial_1d_max_pool": ((1, 2), F.max_pool2d),
    "spatial_1d_avg_pool": ((1, 2), F.avg_pool2d),
    "spatial_2d_max_pool": ((2, 2), F.max_pool2d),
    "spatial_2d_avg_pool": ((2, 2), F.avg_pool2d),
}
"""Slow pooling: rows and columns that become one token, and the pooling function."""

SLOW_SHARE = (2880, 3680)
"""The slow pathway's share of the budget in the published setting."""


@dataclass(frozen=True)
class SlowFast(Budgeted):
    """A slow pathway of few, lightly pooled frames, then a fast pathway of many, strongly pooled ones.

    If the budget is too small for both, each pathway takes fewer frames; the slow one may use its share of the
    budget in the published setting (2880 of 3680 tokens).

    Attributes:
        slow_frames: Frames of the slow pathway.
        slow_pool: How they are pooled, one of `POOLS`.
        fast_frames: Frames of the fast pathway.
        fast_grid: Rows and columns they are average-pooled to; None for 4 x 4, scaled to the tower's grid.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> SlowFast(slow_frames=4, fast_frames=20).compress(FrameFeatures.from_projected(features))
        VisualTokens(92 tokens of 22 key frames, budget=230, uncompressed=1440, dim=64)
    """

    slow_frames: int = 10
    slow_pool: str = "spatial_1d_max_pool"
    fast_frames: int = 50
    fast_grid: tuple[int, int] | None = None
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "slowfast"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slow_pool not in POOLS:
            raise unknown("slow_pool", self.slow_pool, POOLS)
        check_at_least(self, 1, "slow_frames", "fast_frames")
        grid = self.fast_grid
        if grid is not None and (not isinstance(grid, tuple) or len(grid) != 2 or min(grid) < 1):
            raise ConfigError(f"fast_grid is {grid!r}, expected rows and columns of at least 1, such as 4x4")

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Pool both pathways.

        Args:
            features: Features of the T sampled frames.

        Returns:
            The tokens of the slow frames, then those of the fast frames, each in time order.

        Raises:
            ConfigError: The budget is below one frame.
        """
        budget = self.budget_for(features.num_patches)
        kernel, pool = POOLS[self.slow_pool]
        slow_windows = [steps(side, step) for side, step in zip(features.grid, kernel, strict=True)]
        rows, cols = features.grid
        grid = self.fast_grid or (max(1, round(rows / 6)), max(1, round(cols / 6)))  # 4 x 4 of 24 x 24
        fast_windows = [windows(side, count) for side, count in zip(features.grid, grid, strict=True)]
        slow_size, fast_size = (len(down) * len(across) for down, across in (slow_windows, fast_windows))
        if budget < fast_size:
            raise too_small(budget, fast_size, "one fast frame", "set a smaller fast_grid")
        total = len(features)
        count = min(self.slow_frames, total, budget * SLOW_SHARE[0] // SLOW_SHARE[1] // slow_size)
        slow = np.linspace(0, total, count + 1).astype(np.int64)[:-1]  # floor, as published
        fast = spread(total, min(self.fast_frames, (budget - count * slow_size) // fast_size))
        frames = np.union1d(slow, fast)
        pathways = [
            pool_frames(features, slow, partial(pool, kernel_size=kernel, ceil_mode=True), slow_windows),
            pool_frames(features, fast, partial(F.adaptive_avg_pool2d, output_size=grid), fast_windows),
        ]
        patches = np.concatenate([patch for _, patch in pathways])  # (L, N) bool
        frame = np.concatenate([np.repeat(slow, slow_size), np.repeat(fast, fast_size)])  # (L,)
        keyframe = np.searchsorted(frames, frame)
        token, patch = np.nonzero(patches)
        return VisualTokens(
            data=torch.cat([data for data, _ in pathways]),
            keyframes=KeyFrames.of(features, frames),
            keyframe=keyframe,
            sources=Sources(token, keyframe[token], patch),
            grid=features.grid,
            budget=budget,
            uncompressed=total * features.num_patches,
        )

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode the sampled frames and pool them; the question is ignored."""
        return self.compress(encode(frames))
