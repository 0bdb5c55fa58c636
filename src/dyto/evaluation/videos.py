"""Search for the video of a question. Names come from downloaded files, so they are not trusted."""

from __future__ import annotations

import logging
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dyto.benchmarks import Benchmark, Sample
from dyto.errors import AmbiguousNameError, DatasetError, UnsafeNameError
from dyto.video.paths import VIDEO_SUFFIXES
from dyto.video.pictures import IMAGE_SUFFIXES

MOST_FILES, MOST_DEEP = 5_000_000, 12
"""Limits on listing a folder of videos: number of files, and depth of folders."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """A file (or folder of frames), and the part of it that a question is about.

    Args:
        path: The file or folder.
        start: Start in seconds; None for the beginning of the file.
        end: End in seconds; None for the end of the file.
    """

    path: Path
    start: float | None = None
    end: float | None = None


def unsafe_reason(name: str) -> str:
    """Return why a video name must not be looked up; empty if it may be.

    Example:
        >>> unsafe_reason("star/ABC.mp4"), unsafe_reason("../ABC.mp4")
        ('', "'../ABC.mp4' climbs out of the video folder")
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name):
        return f"{name!r} is a URL, expected a name under the video folder"
    if name.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", name):
        return f"{name!r} is an absolute path, expected a name under the video folder"
    if ".." in re.split(r"[/\\]", name):
        return f"{name!r} climbs out of the video folder"
    if "\\" in name or not re.search(r"\w", name) or any(ord(character) < 32 for character in name):
        return f"{name!r} holds characters that no video name has"
    return ""


def video_folders(benchmark: Benchmark, *, data_dir: Path, video_dir: Path | None = None) -> list[Path]:
    """Return the folders that may hold a benchmark's videos, the most likely first.

    Args:
        benchmark: The benchmark.
        data_dir: Folder of all data (`playground/data`), or its part for this kind
            (`playground/data/video_qa`).
        video_dir: Folder to use instead; it holds the videos, directly or laid out as in `data_dir`.

    Raises:
        DatasetError: None of them exists.
    """
    base = video_dir or data_dir
    places = [*_places(base, benchmark.videos), *([base] if video_dir else [])]
    found = [place for place in places if place.is_dir()]
    if not found:
        raise DatasetError(
            f"no videos of {benchmark.title}: none of {', '.join(map(str, places))} is a folder; "
            "put them there, or name the folder with --video-dir"
        )
    return [folder / sub for folder in found for sub in ("", *benchmark.own_folders)]


def subtitle_folder(benchmark: Benchmark, *, data_dir: Path) -> Path | None:
    """Return the folder of a benchmark's subtitles; None for a benchmark without subtitles.

    Raises:
        DatasetError: The benchmark has subtitles, but the folder does not exist.
    """
    if not benchmark.subtitles:
        return None
    places = _places(data_dir, benchmark.subtitles)
    for place in places:
        if place.is_dir():
            return place
    raise DatasetError(f"no subtitles of {benchmark.title}: none of {', '.join(map(str, places))} is a folder")


def _places(base: Path, below: str) -> list[Path]:
    """Return a folder's possible places: under all data, and under the data of its kind."""
    return [base / below, base / below.partition("/")[2]]


def find_clip(folders: list[Path], benchmark: Benchmark, sample: Sample) -> Clip | None:
    """Find the clip of a sample, as `VideoIndex.find` does, for a single search."""
    return VideoIndex(folders).find(benchmark, sample)


@dataclass(frozen=True)
class _Wanted:
    """What a sample says about its file besides the name: a parent folder, an extension, and the places of its kind."""

    parent: str
    extension: str
    places: Sequence[str]
    kind: str


class VideoIndex:
    """An index of the folders of videos, listed once.

    A name is found in upper or lower case, with any extension in `VIDEO_SUFFIXES`, and in any subfolder of the first
    folder. The best match wins: first by the order of the declared folders, then the exact spelling, then the
    requested extension.

    Args:
        folders: Folders that may hold videos, the most likely first, see `video_folders`.
    """

    def __init__(self, folders: list[Path]) -> None:
        self.folders = [folder.as_posix() for folder in folders]
        self.files = 0
        self._by_stem: dict[str, list[str]] = {}
        self._by_cut: dict[tuple[str, float, float], list[str]] = {}
        self._told: set[str] = set()
        seen: set[tuple[int, int]] = set()
        for folder in self.folders:
            self._walk(folder, seen)

    def find(self, benchmark: Benchmark, sample: Sample) -> Clip | None:
        """Find the clip of a sample: a separate file, or a part of a longer file; None if there is neither.

        Raises:
            UnsafeNameError: The name leads out of the folder, is absolute, or is a URL.
            AmbiguousNameError: Files in several folders match, and none is in the benchmark's own folders.
        """
        reason = unsafe_reason(sample.video)
        if reason:
            raise UnsafeNameError(reason)
        name = PurePosixPath(sample.video)
        extension = name.suffix if name.suffix.lower() in VIDEO_SUFFIXES else ""
        wanted = _Wanted(name.parent.as_posix(), extension, benchmark.folders_of.get(sample.type, ()), sample.type)
        stem = name.name[: len(name.name) - len(extension)]
        for paths, spelling, is_cut in self._fitting(sample, stem, benchmark.prefixes):
            path = self._best(paths, spelling, wanted)
            if path is not None:
                return Clip(Path(path)) if is_cut else Clip(Path(path), sample.start, sample.end)
        return None

    def _fitting(self, sample: Sample, stem: str, prefixes: Sequence[str]) -> Iterator[tuple[Sequence[str], str, bool]]:
        """Return candidate names without extension, and whether such a file holds only the clip."""
        whole, start, end = stem, sample.start, sample.end
        if start is not None and end is not None:
            named = _cut_of(stem)
            if named is not None and named[1:] == (start, end):
                whole = named[0]
                for prefix in prefixes:
                    yield self._by_stem.get(_folded(prefix + stem), ()), prefix + stem, True
            for prefix in prefixes:
                key = (_folded(prefix + whole), float(start), float(end))
                yield self._by_cut.get(key, ()), f"{prefix}{whole}_{start}_{end}", True
        for prefix in prefixes:
            yield self._by_stem.get(_folded(prefix + whole), ()), prefix + whole, start is None and end is None

    def _best(self, paths: Sequence[str], spelling: str, wanted: _Wanted) -> str | None:
        """Return the best of the matching files; a folder in the sample's name must match too.

        Raises:
            AmbiguousNameError: Several files match equally well.
        """
        below = "" if wanted.parent == "." else f"/{_folded(wanted.parent)}"
        fitting = [p for p in paths if _folded(os.path.dirname(p)).endswith(below) and os.path.exists(p)]
        if not fitting:
            return None
        places = [*(f"{self.folders[0]}/{place}" for place in wanted.places), *self.folders]
        places += [f"{self.folders[0]}/{wanted.kind}"] * _plain(wanted.kind)
        homes = [place if wanted.parent == "." else f"{place}/{wanted.parent}" for place in places]

        def distance(path: str) -> tuple[int, bool, bool, int, str]:
            home, name = os.path.split(path)
            suffix = os.path.splitext(name)[1]
            known = suffix.lower() in VIDEO_SUFFIXES
            return (
                homes.index(home) if home in homes else len(homes),
                name != spelling + suffix * known,
                wanted.extension != "" and suffix.lower() != wanted.extension.lower(),
                VIDEO_SUFFIXES.index(suffix.lower()) if known else len(VIDEO_SUFFIXES),
                path,
            )

        first, *others = sorted(fitting, key=distance)
        if os.path.dirname(first) not in homes:  # names of videos may differ only in upper and lower case
            spelled = [path for path in (first, *others) if _stem_of(path) == spelling]
            first, *others = spelled or (first, *others)
        home = os.path.dirname(first)
        elsewhere = [path for path in others if os.path.dirname(path) != home]
        if elsewhere and home not in homes:
            raise AmbiguousNameError(
                f"{len(fitting)} files could be {spelling!r}, such as {first} and {elsewhere[0]}: leave one of them, "
                "or name its folder with --video-dir"
            )
        if len(elsewhere) < len(others) and first not in self._told:
            self._told.add(first)
            logger.warning("%s is taken for %r; the folder has others of that name", first, spelling)
        return first

    def _walk(self, top: str, seen: set[tuple[int, int]]) -> None:
        """List a folder and its subfolders, each once, even if links form a circle."""
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            try:
                info = os.stat(folder)
                if (info.st_dev, info.st_ino) in seen or not stat.S_ISDIR(info.st_mode):
                    continue
                seen.add((info.st_dev, info.st_ino))
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as err:
                if depth:
                    logger.warning("%s cannot be listed (%s): videos in it are not found", folder, err.strerror)
                continue
            pictures = False
            for entry in listed:
                self.files += 1
                suffix = os.path.splitext(entry.name)[1].lower()
                if suffix in IMAGE_SUFFIXES:
                    pictures = True
                elif entry.name.startswith("."):
                    continue
                elif not _is_folder(entry):
                    self._add(entry.path)
                elif depth < MOST_DEEP:
                    waiting.append((entry.path, depth + 1))
            if pictures and depth:  # a folder of frames is a video
                self._add(folder)
            if self.files > MOST_FILES:
                logger.warning("more than %d files below %s: the rest is ignored", MOST_FILES, top)
                return

    def _add(self, path: str) -> None:
        path = path.replace(os.sep, "/")  # the same on every system, as in the names of the samples
        stem = _stem_of(path)
        self._by_stem.setdefault(_folded(stem), []).append(path)
        cut = _cut_of(stem)
        if cut is not None:
            self._by_cut.setdefault((_folded(cut[0]), *cut[1:]), []).append(path)


def _stem_of(path: str) -> str:
    """Return the name of a file without its video extension."""
    stem, suffix = os.path.splitext(os.path.basename(path))
    return stem if suffix.lower() in VIDEO_SUFFIXES else stem + suffix


def _plain(name: str) -> bool:
    return bool(re.fullmatch(r"[\w-]+", name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _folded(name: str) -> str:
    """Fold a name to lower case and composed letters, as file systems differ in both."""
    return unicodedata.normalize("NFC", name).casefold()


def _cut_of(stem: str) -> tuple[str, float, float] | None:
    """Return video, start and end in seconds from the name of a cut clip; None for other names."""
    named = re.fullmatch(r"(.+)_(\d{1,9}(?:\.\d{1,9})?)_(\d{1,9}(?:\.\d{1,9})?)", stem, re.DOTALL)
    return (named[1], float(named[2]), float(named[3])) if named else None
