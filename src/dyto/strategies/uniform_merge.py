"""Uniform frames, each merged to an equal share of the budget: a simple rival that is hard to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from dyto.features import VisualTokens
from dyto.strategies.base import Encode
from dyto.strategies.merging import KeyFrameMerger, merge_keyframes
from dyto.strategies.uniform import spread

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class UniformMerge(KeyFrameMerger):
    """Uniformly spaced frames, each merged to an equal share of the budget.

    The fields are those of `KeyFrameMerger`; the default is 25 frames, DyTo's maximum. Only these frames are encoded.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.UniformMerge(num_frames=6, token_budget=60)).encode(video)
        VisualTokens(60 tokens of 6 key frames, budget=60, uncompressed=432, dim=192)
    """

    num_frames: int = 25

    name: ClassVar[str] = "uniform-merge"

    @torch.no_grad()
    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode `num_frames` frames and merge them; the question is ignored.

        Returns:
            K * min(N, budget // K) tokens of K = min(T, `num_frames`, budget) frames.
        """
        positions = spread(len(frames), self.num_frames)
        features = encode(frames[positions])
        return merge_keyframes(self, features, np.arange(len(positions)), len(frames), at=positions)
