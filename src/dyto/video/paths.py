"""Paths of videos, checked before anything is decoded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from dyto.errors import VideoError
from dyto.video.container import opened
from dyto.video.limits import Limits
from dyto.video.pictures import IMAGE_SUFFIXES, images_of, in_order, is_picture, listed

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts", ".3gp", ".ogv"),
    *(".m2ts", ".mts", ".vob", ".asf", ".mxf", ".f4v"),
)
"""Extensions of video files, in upper or lower case; among several files, the earlier extension wins."""

ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")
"""Beginning of an address instead of a path. (A drive has one letter; a `Path` keeps one slash of two.)"""


def existing(source: str | os.PathLike[str]) -> Path:
    """Return the path of a file or folder after checking that it exists and is readable.

    Args:
        source: The path; `~` stands for the home folder.

    Raises:
        VideoError: The path does not exist, is empty, or is neither file nor folder.
    """
    text = os.fspath(source)
    if not text:
        raise VideoError("the path of the video is empty, expected a file or a folder of images: pass one")
    path = Path(os.path.expanduser(text))
    try:
        info = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the text
        info = None
    if info is None and ADDRESS.match(text):
        raise VideoError(
            f"{text} is an address, expected a local file: download it first and give its path, as in "
            "curl -L -o video.mp4 ADDRESS"
        )
    if info is None:
        raise VideoError(f"{text} does not exist, expected a video or a folder of images: check the path")
    if not os.access(path, os.R_OK):
        raise VideoError(f"{text} is not readable, expected read permission: change it (chmod +r)")
    if not S_ISDIR(info.st_mode) and not S_ISREG(info.st_mode):
        raise VideoError(f"{text} is neither file nor folder, expected one: save the video to a file first")
    if S_ISREG(info.st_mode) and info.st_size == 0:
        raise VideoError(f"{text} is empty (0 bytes), expected a video: get it again")
    return path


def openable(source: str | os.PathLike[str], limits: Limits | Mapping[str, float] | None = None) -> Path:
    """Return the path of a video after checking that it is one, as far as that can be seen without decoding.

    Args:
        source: A video file, a picture, or a folder of pictures.
        limits: As for `dyto.sample_frames`.

    Raises:
        VideoError: As for `existing`; or the file holds no video, or is over a limit; or the folder has no image.
    """
    path = existing(source)
    if path.is_dir():
        images_of(path)
    elif not is_picture(path):
        with opened(path, limits=Limits.of(limits)):
            pass
    return path


def videos_in(folder: Path) -> tuple[list[Path], int]:
    """List the video files of a folder in natural order, clip2 before clip10, without the folders inside it.

    Args:
        folder: The folder. Files count by their extension, `VIDEO_SUFFIXES`; hidden ones do not.

    Returns:
        The video files, and how many pictures are beside them: a folder with pictures is itself a video.

    Raises:
        VideoError: The folder cannot be listed.
    """
    files = listed(folder)
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    return in_order(videos), len(pictures)
