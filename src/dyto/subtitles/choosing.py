"""Choosing the lines that a prompt has room for: those nearest to the key frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dyto.subtitles.finding import Subtitles
from dyto.subtitles.parsing import Subtitle

MOST_TOKENS = 4000
"""Tokens of subtitles in a prompt, however large the context is: about half an hour of speech."""


@dataclass(frozen=True)
class Spoken:
    """The part of a video's subtitles that a prompt holds.

    Attributes:
        lines: The lines, in the order of time.
        source: Where they are from.
        left_out: How many lines there was no room for.

    Example:
        >>> Spoken((Subtitle(1.0, 2.0, "Hello."),), "film.srt", left_out=3).told
        '1 of 4 lines of film.srt'
    """

    lines: tuple[Subtitle, ...]
    source: str
    left_out: int = 0

    @property
    def told(self) -> str:
        """What was read, in words."""
        total = len(self.lines) + self.left_out
        count = f"{total} line{'' if total == 1 else 's'}"
        return f"{f'{len(self.lines)} of ' if self.left_out else ''}{count} of {self.source}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "source": self.source,
            "read": len(self.lines),
            "left_out": self.left_out,
            "start": round(self.lines[0].start, 3) if self.lines else None,
            "end": round(max(line.end for line in self.lines), 3) if self.lines else None,
        }


def nearest_first(lines: Sequence[Subtitle], seconds: Sequence[float]) -> list[int]:
    """Return positions of lines: those shown with a key frame first, then by their distance in time from one.

    Args:
        lines: The lines, in the order of time.
        seconds: Times of the key frames, ascending.

    Example:
        >>> lines = [Subtitle(0, 1, "a"), Subtitle(5, 6, "b"), Subtitle(7, 8, "c")]
        >>> nearest_first(lines, [5.5])
        [1, 2, 0]
    """
    if not lines or not len(seconds):
        return list(range(len(lines)))
    times = np.sort(np.asarray(seconds, np.float64))
    start, end = np.array([line.start for line in lines]), np.array([line.end for line in lines])
    after = np.searchsorted(times, start)  # the first key frame that is not before the line
    later = np.where(after < len(times), np.maximum(0.0, times[np.minimum(after, len(times) - 1)] - end), np.inf)
    earlier = np.where(after > 0, start - times[np.maximum(after - 1, 0)], np.inf)
    return np.argsort(np.minimum(later, earlier), kind="stable").tolist()


def choose_lines(subtitles: Subtitles, seconds: Sequence[float], room: int, cost: Callable[[Subtitle], int]) -> Spoken:
    """Choose the lines that a prompt has room for, nearest to the key frames first.

    Args:
        subtitles: All lines.
        seconds: Times of the key frames.
        room: Tokens that there is room for.
        cost: Tokens of a line.

    Returns:
        The lines, in the order of time.
    """
    chosen: list[int] = []
    left = min(room, MOST_TOKENS)
    for place in nearest_first(subtitles.lines, seconds):
        if left <= 0:
            break
        needed = max(1, cost(subtitles.lines[place]))
        if needed <= left:
            left -= needed
            chosen.append(place)
    lines = tuple(subtitles.lines[place] for place in sorted(chosen))
    return Spoken(lines, subtitles.source, len(subtitles) - len(lines))
