"""How likely a written answer is, given what was seen: for evidence, and for multiple choice by likelihood."""

from __future__ import annotations

from dyto.nouns.answers import reply
from dyto.nouns.questions import Question
from dyto.nouns.seeing import Timeline
from dyto.nouns.table import Concept, nouns

EVEN = 0.5
"""Of an answer that says nothing that could be looked for."""


def likelihood(timeline: Timeline, question: Question, answer: str) -> float:
    """Return how likely an answer is.

    Args:
        timeline: What was seen.
        question: What was asked.
        answer: What is written.

    Returns:
        From 0 to 1: of yes and no, by what the question asks for; of a letter, by its option; of anything else the
        mean share of the things that it names, each where it is seen best.
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
