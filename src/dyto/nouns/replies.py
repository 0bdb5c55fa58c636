"""An answer about a timeline, and what all answers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dyto.nouns.questions import UNSEEN
from dyto.nouns.seeing import Sighting
from dyto.nouns.table import Concept

NOT_SURE = "not sure"


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        text: The text.
        confidence: Confidence from 0 to 1; None if the question asks for nothing visible.
        choice: The option that it names, or None.
        reason: Why nothing is asserted, or no option named; None if there is an answer.
        yes: Likelihood of yes, for a yes-or-no question; None for others.
        seen: The sightings that the answer is about.
    """

    text: str
    confidence: float | None
    choice: int | None = None
    reason: str | None = None
    yes: float | None = None
    seen: Sequence[Sighting] = field(default=(), repr=False)


def unseen(about: str) -> Reply:
    """Say that a topic of `UNSEEN` cannot be seen."""
    reason = f"this model cannot see {UNSEEN[about]}"
    told = "I name kinds of things and say when they are seen"
    return Reply(f"{NOT_SURE}: I cannot see {UNSEEN[about]}. {told}", None, reason=reason)


def any_of(concepts: Sequence[Concept]) -> Concept | None:
    """Join several concepts into one; None for none."""
    if not concepts:
        return None
    return Concept(" or ".join(one.word for one in concepts), frozenset().union(*(one.classes for one in concepts)))
