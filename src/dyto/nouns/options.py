"""How much speaks for each option of a question, at the moment that the question is about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dyto.finch import FloatArray
from dyto.nouns.questions import ParsedQuestion
from dyto.nouns.seeing import Timeline
from dyto.nouns.table import Concept

SHOWN = 0.03
"""Share from which an option takes part in what comes first, last, before and after."""


def apart(options: Sequence[Concept | None]) -> list[Concept | None]:
    """Take from each option what a narrower one names: beside "a hen", "a bird" is another bird.

    Example:
        >>> from dyto.nouns.table import nouns
        >>> bird, hen = nouns().concepts("a bird, a hen")
        >>> len(bird.classes) - len(apart([bird, hen])[0].classes)
        1
    """
    given = [one for one in options if one is not None]
    return [one and _without(one, [other for other in given if other.classes < one.classes]) for one in options]


def _without(wide: Concept, narrow: Sequence[Concept]) -> Concept:
    left = wide.classes.difference(*(one.classes for one in narrow))
    return Concept(wide.word, left) if left else wide


def scores(timeline: Timeline, question: ParsedQuestion, options: Sequence[Concept | None]) -> FloatArray:
    """Return how much speaks for each of O options, (O,): its share in the scene that the question is about.

    Args:
        timeline: What was seen.
        question: The question.
        options: What each option names; None for nothing that the eye knows.
    """
    if not timeline.num_scenes:
        return np.zeros(len(options))
    named = list(options) if question.denied else apart(options)  # a hen is no proof that there is no bird
    shares = np.array([np.zeros(timeline.num_scenes) if one is None else timeline.share_of(one) for one in named])
    asked = question.concepts[-1] if question.concepts else None
    if question.place in ("before", "after") and asked is not None:
        itself = [place for place, one in enumerate(options) if one is not None and one.classes == asked.classes]
        beside = shares[itself[0]].copy() if itself else timeline.share_of(asked)
        shares[itself] = 0  # what comes after a thing is another one
        at = int(beside.argmax())
        step = range(at + 1, len(beside)) if question.place == "after" else range(at - 1, -1, -1)
        found = _first(shares, step) if beside[at] >= SHOWN else None
    elif question.place in ("first", "last"):
        order = range(timeline.num_scenes)
        found = _first(shares, order if question.place == "first" else order[::-1])
    elif question.place == "at":
        spans = [timeline.span(scene) for scene in range(timeline.num_scenes)]
        away = [max(one.start - question.number, question.number - one.end, 0.0) for one in spans]
        found = int(np.argmin(away))
    else:
        return np.asarray(shares.max(1), np.float64)
    return np.zeros(len(options)) if found is None else shares[:, found]


def _first(shares: FloatArray, order: Sequence[int]) -> int | None:
    """Return the first scene in an order that shows an option at least half as clearly as any scene does."""
    enough = np.maximum(SHOWN, shares.max(1) / 2)
    return next((scene for scene in order if (shares[:, scene] >= enough).any()), None)
