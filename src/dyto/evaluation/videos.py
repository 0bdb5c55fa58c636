"""Where the video of a question lies. Names come out of downloaded files, so they are not trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dyto.benchmarks import Benchmark, Sample
from dyto.errors import DatasetError

EXTENSIONS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif")


@dataclass(frozen=True)
class Clip:
    """A file (or folder of frames), and the part of it that a question is about.

    Args:
        path: The file or folder.
        start: Begin in seconds, None for the beginning of the file.
        end: End in seconds, None for the end of the file.
    """

    path: Path
    start: float | None = None
    end: float | None = None


def unsafe_reason(name: str) -> str:
    """Why a video name must not be looked up; empty if it may be.

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
    """The folders in which a benchmark's videos may lie, the likeliest first.

    Args:
        benchmark: The benchmark.
        data_dir: Folder of all data (`playground/data`), or its part for this kind
            (`playground/data/video_qa`).
        video_dir: Folder given in its place; the videos lie in it, or below it as under `data_dir`.

    Raises:
        DatasetError: None of them is there.
    """
    base = video_dir or data_dir
    places = [*_places(base, benchmark.videos), *([base] if video_dir else [])]
    found = [place for place in places if place.is_dir()]
    if not found:
        raise DatasetError(
            f"no videos of {benchmark.title}: none of {', '.join(map(str, places))} is a folder; "
            "put them there, or name the folder with --video-dir"
        )
    return [folder / sub for folder in found for sub in ("", *benchmark.subfolders)]


def subtitle_folder(benchmark: Benchmark, *, data_dir: Path) -> Path | None:
    """The folder of a benchmark's subtitles; None for a benchmark that has none.

    Raises:
        DatasetError: It has them, and the folder is not there.
    """
    if not benchmark.subtitles:
        return None
    places = _places(data_dir, benchmark.subtitles)
    for place in places:
        if place.is_dir():
            return place
    raise DatasetError(f"no subtitles of {benchmark.title}: none of {', '.join(map(str, places))} is a folder")


def _places(base: Path, below: str) -> list[Path]:
    """A folder under all data, and under the part of the data for its kind."""
    return [base / below, base / below.partition("/")[2]]


def find_clip(folders: list[Path], benchmark: Benchmark, sample: Sample) -> Clip | None:
    """The clip of a sample: cut out already, or a part of a longer file; None if there is neither.

    Raises:
        DatasetError: The name climbs out of the folder, is absolute, or is a URL.
    """
    reason = unsafe_reason(sample.video)
    if reason:
        raise DatasetError(reason)
    for name, is_cut in _names(sample):
        for folder in [*folders, *(folders[0] / kind for kind in [sample.type] if _plain(kind))]:
            for path in _spellings(folder, name, benchmark.prefixes):
                if path.exists():
                    return Clip(path) if is_cut else Clip(path, sample.start, sample.end)
    return None


def _names(sample: Sample) -> Iterator[tuple[str, bool]]:
    """Names without extension, and whether a file of that name holds nothing but the clip."""
    path = PurePosixPath(sample.video)
    stem = str(path.with_suffix("")) if path.suffix.lower() in EXTENSIONS else str(path)
    if sample.start is None and sample.end is None:
        yield stem, True
        return
    named = re.fullmatch(r"(.+)_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)", stem)
    if named and (float(named[2]), float(named[3])) == (sample.start, sample.end):
        yield stem, True
        yield named[1], False
    else:
        yield f"{stem}_{sample.start}_{sample.end}", True
        yield stem, False


def _spellings(folder: Path, stem: str, prefixes: tuple[str, ...]) -> Iterator[Path]:
    parent, name = (folder / stem).parent, PurePosixPath(stem).name
    for prefix in prefixes:
        for extension in (*EXTENSIONS, ""):
            yield parent / f"{prefix}{name}{extension}"


def _plain(name: str) -> bool:
    return bool(re.fullmatch(r"[\w-]+", name))
