"""Prefixes: prompt text and video, read once by the language model; several of them form a batch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from dyto.models.generation.states import bytes_of, can_stand_together, ignores_padding, side_by_side


@dataclass(frozen=True)
class Prefix:
    """Prompt text and video, read once by the language model and reusable for any number of questions.

    Attributes:
        embeds: (1, P, D) embeddings of the text before the video and of the video.
        cache: Keys, values and states of these P places.
        scaled: Whether its positions are RoPE-scaled.
        next_position: The next position, in families whose positions differ from places (M-RoPE); None if it is P.
    """

    embeds: Tensor
    cache: DynamicCache
    scaled: bool
    next_position: int | None = None

    def __len__(self) -> int:
        return self.embeds.shape[1]

    @property
    def nbytes(self) -> int:
        """Size of its keys, values and states."""
        return bytes_of(self.cache)

    def company(self, length: int) -> Hashable:
        """Return a key that is equal for questions that can be answered in one batch after this prefix.

        Args:
            length: Tokens of the question. A sliding window would see padding between prefix and question, and a
                recurrence would read it, so there only questions of equal length share a batch.
        """
        if ignores_padding(self.cache):
            return None
        return length if can_stand_together(self.cache) else object()


@dataclass(frozen=True)
class Batch:
    """Questions after their prefixes: [padding, prefix, padding, question] in every row.

    Attributes:
        embeds: (Q, P + S, D), zero in the padding.
        mask: (Q, P + S) int64, 0 in the padding.
        cache: Keys, values and states of the first P places.
        positions: (4, Q, P + S) int64 places, then time, height and width; None if places are simply counted.
    """

    embeds: Tensor
    mask: Tensor
    cache: DynamicCache
    positions: Tensor | None

    @classmethod
    def of(cls, prefixes: Sequence[Prefix], questions: Sequence[Tensor]) -> Batch:
        """Put questions after their prefixes.

        Args:
            prefixes: One prefix per question; they are not changed.
            questions: (S, D) embeddings of each question.
        """
        places, longest = max(map(len, prefixes)), max(map(len, questions))
        like = prefixes[0].embeds
        embeds = like.new_zeros(len(questions), places + longest, like.shape[2])
        mask = torch.zeros(embeds.shape[:2], dtype=torch.int64, device=like.device)
        for row, (prefix, question) in enumerate(zip(prefixes, questions, strict=True)):
            for part, stop in ((prefix.embeds[0], places), (question, places + longest)):
                embeds[row, stop - len(part) : stop] = part
                mask[row, stop - len(part) : stop] = 1
        positions = None
        if prefixes[0].next_position is not None:
            positions = (mask.cumsum(1) - 1).clamp(min=0).repeat(4, 1, 1)  # (4, Q, P + S)
            for row, prefix in enumerate(prefixes):
                positions[1:, row, places:] += (prefix.next_position or 0) - len(prefix)
        return cls(embeds, mask, side_by_side([prefix.cache for prefix in prefixes]), positions)
