"""Finding the subtitles of a video: a named file, a file beside it, or a track inside it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dyto.errors import ConfigError, VideoError
from dyto.subtitles.parsing import Subtitle
from dyto.subtitles.reading import ENDINGS, read_lines
from dyto.subtitles.tracks import Track, read_track, tracks_of
from dyto.video.guarded import can_guard
from dyto.video.limits import Limits
from dyto.video.pictures import is_picture

AUTO, NONE = "auto", "none"
TRACK = re.compile(r"track:(\d{1,4})")

LONGEST, MOST_LINES = 500, 100_000
"""Letters of a line that are kept, and lines."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


@dataclass(frozen=True)
class Subtitles:
    """What is said in a video, in the order of time.

    Attributes:
        lines: The lines, with their seconds from the first frame.
        source: Where they are from: the name of a file, or a track.
        optional: Whether they were found and not named, so that a model that reads no words may go without.
        notes: What a reader should know.

    Example:
        >>> said = Subtitles((Subtitle(1.0, 2.5, "Hello there."),), "film.srt")
        >>> said
        Subtitles(1 line of film.srt, 1.0 s to 2.5 s)
    """

    lines: tuple[Subtitle, ...]
    source: str
    optional: bool = False
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        count = f"{len(self.lines)} line{'' if len(self.lines) == 1 else 's'} of {self.source}"
        if not self.lines:
            return f"Subtitles({count})"
        return f"Subtitles({count}, {self.lines[0].start:.1f} s to {max(one.end for one in self.lines):.1f} s)"

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def plain(self) -> list[list[Any]]:
        """The lines as JSON can hold them: start, end and text of each."""
        return [[line.start, line.end, line.text] for line in self.lines]

    @classmethod
    def of(cls, plain: Iterable[Iterable[Any]], source: Any, *, optional: bool, notes: Iterable[Any]) -> Subtitles:
        """Make subtitles of what `plain` gave; a malicious file may have made something else of it.

        Raises:
            TypeError: A line is of another kind.
            ValueError: A number is none, or a line has other parts.

        Example:
            >>> Subtitles.of([[1, 2.5, "Hello."]], "a.srt", optional=True, notes=())
            Subtitles(1 line of a.srt, 1.0 s to 2.5 s)
        """
        lines = (Subtitle(float(start), float(end), str(text)) for start, end, text in plain)
        return cls(tidy(lines), str(source), optional, tuple(map(str, notes)))


SubtitleChoice: TypeAlias = "str | os.PathLike[str] | Subtitles | None"
"""Which subtitles: "auto", "none", "track:N", a file, or some that were read before; None for none."""


def find_subtitles(
    video: Any, which: SubtitleChoice = AUTO, *, limits: Any = None, guarded: bool = False
) -> Subtitles | None:
    """Find what is said in a video.

    Args:
        video: The video: a file may have subtitles beside it or inside it; anything else has only those that are named.
        which: "auto" for a file of the same name beside the video, or a track inside it; "none"; "track:N" for the
            N-th track inside it; the path of an `.srt`, `.vtt`, `.ass` or `.ssa` file; or subtitles, which are
            returned as they are.
        limits: As for `dyto.sample_frames`.
        guarded: Read files in a child process, as for `dyto.sample_frames`. Use it for files from strangers.

    Returns:
        The subtitles; None if there are none.

    Raises:
        VideoError: A named file or track cannot be read, or has no lines.
        ConfigError: There is no such choice for this video.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "film.srt").write_text("1\\n00:00:01,500 --> 00:00:02,000\\n<i>Hello</i>\\n")
        >>> find_subtitles("film.mp4", folder / "film.srt")
        Subtitles(1 line of film.srt, 1.5 s to 2.0 s)
    """
    text = _choice(which)
    if not isinstance(text, str):
        return text
    given = named_file(text)
    path = Path(video).expanduser() if isinstance(video, (str, os.PathLike)) else None
    file = path if path is not None and path.is_file() and not is_picture(path) else None
    bounds = Limits.of(limits)
    if guarded and (given or file) and can_guard():
        from dyto.subtitles.passing import find_guarded

        return find_guarded(file, text if given is None else str(given.absolute()), bounds)
    if given is not None:
        return _named(read_lines(given), given.name)
    if text == AUTO:
        return None if file is None else _found(file, bounds)
    if file is None:
        raise ConfigError(f"found subtitles {text!r}, expected a video file with tracks: give a file of subtitles")
    number = int(text.partition(":")[2])
    return _named(read_track(file, number, bounds), f"track {number} of {file.name}")


def _choice(which: SubtitleChoice) -> str | Subtitles | None:
    """Return a choice as a text, or what it says without looking."""
    if which is None or isinstance(which, Subtitles):
        return which
    text = os.fspath(which)
    return None if text == NONE else text


def named_file(which: str) -> Path | None:
    """Return the file that a choice names; None for "auto" and for a track.

    Raises:
        ConfigError: It is no such choice, and no file either.
    """
    if which == AUTO or TRACK.fullmatch(which):
        return None
    given = Path(which).expanduser()
    if not which or not given.is_file():
        raise ConfigError(
            f"subtitles {which!r} are none, expected auto, none, track:N or a file that exists "
            f"({', '.join(ENDINGS)}): check the path"
        )
    return given


def identity_of(video: Any, which: SubtitleChoice) -> Hashable:
    """Return what identifies the subtitles that a choice would find, before they are read.

    Args:
        video: As for `find_subtitles`; what identifies the video itself identifies its tracks.
        which: As for `find_subtitles`.

    Raises:
        ConfigError: It is no choice.
    """
    text = _choice(which)
    if not isinstance(text, str):
        return text
    given = named_file(text)
    beside = files_beside(Path(video)) if text == AUTO and isinstance(video, (str, os.PathLike)) else []
    return text, *((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in filter(None, [given, *beside]))


def _named(lines: Iterable[Subtitle], source: str) -> Subtitles:
    found = tidy(lines)
    if not found:
        raise VideoError(f"{source} has no line with times that can be read, expected {', '.join(ENDINGS)}")
    return Subtitles(found, source)


def _found(video: Path, limits: Limits) -> Subtitles | None:
    """Return the subtitles beside or inside a video; what cannot be read becomes a note."""
    notes: list[str] = []
    beside = files_beside(video)
    for file in beside:
        try:
            lines = tidy(read_lines(file))
        except VideoError as err:
            notes.append(str(err))
            continue
        if lines:
            others = [other.name for other in beside if other != file]
            if others:
                notes.append(f"subtitles of {file.name} were read, not {', '.join(others[:5])}: name another if wanted")
            return Subtitles(lines, file.name, True, tuple(notes))
        notes.append(f"{file.name} has no line with times that can be read")
    try:
        tracks = tracks_of(video, limits)
    except VideoError:  # whoever reads the video says what is wrong with it
        tracks = []
    for track in by_preference(tracks):
        lines = tidy(read_track(video, track.number, limits))
        if lines:
            others = [str(other) for other in tracks if other != track and other.is_text]
            if others:
                notes.append(f"{track} was read, not {', '.join(others[:5])}: name another as track:N if wanted")
            return Subtitles(lines, f"{track} of {video.name}", True, tuple(notes))
    if tracks and not any(track.is_text for track in tracks):
        notes.append(f"the subtitles in {video.name} are pictures ({tracks[0].codec}), which nothing here reads")
    return Subtitles((), "", True, tuple(notes)) if notes else None


def files_beside(video: Path) -> list[Path]:
    """Return the subtitle files of a video: of its name, or of its name and a language, as in `film.en.srt`.

    Args:
        video: The video.

    Returns:
        The files, those of exactly its name first, then by name.
    """
    stem = video.stem.lower()
    found = []
    try:
        for path in video.absolute().parent.iterdir():
            name = path.name.lower()
            ending = next((ending for ending in ENDINGS if name.endswith(ending)), None)
            if ending is None or not path.is_file():
                continue
            rest = name.removesuffix(ending)
            if rest == stem or (rest.startswith(f"{stem}.") and len(rest) - len(stem) <= 24):
                found.append(((rest != stem, ENDINGS.index(ending) if rest == stem else 0, name), path))
    except OSError:
        return []
    return [path for _, path in sorted(found)]


def by_preference(tracks: Iterable[Track]) -> list[Track]:
    """Return the tracks of words, those first that a player would show."""
    return sorted((track for track in tracks if track.is_text), key=lambda one: (one.forced, not one.usual, one.number))


def tidy(lines: Iterable[Subtitle]) -> tuple[Subtitle, ...]:
    """Put lines in the order of time, without control characters, empty lines and repeats.

    A line before the video or without an end is left out; one that repeats the line before it, as live captions do,
    prolongs it; a very long one is cut.

    Example:
        >>> tidy([Subtitle(3, 4, "b"), Subtitle(-2, -1, "x"), Subtitle(1, 2, "a"), Subtitle(2, 3, "a")])
        (Subtitle(start=1, end=3, text='a'), Subtitle(start=3, end=4, text='b'))
    """
    usable = [
        line
        for line in lines
        if math.isfinite(line.start) and math.isfinite(line.end) and line.end >= max(0.0, line.start)
    ]
    found: list[Subtitle] = []
    for line in sorted(usable, key=lambda line: (line.start, line.end)):
        words = " ".join(_CONTROL.sub(" ", line.text).split())
        if len(words) > LONGEST:
            words = words[: LONGEST - 1].rstrip() + "…"
        if not words:
            continue
        if found and found[-1].text == words and line.start <= found[-1].end + 0.1:
            found[-1] = Subtitle(found[-1].start, max(found[-1].end, line.end), words)
        elif len(found) < MOST_LINES:
            found.append(Subtitle(max(0.0, line.start), line.end, words))
    return tuple(found)
