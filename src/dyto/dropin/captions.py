"""The text between the pictures of a prompt: nothing, the caption of a frame, or the user's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from dyto.errors import ConfigError
from dyto.models.families import FAMILIES

Kind: TypeAlias = Literal["nothing", "caption", "words", "unread"]
"""Kinds of text between two pictures; "unread" if there is no tokenizer to read it."""

MARKS = tuple(dict.fromkeys(mark for family in FAMILIES.values() for mark in family.marks))
"""Marks that the processors of all families write around the placeholders of a picture."""

LONGEST = 48
"""Largest number of tokens of a caption and its marks; a byte tokenizer needs the most."""

_SECONDS = r"\d+(?:\s*[.,]\s*\d+)?\s*(?:seconds|second|secs|sec|s)\b"
_CLOCK = r"\d{1,3}(?:\s*:\s*\d{2}){1,2}(?:\s*\.\s*\d+)?"
_TIME = rf"(?:{_CLOCK}|{_SECONDS})"
_IN_BRACKETS = rf"(?:<\s*{_TIME}\s*>|\[\s*{_TIME}\s*\]|\(\s*{_TIME}\s*\))"
_NUMBER = r"frame\s*[-#]?\s*\d+(?:\s*(?:/|of)\s*\d+)?"
_CAPTION = re.compile(
    rf"{_IN_BRACKETS}\s*:?"  # <0.5 seconds>  [00:01]
    rf"|{_TIME}\s*:|{_CLOCK}"  # 0.5s:  00:07
    rf"|(?:frame|time|timestamp)\s*(?:from|at|=|:)?\s*(?:{_TIME}|{_IN_BRACKETS})\s*:?"  # Frame from 00:01:
    r"|<image_id>\s*\d+\s*</image_id>"  # of MiniCPM-V
    rf"|{_NUMBER}(?:\s*[,:-]?\s*(?:from|at)?\s*(?:{_TIME}|{_IN_BRACKETS}))?\s*:?",  # Frame1:  Frame 2 (0.5s):
    re.IGNORECASE,
)
_WHEN = re.compile(rf"(?P<clock>{_CLOCK})|(?P<number>\d+(?:\s*[.,]\s*\d+)?)\s*s", re.IGNORECASE)


def is_caption(text: str) -> bool:
    """Return whether a text is the caption of one frame: its number, its time, or both.

    Example:
        >>> [is_caption(text) for text in ("<0.5 seconds>", "Frame 3:", "Frame from 00:07:", "[1.5s]")]
        [True, True, True, True]
        >>> [is_caption(text) for text in ("", "then", "Picture 1:", "3", "in frame 3:")]
        [False, False, False, False, False]
    """
    return _CAPTION.fullmatch(text.strip()) is not None


def shape_of(caption: str) -> str:
    """Return the shape of a caption, without numbers and times: all captions of one video have the same shape.

    Example:
        >>> shape_of("<0.5 seconds>"), shape_of("Frame 12 (1:05):"), shape_of("Frame 3 0.5s:")
        ('<T>', 'frameN(T):', 'frameNT:')
    """
    timed = re.sub(_TIME, "T", caption.casefold())
    return re.sub(r"\s", "", re.sub(r"\d+", "N", timed))


def seconds_of(caption: str) -> float | None:
    """Return the time in a caption, or None if it has none.

    Example:
        >>> seconds_of("<4.5 seconds>"), seconds_of("Frame from 01:07:"), seconds_of("Frame 3:")
        (4.5, 67.0, None)
    """
    found = _WHEN.search(caption)
    if found is None:
        return None
    if found["number"] is not None:
        return float(re.sub(r"\s", "", found["number"]).replace(",", "."))
    total = 0.0
    for part in re.sub(r"\s", "", found["clock"]).split(":"):
        total = total * 60 + float(part)
    return total


@dataclass(frozen=True)
class Captions:
    """A reader of the text between pictures.

    Attributes:
        marks: Ids of marks that the model's config names.
        tokenizer: Function that returns the tokenizer, or None if it is unknown; then only these marks are read.
        written: Further marks, as text.
    """

    marks: frozenset[int]
    tokenizer: Callable[[], Any]
    written: tuple[str, ...] = ()

    def text(self, ids: Sequence[int]) -> str | None:
        """Return a text without marks; None if it cannot be read."""
        rest = [number for number in ids if number not in self.marks]
        if not rest:
            return ""
        tokenizer = self.tokenizer()
        if tokenizer is None:
            return None
        text = str(tokenizer.decode(rest, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        for mark in (*self.written, *MARKS):
            text = text.replace(mark, "")
        return text.strip()

    def kind(self, ids: Sequence[int]) -> Kind:
        """Return the kind of a text between two pictures."""
        text = self.text(ids)
        if text is None:
            return "unread"
        return "nothing" if not text else "caption" if is_caption(text) else "words"

    def shapes(self, texts: Sequence[Sequence[int]]) -> frozenset[str]:
        """Return the shapes of the texts that are captions."""
        read = [self.text(ids) for ids in texts]
        return frozenset(shape_of(text) for text in read if text and is_caption(text))

    def length_at_end(self, ids: Sequence[int], shapes: frozenset[str]) -> int:
        """Return how many ids at the end of a text are the next picture's caption, with its marks; 0 for none.

        Args:
            ids: The text before a picture.
            shapes: Allowed shapes of the caption; the user's words before it may look like a part of it.
        """
        texts = {length: self.text(ids[len(ids) - length :]) for length in range(1, min(LONGEST, len(ids)) + 1)}
        lengths = [n for n, text in texts.items() if text and is_caption(text) and shape_of(text) in shapes]
        if not lengths:
            return 0
        longest = lengths[-1]
        while longest - 1 in lengths and texts[longest - 1] == texts[longest]:
            longest -= 1  # before it there is a space or a line break
        return longest

    def seconds(self, ids: Sequence[int]) -> float | None:
        """Return the time in a caption; None if there is none, or it cannot be read."""
        text = self.text(ids)
        return seconds_of(text) if text else None


def unread_caption(head: Sequence[int], captions: Sequence[Sequence[int]], marks: frozenset[int]) -> int:
    """Return how many ids at the end of a text are a caption like the later ones, without a tokenizer.

    Captions are alike if they begin and end alike, and their few middle tokens (digits) are of few kinds. This is used
    only for videos that the processor made, whose frames it captioned itself.

    Args:
        head: Ids before the first frame.
        captions: Ids before each of the other frames.
        marks: Ids to ignore in all of them.

    Returns:
        The number of ids; 0 if the captions are not alike.
    """
    others = [[number for number in caption if number not in marks] for caption in captions]
    if not all(others):
        return 0
    for length in range(1, min(LONGEST, len(head)) + 1):
        first = [number for number in head[len(head) - length :] if number not in marks]
        if first and first[0] == others[0][0] and head[len(head) - length] == first[0] and _alike([first, *others]):
            return length
    return 0


def _alike(texts: list[list[int]]) -> bool:
    start = _common(texts)
    rests = [text[start:] for text in texts]
    stop = _common([rest[::-1] for rest in rests])
    middles = [rest[: len(rest) - stop] for rest in rests]
    digits = {number for middle in middles for number in middle}
    return start > 0 and start + stop > 1 and len(digits) <= 11 and max(map(len, middles)) <= 8


def _common(texts: list[list[int]]) -> int:
    """Return the length of the common beginning of all texts."""
    shortest = min(map(len, texts))
    return next((place for place in range(shortest) if len({text[place] for text in texts}) > 1), shortest)


def unread(number: int) -> ConfigError:
    """Return the error for a text between pictures that cannot be read."""
    return ConfigError(
        f"sample {number} has text between its images, and without a tokenizer captions of frames cannot be told "
        "from words: pass the processor that made the inputs as processor="
    )
