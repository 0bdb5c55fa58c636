"""VisionZip: the patches that the tower attends to most, and a few that gather the rest.

Source: Yang et al., "VisionZip: Longer is Better but Not Necessary in Vision Language Models" (arXiv 2412.04467).
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
from dyto.strategies.shared import (
    assemble,
    check_finite,
    frame_chunks,
    group_sums,
    largest,
    other_places,
    take_rows,
)
from dyto.strategies.uniform import whole_frames


@dataclass(frozen=True)
class VisionZip(LooksAtAttention):
    """In each frame, the patches that receive most attention, and a few others that gather the rest.

    All frames get the same number of tokens: CLS after the projector (it counts as the first dominant token and
    represents all patches of its frame), the dominant patches, then the contextual ones. A tower without CLS has no
    such token, and attention is then the mean over all patches. The published code compares and adds tokens
    before the projector, by the keys of the layer; here this happens after the projector, by the cosine of patches.

    Attributes:
        dominant: Share of a frame's tokens that are dominant; published: 54 of 64.
        attention_layer: Layer of the tower whose attention is used.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.VisionZip(token_budget=60)).encode(video)
        VisualTokens(60 tokens of 12 key frames, budget=60, uncompressed=432, dim=192)
    """

    dominant: float = 54 / 64
    attention_layer: int = -2
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "visionzip"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "dominant")
        check_at_least(self, -MOST_LAYERS, "attention_layer")

    @torch.no_grad()
    def compress(self, features: FrameFeatures, attention: Tensor) -> VisualTokens:
        """Keep the patches with high attention, and gather the rest.

        Args:
            features: Features of the T sampled frames.
            attention: (T, N) attention that each patch receives.

        Returns:
            T * min(N, budget // T) tokens, frame after frame. If the budget is below T, that many evenly spread
            frames are kept.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        total, n = len(features), features.num_patches
        budget = self.budget_for(n)
        positions = thin(np.arange(total), budget)
        keep = budget // len(positions)
        if keep >= n:
            return whole_frames(features, positions, budget, uncompressed=total * n)  # then all frames are present
        check_finite(attention)
        has_cls = features.summary_source == "CLS"
        dominant = round(keep * self.dominant)
        salient = largest(attention[positions], max(0, dominant - has_cls))  # (T, s)
        summary = features.summary[positions][:, None][:, : int(has_cls and dominant > 0)]  # (T, 1 or 0, D)
        patches = features.patches(positions)  # (T, N, D)
        data = patches.new_empty(len(positions), keep, patches.shape[2])
        first = summary.shape[1] + salient.shape[1]
        data[:, :first] = torch.cat([summary, take_rows(patches, salient)], 1)
        owner = torch.full((len(positions), n), -1, dtype=torch.int64, device=patches.device)
        owner.scatter_(1, salient, torch.arange(summary.shape[1], first, device=owner.device).expand_as(salient))
        if keep > first:
            others = other_places(salient, n)  # (T, R)
            for chunk in frame_chunks(patches):
                gathered, joined = gather(take_rows(patches[chunk], others[chunk]), keep - first)
                data[chunk, first:] = gathered.to(data.dtype)
                owner[chunk] = owner[chunk].scatter(1, others[chunk], joined + first)
        return assemble(
            features,
            data.flatten(0, 1),
            np.repeat(positions, keep),
            _sources(owner.cpu().numpy(), positions, keep, summary.shape[1]),
            budget,
            summary_source=features.summary_source,
            warnings=substitute(self, features),
        )


def gather(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Gather tokens around targets at equal stride.

    Args:
        x: (B, R, D) tokens of B frames.
        count: Number of targets per frame, at most R.

    Returns:
        (B, count, D) float32, each target plus the mean of the tokens most similar to it by cosine; and (B, R)
        int64, the target of each token.

    Raises:
        BadFeaturesError: The tokens hold NaN or infinity.
    """
    batch, size, dim = x.shape
    x = x.float()
    targets = torch.arange(count, device=x.device) * (size // count)  # (count,)
    unit = torch.nn.functional.normalize(x, dim=2)
    scores = unit @ unit[:, targets].transpose(1, 2)  # (B, R, count)
    best, joined = scores.max(2)
    check_finite(best)
    joined[:, targets] = torch.arange(count, device=x.device)
    row = joined + torch.arange(batch, device=x.device)[:, None] * count  # (B, R)
    sums = group_sums(x.flatten(0, 1), row.flatten(), batch * count).view(batch, count, dim)
    sizes = torch.bincount(row.flatten(), minlength=batch * count).view(batch, count, 1)
    own = x[:, targets]
    return own + (sums - own) / (sizes - 1).clamp_min(1), joined


def _sources(owner: IntArray, positions: IntArray, keep: int, summaries: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return token, frame and patch of all sources of tokens; a summary represents all patches of its frame."""
    frame, patch = np.nonzero(owner >= 0)
    token = owner[frame, patch] + frame * keep
    if summaries:
        rows, cols = np.indices(owner.shape).reshape(2, -1)
        token = np.concatenate([rows * keep, token])
        frame, patch = np.concatenate([rows, frame]), np.concatenate([cols, patch])
    order = np.argsort(token, kind="stable")
    return token[order], positions[frame[order]], patch[order]
