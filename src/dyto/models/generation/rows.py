"""Rows of one batch that are written independently: each with its own length, sampling, listener and end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import TopPLogitsWarper


@dataclass(eq=False)
class Row:
    """One answer of a batch.

    Attributes:
        max_new_tokens: Largest number of tokens in the answer.
        temperature: Divisor of the logits before sampling; 0 for the likeliest token at every step.
        top_p: Share of the probability from which a token is sampled, likeliest first.
        seed: Seed of the row's own generator; None for a random one.
        tell: Called with each token.
        ended: Function asked after each step; True ends the row.
        done: Called once when the row has ended, while other rows may go on.
        ids: The tokens so far, through the end token if there is one.
        reason: "stop" after an end token, "length" after `max_new_tokens`, "asked" after `ended`; None so far.

    Example:
        >>> row = Row(2)
        >>> for token in (5, 6, 7):
        ...     row.take(token, frozenset([1]))
        >>> row.ids, row.reason
        ([5, 6], 'length')
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    tell: Callable[[int], None] = lambda token: None
    ended: Callable[[], bool] = lambda: False
    done: Callable[[], None] = lambda: None
    ids: list[int] = field(default_factory=list)
    reason: str | None = None

    @cached_property
    def generator(self) -> torch.Generator:
        """The row's own source of random numbers."""
        seed = secrets.randbits(63) if self.seed is None else self.seed
        return torch.Generator().manual_seed(seed)

    def take(self, token: int, ends: frozenset[int]) -> None:
        """Add a token, unless the row has ended.

        Args:
            token: The token.
            ends: Tokens that end an answer.
        """
        if self.look():
            return
        self.ids.append(token)
        self.tell(token)
        if token in ends:
            self.end("stop")
        elif not self.look() and len(self.ids) >= self.max_new_tokens:
            self.end("length")

    def look(self) -> bool:
        """Return whether the row has ended, after asking `ended`."""
        if self.reason is None and self.ended():
            self.end("asked")
        return self.reason is not None

    def end(self, reason: str) -> None:
        """End the row, if it has not ended yet.

        Args:
            reason: One of the values of `reason`.
        """
        if self.reason is None:
            self.reason = reason
            self.done()

    def choose(self, scores: Tensor) -> int:
        """Sample a token.

        Args:
            scores: (V,) logits.
        """
        exact = scores.double().cpu()[None]
        logits = (exact - exact.max()) / self.temperature  # (1, V): 0 or less, so that no temperature is too small
        if self.top_p < 1:
            logits = TopPLogitsWarper(self.top_p)(logits.new_zeros(1, 0, dtype=torch.int64), logits)
        return int(torch.multinomial(logits.softmax(-1), 1, generator=self.generator))


class Rows:
    """The rows of a batch as stock `generate` takes them: a logits processor and a stopping criterion.

    Args:
        rows: One row per question.
        ends: Tokens that end an answer.
    """

    def __init__(self, rows: Sequence[Row], ends: Sequence[int]) -> None:
        self.rows, self._ends = rows, frozenset(ends)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Leave a single possible token in the rows that sample, as the last `transformers.LogitsProcessor`."""
        sampling = [number for number, row in enumerate(self.rows) if row.temperature > 0 and row.reason is None]
        if not sampling:
            return scores
        scores = scores.clone()
        for number in sampling:
            chosen = self.rows[number].choose(scores[number])
            scores[number] = -torch.inf
            scores[number, chosen] = 0.0
        return scores

    def stopped(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Hand each row its newest token, and return the (Q,) rows that have ended: a `transformers.StoppingCriteria`.

        Args:
            input_ids: (Q, n) ids of the answers so far.
            scores: Not used.
        """
        for row, token in zip(self.rows, input_ids[:, -1].tolist(), strict=True):
            row.take(token, self._ends)
        return torch.tensor([row.look() for row in self.rows], device=input_ids.device)
