"""DyTo: key frames by hierarchical clustering, then merging inside each key frame to a fixed budget.

Source: "Beyond Training: Dynamic Token Merging for Zero-Shot Video Understanding" (arXiv 2411.14401, ICCV 2025).
The presets say which reading of the paper and of its released code they follow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto import finch, keyframes, merge
from dyto.errors import ConfigError, ModelError, unknown
from dyto.features import FrameFeatures, KeyFrames, Sources, VisualTokens
from dyto.finch import IntArray
from dyto.strategies.base import Encode, resolve_budget
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames

CHUNK_BYTES = {"cpu": 1 << 24}
"""Patches merged at a time, by kind of device: on a CPU what the allocator reuses instead of fetching new pages,
elsewhere (`OTHER_CHUNK_BYTES`) enough to keep the device busy; small beside the tokens themselves."""

OTHER_CHUNK_BYTES = 1 << 28


@dataclass(frozen=True)
class DyTo:
    """The method of the paper; every choice is a field, and the defaults are the release.

    Attributes:
        partition: Level of the hierarchy: "second-finest" (release), "finest" or "coarsest".
        temporal: Cluster with distances weighted by time (TW-FINCH); False is plain FINCH.
        quotas: Frames that few clusters share, see `dyto.keyframes.pick_frames`.
        member: The frame that stands for a cluster past all quotas: "middle" or "first".
        max_keyframes: Cap on key frames; more are thinned evenly.
        token_budget: Most visual tokens in all. None: `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
        reduce: How merged tokens combine: "max" (release), "mean" or "weighted-mean".
        split: Who is matched with whom: "halves" (release) or "alternate" (ToMe).
        order: Order of tokens inside a frame: "release" or "raster".
        metric_groups: Slices of the features averaged to compare tokens by.

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

    def __post_init__(self) -> None:
        for field_name, known in (
            ("partition", keyframes.PARTITIONS),
            ("member", keyframes.MEMBERS),
            ("reduce", merge.REDUCTIONS),
            ("split", merge.SPLITS),
            ("order", merge.ORDERS),
        ):
            if getattr(self, field_name) not in known:
                raise unknown(field_name, getattr(self, field_name), known)
        resolve_budget(self.token_budget, self.reference_budget, 1)
        for field_name in ("max_keyframes", "reference_budget", "metric_groups"):
            if getattr(self, field_name) < 1:
                raise ConfigError(f"{field_name} is {getattr(self, field_name)}, expected at least 1")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> DyTo:
        """A named variant.

        Args:
            name: "release", "paper-7b", "paper-34b" or "finest"; see `PRESETS`.
            **changes: Fields to set differently.

        Raises:
            ConfigError: An unknown preset; the nearest known one is named.

        Example:
            >>> DyTo.preset("paper-34b").max_keyframes
            50
        """
        if name not in PRESETS:
            raise unknown("preset", name, PRESETS)
        return replace(cls(**PRESETS[name].fields), **changes)

    def select_keyframes(self, summary: Tensor | npt.ArrayLike) -> IntArray:
        """Choose key frames by clustering frame summaries.

        Args:
            summary: (T, D) one vector per frame, in presentation order.

        Returns:
            Sorted int64 positions, at most `max_keyframes` of them.

        Raises:
            ValueError: No frame, or NaN.
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
            K * min(N, budget // K) tokens, frame after frame. Where the budget is below the number of key
            frames K, that many of them stay, evenly spread, with one token each.

        Raises:
            ModelError: The features hold NaN or infinity.
        """
        budget = resolve_budget(self.token_budget, self.reference_budget, features.num_patches)
        watch = Stopwatch(features.summary.device)
        try:
            with watch.stage("select"):
                positions = keyframes.thin(self.select_keyframes(features.summary), budget)
            data, owners = self._merge(features, positions, min(features.num_patches, budget // len(positions)))
        except ValueError as err:
            raise ModelError(f"the vision tower gave unusable features: {err}; try another dtype") from err
        per_frame = len(data) // len(positions)
        return VisualTokens(
            data=data,
            keyframes=KeyFrames.of(features, positions),
            keyframe=np.repeat(np.arange(len(positions)), per_frame),
            sources=Sources.from_owners(owners, per_frame),
            grid=features.grid,
            budget=budget,
            uncompressed=len(features) * features.num_patches,
            summary_source=features.summary_source,
            stages=watch.seconds,
        )

    def _merge(self, features: FrameFeatures, positions: IntArray, keep: int) -> tuple[Tensor, Tensor]:
        """(K * keep, D) tokens and (K, N) owners; some frames at a time, so that little memory is held."""
        summary = features.summary
        data = empty_tokens((len(positions), keep, summary.shape[1]), summary)
        owners = torch.empty(len(positions), features.num_patches, dtype=torch.int64, device=summary.device)
        frame_bytes = features.num_patches * summary.shape[1] * summary.element_size()
        step = max(1, CHUNK_BYTES.get(summary.device.type, OTHER_CHUNK_BYTES) // frame_bytes)
        for start in range(0, len(positions), step):
            chunk = slice(start, start + step)
            _, owners[chunk] = merge.merge_with_owners(
                features.patches(positions[chunk]),
                keep,
                self.reduce,
                self.split,
                self.order,
                self.metric_groups,
                out=data[chunk],
            )
        return data.flatten(0, 1), owners

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames and compress; the question is not looked at."""
        return self.compress(encode(frames))


def empty_tokens(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory for tokens.

    On a CPU it is numpy's, which asks the system for large pages, and each is touched in order before threads write
    to it: threads that meet in a page not yet there cost several times as much.
    """
    if like.device.type != "cpu":
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    memory = torch.from_numpy(np.empty(math.prod(shape) * like.element_size(), np.uint8)).zero_()
    return memory.view(like.dtype).view(shape)


@dataclass(frozen=True)
class Preset:
    """A named set of fields and what it stands for."""

    fields: Mapping[str, Any]
    note: str


PRESETS: dict[str, Preset] = {
    "release": Preset({}, "the authors' code at its last commit (570e977), its missing return restored"),
    "paper-7b": Preset({}, "the paper's 7B setting; the same as release as far as is known"),
    "paper-34b": Preset(
        {"quotas": ((6, 12), (12, 24)), "max_keyframes": 50, "reference_budget": 7200},
        "our reconstruction of the paper's 34B setting (Z = 7200)",
    ),
    "finest": Preset({"partition": "finest"}, "the finest partition: catches short scenes that release misses"),
}
