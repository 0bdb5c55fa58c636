"""DyTo: key frames by hierarchical clustering, then merging inside each key frame to a fixed budget.

Source: "Beyond Training: Dynamic Token Merging for Zero-Shot Video Understanding" (arXiv 2411.14401, ICCV 2025).
The presets say which reading of the paper and of its released code they follow.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt
import torch
from torch import Tensor

from dyto import finch, keyframes, merge
from dyto.errors import ConfigError, unknown
from dyto.features import FrameFeatures, VisualTokens, usable_features
from dyto.finch import IntArray
from dyto.strategies.base import Encode, check_at_least
from dyto.strategies.merging import check_merging, merge_keyframes
from dyto.strategies.plus import Plus
from dyto.strategies.presets import PRESETS
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class DyTo:
    """The method of the paper; every choice is a field, and the defaults are the release.

    Attributes:
        partition: Level of the hierarchy: "second-finest" (release), "finest" or "coarsest".
        temporal: Cluster with distances weighted by time (TW-FINCH); False is plain FINCH.
        quotas: Numbers of frames to share among few clusters, see `dyto.keyframes.pick_frames`.
        member: The frame that represents a cluster beyond the quotas: "middle" or "first".
        max_keyframes: Cap on key frames; more are thinned evenly.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
        reduce: How merged tokens combine: "max" (release), "mean" or "weighted-mean".
        split: Which tokens are matched: "halves" (release) or "alternate" (ToMe).
        order: Order of tokens inside a frame: "release" or "raster".
        metric_groups: Number of feature slices to average before comparing tokens.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> DyTo.preset("release").compress(FrameFeatures.from_projected(features))
        VisualTokens(220 tokens of 11 key frames, budget=230, uncompressed=1440, dim=64)
    """

    partition: str = "second-finest"
    temporal: bool = True
    quotas: tuple[tuple[int, int], ...] = keyframes.RELEASE_QUOTAS
    member: str = "middle"
    max_keyframes: int = 25
    token_budget: int | None = None
    reference_budget: int = 3680
    reduce: str = "max"
    split: str = "halves"
    order: str = "release"
    metric_groups: int = merge.METRIC_GROUPS

    name: ClassVar[str] = "dyto"
    uses_question: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    picks_keyframes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field_name, known in (("partition", keyframes.PARTITIONS), ("member", keyframes.MEMBERS)):
            if getattr(self, field_name) not in known:
                raise unknown(field_name, getattr(self, field_name), known)
        check_merging(self)
        check_at_least(self, 1, "max_keyframes")
        if not isinstance(self.temporal, bool):
            raise ConfigError(f"temporal of strategy {self.name!r} is {self.temporal!r}, expected true or false")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> DyTo | Plus:
        """Return a named variant.

        Args:
            name: "release", "paper-7b", "paper-34b", "finest" or "plus"; see `PRESETS`.
            **changes: Fields to change; those of `Plus` for "plus".

        Raises:
            ConfigError: A preset or field is unknown; the nearest known one is named.

        Example:
            >>> DyTo.preset("paper-34b").max_keyframes
            50
        """
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        kind = Plus if PRESETS[name].strategy == Plus.name else cls
        if kind is Plus and cls is not DyTo:
            raise ConfigError(
                f"strategy {cls.name!r} has no preset {name!r}, because it clusters and merges in its own way"
            )
        known = [field.name for field in fields(kind)]
        for key in changes:
            if key not in known:
                raise unknown(f"option of preset {name!r}", key, known)
        return replace(kind(**PRESETS[name].fields), **changes)

    def select_keyframes(self, summary: Tensor | npt.ArrayLike) -> IntArray:
        """Choose key frames by clustering frame summaries.

        Args:
            summary: (T, D) one vector per frame, in presentation order.

        Returns:
            Sorted int64 positions, at most `max_keyframes` of them.

        Raises:
            ValueError: There is no frame, or a summary is NaN.
        """
        partitions = finch.tw_finch(summary, temporal=self.temporal)
        labels = keyframes.choose_partition(partitions, self.partition)
        return keyframes.thin(keyframes.pick_frames(labels, self.quotas, self.member), self.max_keyframes)

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Select key frames and merge their patches.

        Args:
            features: Features of the T sampled frames.

        Returns:
            K * min(N, budget // K) tokens, frame after frame. If the budget is below the number of key
            frames K, that many evenly spread ones are kept, with one token each.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        watch = Stopwatch(features.summary.device)
        with watch.stage("select"), usable_features():
            positions = self.select_keyframes(features.summary)
        return self.merge(features, positions, watch)

    def merge(self, features: FrameFeatures, positions: IntArray, watch: Stopwatch) -> VisualTokens:
        """Merge the patches of key frames, as `compress` says."""
        return merge_keyframes(
            self, features, positions, len(features), summary_source=features.summary_source, stages=watch.seconds
        )

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames and compress; the question is ignored."""
        return self.compress(encode(frames))
