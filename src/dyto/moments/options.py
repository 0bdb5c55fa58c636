"""Checks of options before torch is imported, which takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

from dyto.errors import ConfigError, unknown
from dyto.video.pictures import is_picture

MOST_GAIN = 4.0
"""Largest squared distance of two directions."""

PICTURES = ("jpg", "png")

ENDINGS = {".txt": "text", ".json": "json", ".vtt": "vtt", ".html": "html", ".htm": "html"}
"""The form of a timeline that the ending of a file stands for."""


def check_detail(segments: int | None, least_gain: float | None) -> None:
    """Check a level of detail.

    Args:
        segments: Number of segments; None to leave it open.
        least_gain: Squared distance from which on segments differ; None to leave it open.

    Raises:
        ConfigError: It is impossible, or given twice.

    Example:
        >>> check_detail(7, None)
    """
    if segments is not None and least_gain is not None:
        raise ConfigError(f"found segments={segments} and least_gain={least_gain:g}, expected one: leave one out")
    if segments is not None and segments < 1:
        raise ConfigError(f"segments is {segments}, expected at least 1")
    if least_gain is not None and not 0 <= least_gain <= MOST_GAIN:
        raise ConfigError(f"least_gain is {least_gain:g}, expected 0 to {MOST_GAIN:g}: 0.1 is a small difference")


def check_picture(picture: str, max_side: int | None) -> None:
    """Check the form of pictures.

    Args:
        picture: "jpg" or "png".
        max_side: Longest side in pixels; None for no limit.

    Raises:
        ConfigError: There is no such form, or the side is below 1.
    """
    if picture not in PICTURES:
        raise unknown("picture format", picture, PICTURES)
    if max_side is not None and max_side < 1:
        raise ConfigError(f"max_side is {max_side}, expected 1 or more pixels")


def check_folder(folder: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Check that files can be saved to a folder.

    Args:
        folder: The folder; it may not exist yet.
        overwrite: Whether it may hold files already.

    Returns:
        The folder.

    Raises:
        ConfigError: It is a file, its parent does not exist, or it holds files.
    """
    place = Path(folder)
    if not os.fspath(folder) or (place.exists() and not place.is_dir()):
        raise ConfigError(f"{str(folder)!r} is no folder, expected one that is new or empty: name another one")
    if not place.absolute().parent.is_dir():
        raise ConfigError(f"folder {place.absolute().parent} does not exist, expected one: make it first")
    if not overwrite and place.is_dir() and any(place.iterdir()):
        raise ConfigError(
            f"folder {place} is not empty, expected a new or an empty one: name another one, or allow it with "
            "overwrite (--overwrite), which replaces key frames and clips and leaves other files alone"
        )
    return place


def check_clips(source: str | None) -> None:
    """Check that clips can be cut from a video.

    Raises:
        ConfigError: It is no video file.
    """
    path = None if source is None else Path(source).expanduser()
    if path is None or not path.is_file() or is_picture(path):
        found = "pictures in memory" if source is None else source
        raise ConfigError(f"found {found}, expected a video file to cut clips from: leave out clips (--clips)")


def form_of(name: str | None, path: Path | None) -> str:
    """Return the form of a timeline: the one that was named, or the one of the file's ending.

    Args:
        name: "text", "json", "vtt" or "html"; None to go by the file.
        path: The file; None for none.

    Raises:
        ConfigError: The name is unknown, or the ending stands for no form.

    Example:
        >>> form_of(None, Path("film.vtt")), form_of(None, None)
        ('vtt', 'text')
    """
    if name is not None:
        if name not in ENDINGS.values():
            raise unknown("format", name, tuple(dict.fromkeys(ENDINGS.values())))
        return name
    if path is None:
        return "text"
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(
            f"{path} ends in {path.suffix!r}, expected one of {', '.join(ENDINGS)}: change it, or name the format"
        )
    return ENDINGS[path.suffix.lower()]


def check_target(path: Path) -> None:
    """Check that a file can be written to a path.

    Raises:
        ConfigError: Its folder does not exist, or it is a folder itself.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise ConfigError(f"{path} cannot be written, expected a file in a folder that exists: make it")
