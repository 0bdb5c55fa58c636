"""Frames encoded at a lower resolution, so that more of them fit: a simple but strong control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.strategies.base import Budgeted, Encode, check_at_least, hook
from dyto.strategies.pooling import shrink
from dyto.strategies.uniform import spread, whole_frames

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class Downsample(Budgeted):
    """Uniformly spaced frames, encoded at a lower resolution, all their tokens in raster order.

    The tower's position embeddings are interpolated to the smaller grid. The result's `grid` is the smaller one.

    Attributes:
        num_frames: Largest number of frames; each gets the largest grid of patches with which all of them fit.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.Downsample(token_budget=60)).encode(video)
        VisualTokens(48 tokens of 12 key frames, budget=60, uncompressed=432, dim=192)
    """

    num_frames: int = 25
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "downsample"
    needs: ClassVar[tuple[str, ...]] = ("resolutions",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "num_frames")

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode the frames on a smaller grid and keep them whole; the question is ignored.

        Returns:
            K * rows * columns tokens of K = min(T, `num_frames`, budget) frames.

        Raises:
            ConfigError: The model's tower accepts no other resolution.
        """
        encode_grid = hook(self, encode, "resolutions")
        first = encode(frames[:1])  # shows the number of patches per frame
        budget = self.budget_for(first.num_patches)
        positions = spread(len(frames), min(self.num_frames, budget))
        grid = shrink(first.grid, budget // len(positions))
        features: FrameFeatures = encode_grid(frames[positions], grid)
        if features.grid != grid:
            raise ConfigError(
                f"strategy {self.name!r} asked for frames of {grid[0]} x {grid[1]} patches and got "
                f"{features.grid[0]} x {features.grid[1]}: correct the model's encode_grid"
            )
        return whole_frames(features, positions, budget, uncompressed=len(frames) * first.num_patches)
