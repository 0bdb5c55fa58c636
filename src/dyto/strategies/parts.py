"""Tokens made segment by segment and then joined, each with its place and all its patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import IntArray
from dyto.strategies.base import Named, substitute
from dyto.strategies.shared import assemble


class Part(NamedTuple):
    """Some tokens of a video, with places among the T * N patches of the given frames.

    Attributes:
        data: (m, D) tokens.
        place: (m,) place of each token.
        token: (M,) token of each patch, ascending.
        source: (M,) place of that patch.
    """

    data: Tensor
    place: IntArray
    token: IntArray
    source: IntArray

    @classmethod
    def unmerged(cls, patches: Tensor, kept: Tensor, start: int) -> Part:
        """Make a part of unmerged patches.

        Args:
            patches: (t, N, D) patches of some frames.
            kept: (t, N) bool, the patches to keep.
            start: Position of the first of these frames.
        """
        place = kept.flatten().nonzero().flatten().cpu().numpy() + start * patches.shape[1]
        return cls(patches[kept], place, np.arange(len(place)), place)

    def in_order(self) -> Part:
        """Sort the tokens by their places; ties keep their order."""
        order = np.argsort(self.place, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        token = rank[self.token]
        by_token = np.argsort(token, kind="stable")
        rows = torch.from_numpy(order).to(self.data.device)
        return Part(self.data[rows], self.place[order], token[by_token], self.source[by_token])


def together(parts: Sequence[Part]) -> Part:
    """Join the tokens of some parts, one part after the other, in the dtype of the first."""
    first = np.cumsum([0, *(len(part.data) for part in parts)])
    return Part(
        torch.cat([part.data.to(parts[0].data.dtype) for part in parts]),
        np.concatenate([part.place for part in parts]),
        np.concatenate([part.token + offset for part, offset in zip(parts, first, strict=False)]),
        np.concatenate([part.source for part in parts]),
    )


def assemble_parts(
    strategy: Named, features: FrameFeatures, positions: IntArray, parts: Sequence[Part], budget: int
) -> VisualTokens:
    """Return the tokens of a strategy that uses attention, with their provenance.

    Args:
        strategy: The strategy.
        features: Features of the sampled frames.
        positions: Positions of the given frames among them.
        parts: The tokens, in their order.
        budget: The token budget.
    """
    whole, n = together(parts), features.num_patches
    return assemble(
        features,
        whole.data.to(features.summary.dtype),
        positions[whole.place // n],
        (whole.token, positions[whole.source // n], whole.source % n),
        budget,
        places=whole.place % n,
        summary_source=features.summary_source,
        warnings=substitute(strategy, features),
    )
