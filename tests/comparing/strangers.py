"""Strategies of somebody else: one that does nothing, one that looks at the question, one that breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dyto.strategies import Concat, Uniform


@dataclass(frozen=True)
class DoesNothing:
    token_budget: int = 230

    def __call__(self, frames, encode, question=None):
        return Concat()(frames, encode)


@dataclass(frozen=True)
class Breaks:
    token_budget: int = 230

    def __call__(self, frames, encode, question=None):
        return {}["nothing here"]  # type: ignore[index]


@dataclass(frozen=True)
class Asks:
    token_budget: int = 230
    uses_question: ClassVar[bool] = True
    asked: ClassVar[list] = []

    def __call__(self, frames, encode, question=None):
        self.asked.append(question)
        return Uniform(token_budget=self.token_budget)(frames, encode)


class Spoils:
    """Paints the frames over before it looks at them."""

    def __init__(self, token_budget=None):
        self.inner = Uniform(token_budget=token_budget)

    def __call__(self, frames, encode, question=None):
        frames.data[:] = 0
        return self.inner(frames, encode)
