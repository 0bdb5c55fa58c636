"""Subtitles in the question, as the makers of Video-MME put them there: the words at the key frames, without times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dyto.errors import VideoError
from dyto.subtitles.parsing import Subtitle
from dyto.subtitles.reading import read_lines


def spoken_at(lines: Sequence[Subtitle], seconds: Sequence[float]) -> list[str]:
    """Return the lines spoken while any of the given frames is shown, each once, in order.

    Example:
        >>> spoken_at([Subtitle(0, 2, "one"), Subtitle(2, 4, "two")], [0.5, 1.5])
        ['one']
    """
    return [line.text for line in lines if any(line.start <= second < line.end for second in seconds)]


def with_subtitles(question: str, path: Path, seconds: Sequence[float]) -> tuple[str, str]:
    """Prepend to a question the words spoken at the key frames.

    Args:
        question: The question.
        path: The video's `.srt` file.
        seconds: Times of the key frames.

    Returns:
        The longer question, and a note for the row if nothing could be added.
    """
    if not path.is_file():
        return question, "asked without subtitles: the video has none"
    try:
        lines = read_lines(path)
    except VideoError:
        lines = []
    if not lines:
        return question, "asked without subtitles: their file has no readable cues"
    spoken = spoken_at(lines, seconds)
    if not spoken:
        return question, "asked without subtitles: nothing is said at the key frames"
    return f"Subtitles of the video: {' '.join(spoken)}\n{question}", ""
