"""The likelihood of a written answer, given what was seen: for evidence, and for multiple choice by likelihood."""

from __future__ import annotations

from dyto.nouns.answers import reply
from dyto.nouns.questions import ParsedQuestion
from dyto.nouns.seeing import Timeline
from dyto.nouns.table import Concept, nouns

EVEN = 0.5
"""Likelihood of an answer that names nothing visible."""


def likelihood(timeline: Timeline, question: ParsedQuestion, answer: str) -> float:
    """Return how likely an answer is.

    Args:
        timeline: What was seen.
        question: The question.
        answer: The answer.

    Returns:
        From 0 to 1: for yes and no, by what the question asks for; for a letter, by its option; for anything else the
        mean share of the things that it names, each in the scene that shows it best.
    """
    if not len(timeline):
        return EVEN
    said = answer.strip().casefold()
    for index, option in enumerate(question.options):
        if said.startswith((f"({chr(97 + index)})", f"{chr(97 + index)})")) or said == option.casefold():
            return _share(timeline, nouns().concepts(option))
    if said.startswith(("yes", "no:", "no,")) or said.rstrip(".") == "no":
        yes = reply(timeline, question).yes
        return EVEN if yes is None else yes if said.startswith("yes") else 1 - yes
    named = nouns().concepts(said)
    return _share(timeline, named or list(question.concepts))


def _share(timeline: Timeline, concepts: list[Concept]) -> float:
    shares = [float(timeline.share_of(concept).max()) for concept in concepts]
    return sum(shares) / len(shares) if shares else EVEN
