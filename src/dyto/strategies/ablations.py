"""DyTo without one of its two parts, as in the paper's ablation (section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import IntArray
from dyto.keyframes import thin
from dyto.strategies.base import resolve_budget, too_small
from dyto.strategies.dyto import DyTo
from dyto.strategies.shared import assemble
from dyto.strategies.uniform import spread
from dyto.timing import Stopwatch


@dataclass(frozen=True)
class DyToNoClustering(DyTo):
    """DyTo without clustering: the same number of frames, but uniformly spread, and merged in the same way.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> DyToNoClustering().compress(FrameFeatures.from_projected(features))
        VisualTokens(220 tokens of 11 key frames, budget=230, uncompressed=1440, dim=64)
    """

    name: ClassVar[str] = "dyto-no-clustering"

    def select_keyframes(self, summary: Tensor | npt.ArrayLike) -> IntArray:
        """Spread the key frames uniformly.

        Args:
            summary: (T, D) one vector per frame, in presentation order.

        Returns:
            Sorted int64 positions, as many as clustering gives.
        """
        chosen = super().select_keyframes(summary)
        return spread(len(torch.as_tensor(summary)), len(chosen))


@dataclass(frozen=True)
class DyToNoMerging(DyTo):
    """DyTo without merging: its key frames, unmerged, evenly thinned until they fit the budget.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> DyToNoMerging().compress(FrameFeatures.from_projected(features))
        VisualTokens(216 tokens of 6 key frames, budget=230, uncompressed=1440, dim=64)
    """

    name: ClassVar[str] = "dyto-no-merging"

    def merge(self, features: FrameFeatures, positions: IntArray, watch: Stopwatch) -> VisualTokens:
        """Keep as many key frames whole as fit.

        Raises:
            ConfigError: The budget is below one frame.
        """
        n = features.num_patches
        budget = resolve_budget(self.token_budget, self.reference_budget, n)
        if budget < n:
            raise too_small(budget, n)
        positions = thin(positions, budget // n)
        patches = features.patches(positions)  # (K, N, D)
        frame, patch = np.repeat(positions, n), np.tile(np.arange(n), len(positions))
        return assemble(
            features,
            patches.flatten(0, 1),
            frame,
            (np.arange(len(frame)), frame, patch),
            budget,
            summary_source=features.summary_source,
            stages=watch.seconds,
        )
