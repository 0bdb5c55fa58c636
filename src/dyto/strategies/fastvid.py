"""FastVID: segments of similar frames; each keeps patches with high attention, and density peaks that gather the rest.

Source: Shen et al., "FastVID: Dynamic Density Pruning for Fast Video Large Language Models" (arXiv 2503.11187, NeurIPS
2025), as its code does it. docs/rivals.md lists the differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import IntArray
from dyto.keyframes import thin
from dyto.strategies.base import (
    MOST_LAYERS,
    LooksAtAttention,
    check_at_least,
    check_shares,
    check_words,
)
from dyto.strategies.density import TIES, distances, highest, join, peak_scores
from dyto.strategies.parts import Part, assemble_parts, together
from dyto.strategies.peaks import segment_ends
from dyto.strategies.shared import among_largest, apportion, check_finite, shares
from dyto.strategies.uniform import whole_frames


@dataclass(frozen=True)
class FastVID(LooksAtAttention):
    """Segments of similar frames; each keeps patches with high attention, and density peaks that gather the rest.

    Every anchor frame of a segment gathers all patches of the segment that are not salient, so one patch goes into
    one token of each anchor frame.

    Attributes:
        segments: Smallest number of segments.
        threshold: Cosine of consecutive frames below which a segment always ends.
        context: Share of tokens that gather others; the rest are chosen by attention.
        anchor_step: Distance of anchor frames, counted from the last frame of a segment; there are more anchors
            if these cannot hold enough tokens.
        centre_weight: Smallest weight of a density peak relative to the mean of what it gathers.
        neighbours: Number of nearest patches for the density, including the patch itself.
        remainder: Treatment of tokens that do not divide evenly: "share", or "release" for the published loss, by
            which a frame has budget // T tokens and the rest is lost.
        ties: Order of equal density peaks: the lower "place" first, or "release", as in `torch.topk`.
        attention_layer: Layer of the tower whose attention is used.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.FastVID(token_budget=60)).encode(video)
        VisualTokens(60 tokens of 12 key frames, budget=60, uncompressed=432, dim=192)
    """

    segments: int = 8
    threshold: float = 0.9
    context: float = 0.4
    anchor_step: int = 4
    centre_weight: float = 0.6
    neighbours: int = 4
    remainder: str = "share"
    ties: str = "place"
    attention_layer: int = -2
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "fastvid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "segments", "anchor_step", "neighbours")
        check_shares(self, "context", "centre_weight")
        check_at_least(self, -1.0, "threshold")
        check_words(self, remainder=("share", "release"), ties=TIES)
        check_at_least(self, -MOST_LAYERS, "attention_layer")

    @torch.no_grad()
    def compress(self, features: FrameFeatures, attention: Tensor) -> VisualTokens:
        """Keep the patches with high attention, and gather the rest around density peaks.

        Args:
            features: Features of the T sampled frames.
            attention: (T, N) attention that each patch receives.

        Returns:
            The min(budget, T * N) tokens in the order of the video; fewer with `remainder="release"`. If the budget is
            below T, that many evenly spread frames are kept.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        positions = thin(np.arange(len(features)), budget)  # of the kept frames, T from here on
        check_finite(features.summary[positions])
        check_finite(attention[positions])
        if budget >= len(features) * n:
            return whole_frames(features, positions, budget, len(features) * n)
        ends = segment_ends(features.summary[positions], self.segments, self.threshold, self.ties)
        salient, peaks = self._plan(ends, budget, n)
        chosen = among_largest(attention[positions], salient)  # (T, N)
        parts = []
        for start, stop in zip([0, *ends], ends, strict=False):
            patches = features.patches(positions[start:stop])  # (t, N, D)
            parts.append(self._segment(patches, chosen[start:stop], peaks[start:stop], start))
        return assemble_parts(self, features, positions, parts, budget)

    def _plan(self, ends: list[int], budget: int, n: int) -> tuple[IntArray, IntArray]:
        """Return the number of salient patches (T,) and of density peaks (T,) per frame; 0 if not an anchor."""
        frames = ends[-1]
        each = budget // frames if self.remainder == "release" else -(-budget // frames)
        context = int(each * self.context)
        salient = np.full(frames, each - context)
        peaks = np.zeros(frames, np.int64)
        spare: list[int] = []  # anchors that get one more if nothing is lost
        for start, stop in zip([0, *ends], ends, strict=False):
            anchors = self._anchors(start, stop, context, n - each + context)
            peaks[anchors], lost = divmod(context * (stop - start), len(anchors))
            spare += anchors[:lost].tolist()
        missing = budget - int(salient.sum() + peaks.sum())
        if self.remainder == "release":
            return salient, peaks
        if missing > 0:
            peaks[thin(spare, missing)] += 1
        elif missing < 0:
            fewer = min(int(peaks.sum()), -missing)
            if fewer:
                peaks = apportion(peaks, int(peaks.sum()) - fewer, peaks)
            salient -= shares(-missing - fewer, frames)
        return salient, peaks

    def _anchors(self, start: int, stop: int, context: int, room: int) -> IntArray:
        """Return the anchor frames of a segment, including the last frame: enough to have room for the peaks."""
        step = max(1, min(self.anchor_step, stop - start))
        while step > 1 and -(-context * (stop - start) // -(-(stop - start) // step)) > room:
            step -= 1
        return np.arange(stop - 1, start - 1, -step)[::-1]

    def _segment(self, patches: Tensor, chosen: Tensor, peaks: IntArray, start: int) -> Part:
        """Return the tokens of one segment, in the order of their places.

        Args:
            patches: (t, N, D) patches of its frames.
            chosen: (t, N) bool, the salient ones.
            peaks: (t,) density peaks of each frame.
            start: Position of its first frame.
        """
        n = patches.shape[1]
        flat = patches.flatten(0, 1)  # (t * N, D)
        free = (~chosen).flatten().nonzero().flatten()  # (R,)
        parts = [Part.unmerged(patches, chosen, start)]
        for frame in np.flatnonzero(peaks).tolist():
            own = (~chosen[frame]).nonzero().flatten()
            scores = peak_scores(distances(patches[frame, own]), self.neighbours)
            centres = own[highest(scores, int(peaks[frame]), self.ties).sort().values] + frame * n
            joined, means, sizes = join(flat, free, centres)
            weight = (1 / (sizes + 1)).clamp_min(self.centre_weight)
            data = weight * flat[centres].float() + (1 - weight) * means
            # A peak equal to an earlier one has joined that one, but it must stay in its own token.
            stray = joined[torch.searchsorted(free, centres)] != torch.arange(len(centres), device=flat.device)
            token = torch.cat([joined, stray.nonzero().flatten()])
            source = torch.cat([free, centres[stray]])
            order = token.sort(stable=True).indices
            rows = [x.cpu().numpy() for x in (centres, token[order], source[order])]
            parts.append(Part(data.to(flat.dtype), rows[0] + start * n, rows[1], rows[2] + start * n))
        return together(parts).in_order()
