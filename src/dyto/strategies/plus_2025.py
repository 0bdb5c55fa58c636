"""Plus of 2025: DyTo with a hierarchy over time, which is cut at a share of the whole video's variation.

Ours; not of the paper. `Plus` took its place, because a brief event is a small share of a long video; this one stays
for those who have used it. `docs/plus.md` says what was tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto import segments
from dyto.errors import ConfigError, unknown
from dyto.features import FrameFeatures, VisualTokens, usable_features
from dyto.finch import IntArray
from dyto.strategies.base import Encode, resolve_budget
from dyto.strategies.merging import check_merging, merge_shares
from dyto.strategies.shared import shares
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class Plus2025:
    """DyTo with a hierarchy over time: as many key frames as the content needs and the budget allows.

    A frame that shows the same as another key frame gets no tokens, so a video of few scenes may leave a part of its
    budget unused.

    Attributes:
        least_gain: Neighbouring segments stay apart if joining them would cost at least this share of all squared
            distances of frames from their mean. A scene of s among T frames that differs from the others as much as
            they differ among themselves costs about 2 s / T.
        explained: Segments are added until they account for this share of the squared distances, however little each
            of them gains. This protects videos without scenes.
        least_share: The smallest share of its patches that a key frame keeps as tokens; if the budget does not allow
            that, the least different segments are joined.
        member: The frame that stands for a segment: "middle" or "medoid".
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
        reduce: How merged tokens combine: "max", "mean" or "weighted-mean".
        split: Which tokens are matched: "halves" or "alternate".
        order: Order of tokens inside a frame: "release" or "raster".
        metric_groups: Number of feature slices to average before comparing tokens; 1 compares the features themselves.

    Example:
        >>> import numpy as np
        >>> scenes = np.repeat(np.random.default_rng(0).normal(size=(5, 1 + 36, 64)), 20, axis=0)
        >>> Plus2025(token_budget=99).compress(FrameFeatures.from_projected(scenes.astype("float32")))
        VisualTokens(99 tokens of 5 key frames, budget=99, uncompressed=3600, dim=64)
    """

    least_gain: float = 0.025
    explained: float = 0.75
    least_share: float = 1 / 9
    member: str = "middle"
    token_budget: int | None = None
    reference_budget: int = 3680
    reduce: str = "max"
    split: str = "alternate"
    order: str = "raster"
    metric_groups: int = 1

    name: ClassVar[str] = "plus-2025"
    uses_question: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    picks_keyframes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.member not in segments.MEMBERS:
            raise unknown("member", self.member, segments.MEMBERS)
        check_merging(self)
        for name in ("least_gain", "explained", "least_share"):
            part = getattr(self, name)
            if not isinstance(part, (int, float)) or not 0 <= part <= 1:
                raise ConfigError(f"{name} of strategy {self.name!r} is {part!r}, expected a share from 0 to 1")

    def select_keyframes(self, summary: Tensor | npt.ArrayLike, most: int | None = None) -> IntArray:
        """Choose key frames by cutting the hierarchy over time.

        Args:
            summary: (T, D) one vector per frame, in presentation order.
            most: Largest number of key frames; None for no limit.

        Returns:
            Sorted int64 positions, one in each segment.

        Raises:
            ValueError: There is no frame, or a summary is NaN.
        """
        hierarchy = segments.ward(summary)
        wanted = hierarchy.wanted(self.least_gain, self.explained)
        return segments.representatives(summary, hierarchy.cut(min(wanted, most or wanted)), self.member)

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Select key frames and merge their patches.

        Args:
            features: Features of the T sampled frames.

        Returns:
            The min(budget, K * N) tokens of K key frames, frame after frame, in shares as equal as possible.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = resolve_budget(self.token_budget, self.reference_budget, n)
        least = max(1, round(self.least_share * n))
        watch = Stopwatch(features.summary.device)
        with usable_features(), watch.stage("select"):
            positions = self.select_keyframes(features.summary, max(1, budget // least))
        return merge_shares(self, features, positions, self.share(features, positions, budget), watch)

    def share(self, features: FrameFeatures, positions: IntArray, budget: int) -> IntArray:
        """Return the (K,) tokens of each key frame: equal but for the remainder, and at most all its patches."""
        return np.minimum(features.num_patches, shares(budget, len(positions)))

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames and compress; the question is ignored."""
        return self.compress(encode(frames))
