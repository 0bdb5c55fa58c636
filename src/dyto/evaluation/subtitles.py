"""Subtitles (`.srt`): what is being said when a frame is shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dyto.evaluation.tables import read_text

_TIMES = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d+)\s*-->\s*(\d+):(\d\d):(\d\d)[,.](\d+)")


@dataclass(frozen=True)
class Subtitle:
    """One line of speech, from `start` to `end` in seconds."""

    start: float
    end: float
    text: str


def parse_srt(text: str) -> list[Subtitle]:
    r"""Read the lines of an `.srt` file; markup is removed, blocks without times are passed over.

    Example:
        >>> parse_srt("1\n00:00:01,500 --> 00:00:02,000\n<i>Hello</i>\nthere")[0]
        Subtitle(start=1.5, end=2.0, text='Hello there')
    """
    found = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        times = _TIMES.search(block)
        if times:
            spoken = re.sub(r"<[^>]*>", "", block[times.end() :])
            found.append(Subtitle(_seconds(times.groups()[:4]), _seconds(times.groups()[4:]), " ".join(spoken.split())))
    return [line for line in found if line.text]


def _seconds(parts: Sequence[str]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def spoken_at(lines: Sequence[Subtitle], seconds: Sequence[float]) -> list[str]:
    """The lines that are heard while any of some frames is shown, each once, in order.

    Example:
        >>> spoken_at([Subtitle(0, 2, "one"), Subtitle(2, 4, "two")], [0.5, 1.5])
        ['one']
    """
    return [line.text for line in lines if any(line.start <= second < line.end for second in seconds)]


def with_subtitles(question: str, path: Path, seconds: Sequence[float]) -> tuple[str, str]:
    """A question with what is said at the key frames before it.

    Args:
        question: The question.
        path: The video's `.srt` file.
        seconds: Times of the key frames.

    Returns:
        The longer question, and a note for the record where nothing could be added.
    """
    if not path.is_file():
        return question, "asked without subtitles: the video has none"
    spoken = spoken_at(parse_srt(read_text(path)), seconds)
    if not spoken:
        return question, "asked without subtitles: nothing is said at the key frames"
    return f"Subtitles of the video: {' '.join(spoken)}\n{question}", ""
