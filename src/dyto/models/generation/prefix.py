"""Prefixes: prompt text and video, read once by the language model; several of them form a batch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
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
        prefixes: The prefix of each row.
        questions: (Q, S, D) embeddings of the questions, zero in the padding before shorter ones.
        mask: (Q, P + S) int64, 0 in the padding.
        cache: Keys, values and states of the first P places.
        positions: (4, Q, P + S) int64 places, then time, height and width; None if places are simply counted.
    """

    prefixes: Sequence[Prefix]
    questions: Tensor
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
        places = max(map(len, prefixes))
        asked = _behind_zeros(questions)
        mask = torch.zeros(len(asked), places + asked.shape[1], dtype=torch.int64, device=asked.device)
        for row, (prefix, question) in enumerate(zip(prefixes, questions, strict=True)):
            mask[row, places - len(prefix) : places] = 1
            mask[row, mask.shape[1] - len(question) :] = 1
        positions = None
        if prefixes[0].next_position is not None:
            positions = (mask.cumsum(1) - 1).clamp(min=0).repeat(4, 1, 1)  # (4, Q, P + S)
            for row, prefix in enumerate(prefixes):
                positions[1:, row, places:] += (prefix.next_position or 0) - len(prefix)
        return cls(prefixes, asked, mask, side_by_side([prefix.cache for prefix in prefixes]), positions)

    @property
    def embeds(self) -> Tensor:
        """(Q, P + S, D) embeddings of the whole texts, zero in the padding."""
        before = _behind_zeros([prefix.embeds[0] for prefix in self.prefixes])
        return torch.cat([before, self.questions], 1)


def _behind_zeros(texts: Sequence[Tensor]) -> Tensor:
    """Stack embeddings (n, D) of texts, those of shorter texts behind zeros: (Q, longest n, D)."""
    longest = max(map(len, texts))
    return torch.stack([F.pad(text, (0, 0, longest - len(text), 0)) for text in texts])
