"""Subtitles that a child process reads: the pieces in which it tells them, and what is made of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dyto.errors import VideoError
from dyto.subtitles.finding import Subtitles, find_subtitles
from dyto.video.guarded import told_guarded
from dyto.video.limits import Limits

LINES = 2000
"""Lines in a piece: whatever letters they are of, they fit a message."""


def find_guarded(video: Path | None, which: str, limits: Limits) -> Subtitles | None:
    """Find subtitles as `dyto.find_subtitles` does, in a child process that a hostile file may hang or crash.

    Args:
        video: The video; None for a file of subtitles alone.
        which: As for `dyto.find_subtitles`, as a text.
        limits: Limits on the video.

    Raises:
        VideoError: As for `dyto.find_subtitles`; or reading took too long, took too much memory, or crashed.
        ConfigError: There is no such choice for this video.
    """
    whole = {"video": None if video is None else str(video.absolute()), "which": which}
    told = told_guarded(str(video or which), "dyto.subtitles.passing:pieces", limits, **whole)
    try:
        return joined(told)
    except (LookupError, TypeError, ValueError) as err:
        raise VideoError(
            f"the process that reads the subtitles of {video or which} says what cannot be understood"
        ) from err


def pieces(path: str, *, video: str | None, which: str, limits: Limits) -> Iterator[dict[str, Any]]:
    """Find subtitles, and yield them in pieces that JSON can hold.

    Args:
        path: The file that errors name.
        video: The video; None for a file of subtitles alone.
        which: As for `dyto.find_subtitles`.
        limits: Limits on the video.

    Example:
        >>> list(pieces("clip.mp4", video=None, which="none", limits=Limits()))
        []
    """
    found = find_subtitles(video, which, limits=limits)
    if found is None:
        return
    yield {"source": found.source, "optional": found.optional, "notes": list(found.notes)}
    lines = found.plain
    for first in range(0, len(lines), LINES):
        yield {"lines": lines[first : first + LINES]}


def joined(told: Iterable[dict[str, Any]]) -> Subtitles | None:
    """Return the subtitles that were told in pieces; a malicious file may have taken over who told them.

    Raises:
        LookupError: A piece is missing.
        TypeError: A piece is of another kind.
        ValueError: A number is none.

    Example:
        >>> joined([{"source": "a.srt", "optional": True, "notes": []}, {"lines": [[1, 2.5, "Hello."]]}])
        Subtitles(1 line of a.srt, 1.0 s to 2.5 s)
    """
    rest = iter(told)
    head = next(rest, None)
    if head is None:
        return None
    lines = (line for piece in rest for line in piece["lines"])
    return Subtitles.of(lines, head["source"], optional=head["optional"] is True, notes=head["notes"])
