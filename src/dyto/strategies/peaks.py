"""Density peaks: segments of similar frames; each keeps patches with high attention, and peaks that gather the rest.

The idea comes from Shen et al., "FastVID: Dynamic Density Pruning for Fast Video Large Language Models" (arXiv
2503.11187, NeurIPS 2025), but this is not FastVID: compared with the authors' code (LunarShen/FastVID at a40a109c) on
the same tensors, it keeps 33 to 65 % of the same places. Its share of salient patches is their share of gathering ones,
and anchors, density, features and members differ too.
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
from dyto.strategies.base import MOST_LAYERS, LooksAtAttention, check_at_least, check_shares, substitute
from dyto.strategies.density import density_peaks, highest, join
from dyto.strategies.shared import assemble, check_finite, largest, other_places, shares


@dataclass(frozen=True)
class Peaks(LooksAtAttention):
    """Segments of similar frames; each keeps patches with high attention, and density peaks that gather the rest.

    Density and similarity use cosines; ties go to the lower place. This is related to FastVID, but not the same:
    the top of this file lists the differences.

    Attributes:
        segments: Smallest number of segments.
        threshold: Cosine of consecutive frames below which a segment always ends.
        salient: Share of a frame's tokens that are chosen by attention.
        anchor_step: Distance of anchor frames, whose density peaks gather patches; there are more anchors if these
            cannot hold enough tokens.
        centre_weight: Smallest weight of a density peak relative to the mean of what it gathers.
        neighbours: Number of nearest patches for the density.
        attention_layer: Layer of the tower whose attention is used.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.Peaks(token_budget=60)).encode(video)
        VisualTokens(60 tokens of 12 key frames, budget=60, uncompressed=432, dim=192)
    """

    segments: int = 8
    threshold: float = 0.9
    salient: float = 0.4
    anchor_step: int = 4
    centre_weight: float = 0.6
    neighbours: int = 4
    attention_layer: int = -2
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "peaks"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "segments", "anchor_step", "neighbours")
        check_shares(self, "salient", "centre_weight")
        check_at_least(self, -1.0, "threshold")
        check_at_least(self, -MOST_LAYERS, "attention_layer")

    @torch.no_grad()
    def compress(self, features: FrameFeatures, attention: Tensor) -> VisualTokens:
        """Keep the patches with high attention, and gather the rest around density peaks.

        Args:
            features: Features of the T sampled frames.
            attention: (T, N) attention that each patch receives.

        Returns:
            The min(budget, T * N) tokens in the order of the video. If the budget is below T, that many
            evenly spread frames are kept.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        positions = thin(np.arange(len(features)), budget)  # of the kept frames, T from here on
        count, total = len(positions), min(budget, len(positions) * n)
        check_finite(features.summary[positions])
        check_finite(attention[positions])
        ends = segment_ends(features.summary[positions], self.segments, self.threshold)
        each = round(total // count * self.salient)  # salient patches of a frame
        salient = largest(attention[positions], each)  # (T, each)
        quotas = np.diff([end * (total - count * each) // count for end in [0, *ends]])  # of gathered tokens
        parts: list[Tensor] = []
        places, owners = [], []
        for start, stop, quota in zip([0, *ends], ends, quotas, strict=False):
            patches = features.patches(positions[start:stop])  # (t, N, D)
            data, place, owner = self._segment(patches, salient[start:stop], int(quota))
            owners.append(np.where(owner < 0, -1, owner + sum(len(part) for part in parts)))
            places.append(place + start * n)
            parts.append(data)
        owner = np.concatenate(owners)  # (T * N,) token that each patch went to
        patch = np.flatnonzero(owner >= 0)
        patch = patch[np.argsort(owner[patch], kind="stable")]
        return assemble(
            features,
            torch.cat(parts),
            positions[np.concatenate(places) // n],
            (owner[patch], positions[patch // n], patch % n),
            budget,
            summary_source=features.summary_source,
            warnings=substitute(self, features),
        )

    def _segment(self, patches: Tensor, salient: Tensor, quota: int) -> tuple[Tensor, IntArray, IntArray]:
        """Return the tokens of a segment (m, D), the place of each, and the token of each patch or -1, (t * N,)."""
        frames, n, _ = patches.shape
        flat = patches.flatten(0, 1)  # (t * N, D)
        frame = torch.arange(frames, device=patches.device)[:, None]
        centres = self._centres(patches, salient, quota)
        place = torch.cat([(salient + frame * n).flatten(), centres]).sort().values  # (m,)
        data = flat[place]
        owner = torch.full((frames * n,), -1, dtype=torch.int64, device=patches.device)
        owner[place] = torch.arange(len(place), device=patches.device)
        others = (owner < 0).nonzero().flatten()
        if quota and len(others):
            joined, means, sizes = join(flat, others, centres)
            weight = (1 / (sizes + 1)).clamp_min(self.centre_weight)
            merged = torch.where(
                sizes > 0, weight * flat[centres].float() + (1 - weight) * means, flat[centres].float()
            )
            data[owner[centres]] = merged.to(data.dtype)
            owner[others] = owner[centres][joined]
        return data, place.cpu().numpy(), owner.cpu().numpy()

    def _centres(self, patches: Tensor, salient: Tensor, quota: int) -> Tensor:
        """Return (quota,) places of the density peaks among the anchor frames' patches that are not salient."""
        frames, n, _ = patches.shape
        room = n - salient.shape[1]
        step = min(self.anchor_step, frames)
        while step > 1 and -(-frames // step) * room < quota:
            step -= 1
        anchors = torch.arange(0, frames, step, device=patches.device)  # (A,)
        if quota == 0:
            return anchors[:0]
        free = other_places(salient[anchors], n)  # (A, R)
        score = density_peaks(patches, anchors, free, self.neighbours)
        rank = torch.sort(torch.sort(score, dim=1, descending=True, stable=True).indices, dim=1).indices
        wanted = torch.as_tensor(shares(quota, len(anchors)), device=patches.device)[:, None]
        return (free + anchors[:, None] * n)[rank < wanted]


def segment_ends(summary: Tensor, count: int, threshold: float, ties: str = "place") -> list[int]:
    """Return the ends of segments of similar frames.

    Args:
        summary: (T, D) one vector per frame.
        count: Smallest number of segments, if there are enough frames.
        threshold: Cosine of consecutive frames below which a segment always ends.
        ties: Order in which equally dissimilar neighbours are separated, as in `highest`.

    Returns:
        Ends of the segments, exclusive, ascending; the last is T.

    Example:
        >>> segment_ends(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]), 1, 0.9)
        [2, 4]
    """
    alike = neighbour_cosines(summary)
    cut = alike < threshold
    cut[highest(-alike, min(count - 1, len(alike)), ties)] = True
    return [*(cut.nonzero().flatten() + 1).tolist(), len(summary)]


def neighbour_cosines(summary: Tensor) -> Tensor:
    """Return (T - 1,) float32 cosines of consecutive frame vectors, (T, D), on the CPU."""
    unit = torch.nn.functional.normalize(summary.float(), dim=1)
    return (unit[1:] * unit[:-1]).sum(1).cpu()
