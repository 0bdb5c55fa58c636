"""Merging each key frame to a common number of tokens, after DyTo or a rival has chosen key frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from dyto import merge
from dyto.errors import unknown
from dyto.features import FrameFeatures, KeyFrames, Sources, VisualTokens, usable_features
from dyto.finch import IntArray
from dyto.keyframes import thin
from dyto.strategies.base import Named, check_at_least, resolve_budget
from dyto.strategies.shared import assemble, chunks
from dyto.timing import Stopwatch


@dataclass(frozen=True)
class Merging:
    """How the tokens of a frame are merged; see `dyto.merge.merge_tokens`.

    Attributes:
        reduce: How merged tokens combine.
        split: Which tokens are matched.
        order: Order of tokens inside a frame.
        groups: Number of feature slices to average before comparing tokens.
    """

    reduce: str
    split: str
    order: str
    groups: int

    @classmethod
    def of(cls, strategy: Merges) -> Merging:
        """Read the merging options from the fields of a strategy."""
        return cls(strategy.reduce, strategy.split, strategy.order, strategy.metric_groups)

    def __post_init__(self) -> None:
        for name, known in (("reduce", merge.REDUCTIONS), ("split", merge.SPLITS), ("order", merge.ORDERS)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)

    def merge(self, patches: Tensor, keep: int, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Merge (B, N, D) patches to (B, keep, D) tokens (in `out` if given), and (B, N) owners of the patches."""
        return merge.merge_with_owners(patches, keep, self.reduce, self.split, self.order, self.groups, out=out)


class Merges(Named, Protocol):
    """A strategy whose fields configure how frames are merged, and to how many tokens."""

    @property
    def token_budget(self) -> int | None:
        """Largest number of visual tokens; None for `reference_budget` scaled to the tower's patches."""

    @property
    def reference_budget(self) -> int:
        """The published budget for 576 patches per frame."""

    @property
    def reduce(self) -> str:
        """As in `Merging`, like the next three."""

    @property
    def split(self) -> str:
        """Which tokens are matched."""

    @property
    def order(self) -> str:
        """Order of tokens inside a frame."""

    @property
    def metric_groups(self) -> int:
        """`Merging.groups`."""


def check_merging(strategy: Merges) -> None:
    """Check the fields that configure merging, and the budget.

    Raises:
        ConfigError: A word is unknown, or a number is below 1.
    """
    Merging.of(strategy)
    check_at_least(strategy, 1, "reference_budget", "metric_groups")
    resolve_budget(strategy.token_budget, strategy.reference_budget, 1)


def merge_keyframes(
    strategy: Merges, features: FrameFeatures, positions: IntArray, total: int, at: IntArray | None = None, **rest: Any
) -> VisualTokens:
    """Merge the patches of key frames, each frame to the same number of tokens.

    Args:
        strategy: The strategy with the fields `token_budget`, `reference_budget`, `reduce`, `split`, `order` and
            `metric_groups`.
        features: Features of the frames.
        positions: (K,) ascending positions of the key frames in them. If the budget is below K, that many evenly
            spread ones are kept, with one token each.
        total: Number of sampled frames.
        at: (K,) positions of the key frames among the sampled frames, if `features` has only some of these.
        **rest: Further fields of `VisualTokens`.

    Returns:
        K * min(N, budget // K) tokens, frame after frame.

    Raises:
        BadFeaturesError: The features hold NaN or infinity.
    """
    n = features.num_patches
    budget = resolve_budget(strategy.token_budget, strategy.reference_budget, n)
    rows = thin(np.arange(len(positions)), budget)
    positions, at = positions[rows], (positions if at is None else at)[rows]
    with usable_features():
        data, owners = _merge(Merging.of(strategy), features, positions, min(n, budget // len(positions)))
    per_frame = len(data) // len(positions)
    return VisualTokens(
        data=data,
        keyframes=KeyFrames(features.indices[positions], features.seconds[positions], at),
        keyframe=np.repeat(np.arange(len(positions)), per_frame),
        sources=Sources.from_owners(owners, per_frame),
        grid=features.grid,
        budget=budget,
        uncompressed=total * n,
        **rest,
    )


def _merge(how: Merging, features: FrameFeatures, positions: IntArray, keep: int) -> tuple[Tensor, Tensor]:
    """Return (K * keep, D) tokens and (K, N) owners, computed in chunks of frames to save memory."""
    summary = features.summary
    data = empty_tokens((len(positions), keep, features.dim), summary)
    owners = torch.empty(len(positions), features.num_patches, dtype=torch.int64, device=summary.device)
    frame_bytes = features.num_patches * features.dim * summary.element_size()
    for chunk in chunks(len(positions), frame_bytes, summary.device):
        _, owners[chunk] = how.merge(features.patches(positions[chunk]), keep, out=data[chunk])
    return data.flatten(0, 1), owners


def merge_shares(
    strategy: Merges, features: FrameFeatures, positions: IntArray, kept: IntArray, watch: Stopwatch
) -> VisualTokens:
    """Merge the patches of key frames, each frame to a number of tokens of its own.

    Args:
        strategy: Whose fields say how, as in `merge_keyframes`.
        features: Of the T sampled frames.
        positions: (K,) ascending positions of the key frames in them.
        kept: (K,) tokens of each, 1 to N.
        watch: What has been timed so far.

    Returns:
        The tokens, frame after frame.

    Raises:
        BadFeaturesError: The features hold NaN or infinity.
    """
    n, how = features.num_patches, Merging.of(strategy)
    summary = features.summary
    starts = np.cumsum(kept) - kept  # (K,) first token of every key frame
    data = empty_tokens((int(kept.sum()), features.dim), summary)
    owners = np.empty((len(positions), n), np.int64)
    with usable_features():
        for keep in sorted(set(kept.tolist())):
            alike = np.flatnonzero(kept == keep)
            for chunk in chunks(len(alike), n * features.dim * summary.element_size(), summary.device):
                frames = alike[chunk]
                tokens, owner = _merged(how, features, positions[frames], int(keep))
                rows = starts[frames, None] + np.arange(keep)  # (B, keep)
                data[torch.from_numpy(rows.ravel()).to(data.device)] = tokens.flatten(0, 1)
                owners[frames] = starts[frames, None] + owner.cpu().numpy()
    rows = np.argsort(owners, axis=None, kind="stable")  # patches by the token they went to
    keyframe, patch = np.divmod(rows, n)
    return assemble(
        features,
        data,
        np.repeat(positions, kept),
        (owners.ravel()[rows], positions[keyframe], patch),
        resolve_budget(strategy.token_budget, strategy.reference_budget, n),
        summary_source=features.summary_source,
        stages=watch.seconds,
    )


def _merged(how: Merging, features: FrameFeatures, positions: IntArray, keep: int) -> tuple[Tensor, Tensor]:
    """Merge the patches of some frames, (K, keep, D), and return (K, N) owners; go on from what was merged before."""
    if features.load_merged is None:
        return how.merge(features.patches(positions), keep)
    patches, first = features.load_merged(torch.from_numpy(positions), keep)
    tokens, owner = how.merge(patches, keep)
    return tokens, owner.gather(1, first)


def empty_tokens(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Allocate memory for tokens.

    On a CPU it comes from numpy, which asks the system for large pages, and each page is touched in order before
    threads write to it: threads that meet in a page not yet allocated take several times as long.
    """
    if like.device.type != "cpu":
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    memory = torch.from_numpy(np.empty(math.prod(shape) * like.element_size(), np.uint8)).zero_()
    return memory.view(like.dtype).view(shape)


@dataclass(frozen=True)
class KeyFrameMerger:
    """The base of strategies that choose key frames in their own way and then merge as in DyTo.

    Attributes:
        num_frames: Largest number of key frames.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
        reduce: How merged tokens combine, see `dyto.merge.merge_tokens`.
        split: Which tokens are matched, likewise.
        order: Order of tokens inside a frame, likewise.
        metric_groups: Number of feature slices to average before comparing tokens.
    """

    num_frames: int = 10
    token_budget: int | None = None
    reference_budget: int = 3680
    reduce: str = "max"
    split: str = "halves"
    order: str = "release"
    metric_groups: int = merge.METRIC_GROUPS

    name: ClassVar[str]
    uses_question: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    picks_keyframes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_at_least(self, 1, "num_frames")
        check_merging(self)

    @torch.no_grad()
    def merge(self, features: FrameFeatures, positions: IntArray, watch: Stopwatch) -> VisualTokens:
        """Merge key frames chosen among features of all sampled frames."""
        return merge_keyframes(
            self, features, positions, len(features), summary_source=features.summary_source, stages=watch.seconds
        )
