"""Many questions on one page: each sees the image and itself only, as if it had been asked alone."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor

from dyto.choices import format_choices
from dyto.models.adapters.tiny import vocabulary
from dyto.synthetic.questions import Question
from dyto.synthetic.world import BACKGROUND_NAMES, COLORS, CORNERS, KINDS, SHAPES
from dyto_tiny.lessons import Picture, draw_picture, draw_question

COLUMNS, WIDTH = 6, 48
"""Text on a page: no exercise crosses from one column to the next, so attention stays inside a column."""
LOOKUPS_ONLY = 0.056
"""Share of the stage that begins it without images: finding the letter of a given answer comes first."""
IGNORE = -100
FREE, LETTER, LOOKUP = 0, 1, 2
"""What an answer is: words, a letter, or a letter that the text alone decides."""

_WORD = re.compile(r"\([A-Z]\)|\w+|[^\w\s]")


class Page(NamedTuple):
    """The text below one image, (COLUMNS, WIDTH) each.

    Attributes:
        tokens: Ids; padding is 0.
        exercise: Which exercise a token belongs to, from 1; 0 for padding.
        place: Position of a token within its exercise.
        target: Id of the token that follows, where it is part of an answer; `IGNORE` elsewhere.
        kind: `FREE`, `LETTER` or `LOOKUP` where there is a target.
    """

    tokens: np.ndarray
    exercise: np.ndarray
    place: np.ndarray
    target: np.ndarray
    kind: np.ndarray


class Lesson(TypedDict):
    """One step of the language model: pictures with their pages, and pages that need no picture."""

    pictures: list[Picture]
    pages: dict[str, Tensor]
    lookups: dict[str, Tensor] | None


@functools.lru_cache(maxsize=1)
def _ids() -> dict[str, int]:
    return {token: index for index, token in enumerate(vocabulary())}


@functools.lru_cache(maxsize=65536)
def token_ids(text: str) -> tuple[int, ...]:
    """What the tokenizer makes of a text of this world, without its overhead.

    Example:
        >>> from dyto.models.adapters.tiny import build_tokenizer
        >>> text = "Is it red? (A) yes (B) no"
        >>> list(token_ids(text)) == build_tokenizer()(text, add_special_tokens=False).input_ids
        True
    """
    ids = _ids()
    words = (word if word.startswith("(") and len(word) > 1 else word.lower() for word in _WORD.findall(text))
    return tuple(ids.get(word, ids["<unk>"]) for word in words)


def prompt_text(question: str, options: Sequence[str] = ()) -> str:
    """The part of the prompt that follows the image."""
    listed = f" {format_choices(options, separator=' ')}" if options else ""
    return f"{question}{listed} ASSISTANT:"


def write_page(exercises: Sequence[tuple[str, str, int]]) -> Page:
    """Write exercises into columns, each where there is room first; those that fit nowhere are left out.

    Args:
        exercises: Prompt, answer and kind of each.

    Returns:
        The page.
    """
    blank = [np.zeros((COLUMNS, WIDTH), np.int64) for _ in range(4)]
    page = Page(blank[0], blank[1], blank[2], np.full((COLUMNS, WIDTH), IGNORE), blank[3])
    ends, eos = [0] * COLUMNS, _ids()["</s>"]
    for number, (prompt, answer, kind) in enumerate(exercises, 1):
        before, after = token_ids(prompt), (*token_ids(answer), eos)
        size = len(before) + len(after) - 1  # the last token predicts nothing
        column = next((c for c, end in enumerate(ends) if end + size <= WIDTH), None)
        if column is None:
            continue
        start, end = ends[column], ends[column] + size
        page.tokens[column, start:end] = (*before, *after[:-1])
        page.exercise[column, start:end] = number
        page.place[column, start:end] = np.arange(size)
        page.target[column, start + len(before) - 1 : end] = after
        page.kind[column, start:end] = kind
        ends[column] = end
    return page


def exercise(rng: np.random.Generator, question: Question, letters: float) -> tuple[str, str, int]:
    """Turn a question into prompt, answer and kind: with options in a share `letters` of the cases."""
    if question.answer is None or rng.random() < letters:
        options, place = question.options(rng, most=4 if rng.random() < 0.7 else int(rng.integers(2, 6)))
        return prompt_text(question.text, options), f"({chr(65 + place)})", LETTER
    return prompt_text(question.text), question.answer, FREE


_POOLS: tuple[tuple[str, ...], ...] = (
    tuple(COLORS), SHAPES, BACKGROUND_NAMES, CORNERS, KINDS, KINDS, tuple(map(str, range(1, 17))), ("yes", "no"),
)  # fmt: skip


def lookup(rng: np.random.Generator) -> tuple[str, str, int]:
    """An exercise without an image: the answer is given, its letter is asked."""
    pool = _POOLS[int(rng.integers(len(_POOLS)))]
    number = min(len(pool), 4 if rng.random() < 0.6 else int(rng.integers(2, 6)))
    options = [pool[i] for i in rng.permutation(len(pool))[:number]]
    place = int(rng.integers(number))
    return prompt_text(f"answer: {options[place]}", options), f"({chr(65 + place)})", LOOKUP


def draw_lesson(seed: int, step: int, epoch: int, progress: float, size: int) -> Lesson:
    """The lesson of one step, a pure function of its arguments.

    Args:
        seed: Of the recipe.
        step: Which lesson.
        epoch: Which gallery.
        progress: 0 .. 1 of the stage.
        size: Pictures in it.

    Returns:
        The lesson. In the first part of the stage there are only look-ups.
    """
    rng = np.random.default_rng((seed, 3, step))
    if progress < LOOKUPS_ONLY:
        return {"pictures": [], "pages": {}, "lookups": _stack([_lookup_page(rng) for _ in range(size)])}
    short = bool(rng.random() < (0.5 if progress < 0.3 else 0.3))
    pictures = [draw_picture(rng, seed, epoch, progress, short) for _ in range(size)]
    pages = []
    for picture in pictures:
        questions = [draw_question(rng, picture.scenes) for _ in range(40)]
        pages.append(write_page([exercise(rng, question, letters=0.5) for question in questions]))
    lookups = _stack([_lookup_page(rng)]) if step % 2 == 0 else None
    return {"pictures": pictures, "pages": _stack(pages), "lookups": lookups}


def _lookup_page(rng: np.random.Generator) -> Page:
    return write_page([lookup(rng) for _ in range(24)])


def _stack(pages: Sequence[Page]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.stack([getattr(page, name) for page in pages])) for name in Page._fields}
