"""Questions about a long film, whose scenes may return and whose events are brief."""

from __future__ import annotations

import numpy as np

from dyto.synthetic.long_films import LongFilm
from dyto.synthetic.questions import ASKERS, Question
from dyto.synthetic.videos import Asked, ask_both_ways, needle_questions

CONTENT = ("exist", "exist", "which", "color", "shape", "background", "background", "object")
"""Asked about the scenes, whatever their order."""
ORDER = ("after", "before", "scenes")
"""Asked where no scene returns, so that there is one answer."""
MOST_EVENTS = 3
"""More events are not asked about."""


def long_film_questions(rng: np.random.Generator, film: LongFilm) -> list[Question]:
    """Return questions about a long film.

    Args:
        rng: Where chance comes from.
        film: The film.

    Returns:
        The questions, all different; those about an event have the type "needle".
    """
    scenes = film.scenes
    shown = tuple(shot.scene for shot in film.shots)
    asked = [ASKERS[kind](rng, scenes) for kind in CONTENT]
    asked += [ASKERS[kind](rng, shown) for kind in ("first", "last")]
    if not film.returns:
        asked += [ASKERS[kind](rng, scenes) for kind in ORDER]
    events = [shot.scene for shot in film.shots if shot.needle][:MOST_EVENTS]
    found = [question for question in asked if question is not None]
    found += [question for event in events for question in needle_questions(rng, event, scenes)]
    return list({(question.text, question.right): question for question in found}.values())


def ask_about(rng: np.random.Generator, film: LongFilm) -> list[Asked]:
    """Return the questions, each in one of the ways in which it can be asked: for words, or with options."""
    ways = [ask_both_ways(rng, question) for question in long_film_questions(rng, film)]
    return [way[int(rng.integers(len(way)))] for way in ways if way]
