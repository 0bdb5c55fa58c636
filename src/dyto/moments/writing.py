"""A timeline as text for people, as JSON and as WebVTT chapters."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from pathlib import Path

from dyto.errors import ConfigError
from dyto.inspecting.harmless import harmless
from dyto.inspecting.times import clock
from dyto.moments.finding import VideoTimeline
from dyto.moments.options import check_target, form_of
from dyto.moments.page import timeline_page
from dyto.system.files import replacing


def timeline_text(timeline: VideoTimeline) -> str:
    """Return a line for each segment: its number, when it begins and ends, its key frames, and what it shows.

    Example:
        >>> import numpy as np, dyto
        >>> film = np.zeros((6, 48, 64, 3), np.uint8)
        >>> timeline = dyto.find_timeline(dyto.VideoQA.from_pretrained("tiny"), film)
        >>> print(timeline_text(timeline), end="")
        1  0.0 s - 6.0 s  key frame 2.0 s
    """
    rows = []
    for number, segment in enumerate(timeline.segments, start=1):
        seconds = [clock(timeline.keyframes.seconds[place]) for place in segment.keyframes]
        shown = f"{_plural(len(seconds), 'key frame')} {', '.join(seconds)}" if seconds else "no key frame"
        rows.append((str(number), f"{clock(segment.start)} - {clock(segment.end)}", shown, harmless(segment.text)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for place, times, shown, text in rows:
        cells = f"{place.rjust(widths[0])}  {times.ljust(widths[1])}  {shown.ljust(widths[2])}  {text}"
        lines.append(cells.rstrip() + "\n")
    return "".join(lines)


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def timeline_json(timeline: VideoTimeline) -> str:
    """Return `VideoTimeline.to_dict` as a JSON document."""
    return json.dumps(timeline.to_dict(), ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def timeline_webvtt(timeline: VideoTimeline) -> str:
    """Return the segments as chapters, for `<track kind="chapters">` and for players that read WebVTT.

    Example:
        >>> import numpy as np, dyto
        >>> film = np.zeros((6, 48, 64, 3), np.uint8)
        >>> timeline = dyto.find_timeline(dyto.VideoQA.from_pretrained("tiny"), film)
        >>> print(timeline_webvtt(timeline), end="")
        WEBVTT
        <BLANKLINE>
        1
        00:00:00.000 --> 00:00:06.000
        Segment 1
    """
    cues = ["WEBVTT\n"]
    for number, segment in enumerate(timeline.segments, start=1):
        words = " ".join(harmless(segment.text).split()) or f"Segment {number}"
        text = html.escape(words, quote=False)
        cues.append(f"{number}\n{stamp(segment.start)} --> {stamp(segment.end)}\n{text}\n")
    return "\n".join(cues)


def stamp(second: float) -> str:
    """Return a time as WebVTT writes it.

    Example:
        >>> stamp(3725.0404)
        '01:02:05.040'
    """
    milliseconds = max(0, round(second * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


FORMS: dict[str, Callable[[VideoTimeline], str]] = {
    "text": timeline_text,
    "json": timeline_json,
    "vtt": timeline_webvtt,
    "html": timeline_page,
}
"""How a timeline can be written, by name."""


def save_timeline(timeline: VideoTimeline, path: str | os.PathLike[str], form: str | None = None) -> None:
    """Write a timeline; an existing file stays until the new one is complete.

    Args:
        timeline: The timeline.
        path: The file.
        form: A key of `FORMS`; None for the one of the file's ending.

    Raises:
        ConfigError: The form is unknown, or the file cannot be written.

    Example:
        >>> import tempfile, numpy as np, dyto
        >>> timeline = dyto.find_timeline(dyto.VideoQA.from_pretrained("tiny"), np.zeros((6, 48, 64, 3), np.uint8))
        >>> path = Path(tempfile.mkdtemp(), "film.vtt")
        >>> save_timeline(timeline, path)
        >>> path.read_text(encoding="utf-8").splitlines()[0]
        'WEBVTT'
    """
    place = Path(path)
    text = FORMS[form_of(form, place)](timeline)
    check_target(place)
    try:
        with replacing(place) as half:
            half.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as err:
        raise ConfigError(f"{place} cannot be written ({err.strerror or err}): give another path") from err
