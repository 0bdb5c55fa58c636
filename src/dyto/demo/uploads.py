"""Visitors' videos and subtitles: under names known only to their visitor, limited in size, and deleted soon."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dyto.demo.limits import DemoLimits
from dyto.errors import ConfigError

logger = logging.getLogger(__name__)

KINDS = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm",
    ".mkv": "video/x-matroska", ".avi": "video/x-msvideo", ".mpg": "video/mpeg", ".mpeg": "video/mpeg",
    ".ts": "video/mp2t", ".flv": "video/x-flv", ".ogv": "video/ogg", ".gif": "image/gif",
}  # fmt: skip
"""Extensions that are kept, with the media type for display; other files lose theirs and are not displayed."""

NAME_LETTERS = 120

GONE = "this file is not here, or no longer: upload it again, or take a sample"
"""The same message for another visitor's file, a deleted file and one that never existed."""


LEFT = "the page that sent this file has been closed"


class RefusedError(Exception):
    """Error for a refused file.

    Attributes:
        status: Status of the HTTP response.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass
class UploadedVideo:
    """A file to ask about.

    Attributes:
        token: The page's name for the file: random, and not a path.
        path: Path of the file.
        name: The visitor's name for the file.
        owner: The visitor; None for a sample, which everybody may use.
        size: Bytes received so far.
        used: Time of last use, in seconds of the monotonic clock.
        pages: Pages that show the file.
        whole: Whether the file has arrived completely.
        sending: The page's id of the transfer.
    """

    token: str
    path: Path
    name: str
    owner: str | None
    size: int = 0
    used: float = field(default_factory=time.monotonic)
    pages: set[str] = field(default_factory=set)
    whole: bool = False
    sending: str = ""

    @property
    def kind(self) -> str | None:
        """Media type for display in the browser, or None."""
        return KINDS.get(self.path.suffix)


class Uploads:
    """The files of all visitors.

    Args:
        folder: Folder of the files.
        limits: Limits on a file, on a visitor and on all.
        gone: Called with the path of every removed file.
    """

    def __init__(self, folder: Path, limits: DemoLimits, gone: Callable[[str], None] = lambda path: None) -> None:
        self._folder = folder
        self._limits = limits
        self._gone = gone
        self._clips: dict[str, UploadedVideo] = {}
        self._lock = threading.RLock()

    def add_sample(self, token: str, path: Path, name: str) -> None:
        """Add a file for everybody, which is never removed."""
        self._clips[token] = UploadedVideo(token, path, name, None, whole=True)

    def begin(self, owner: str, name: str, sending: str = "") -> tuple[UploadedVideo, BinaryIO]:
        """Open a file for an upload that is about to arrive.

        Args:
            owner: The visitor.
            name: The visitor's name for the file; only its extension affects storage.
            sending: The page's id of the transfer, for `arriving`.

        Returns:
            The clip, to fill with `write`, and the open file.

        Raises:
            RefusedError: There are too many files, or the disk is full.
        """
        base = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable())
        ending = Path(base).suffix.lower()
        token = secrets.token_urlsafe(24) + (ending if ending in KINDS else "")
        clip = UploadedVideo(token, self._folder / token, base[-NAME_LETTERS:] or "video", owner, sending=sending)
        with self._lock:
            self._check(owner, 0, 1)
            self._clips[token] = clip
        try:
            file = os.fdopen(os.open(clip.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb", buffering=0)
        except OSError as err:
            self.remove(clip)
            raise _no_room(err) from err
        if clip.token not in self._clips:  # the visitor has left
            file.close()
            clip.path.unlink(missing_ok=True)
            raise RefusedError(409, LEFT)
        return clip, file

    def write(self, clip: UploadedVideo, file: BinaryIO, data: bytes) -> None:
        """Write a received piece.

        Raises:
            RefusedError: The file is over a limit, or the disk is full.
        """
        with self._lock:
            if clip.token not in self._clips:
                raise RefusedError(409, LEFT)
            if clip.size + len(data) > self._limits.file_bytes:
                raise RefusedError(413, too_large(self._limits))
            self._check(str(clip.owner), len(data), 0)
            clip.size += len(data)
            clip.used = time.monotonic()
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
        except OSError as err:
            raise _no_room(err) from err

    def finish(self, clip: UploadedVideo) -> None:
        """Mark a file as complete."""
        clip.used = time.monotonic()
        clip.whole = True

    def arriving(self, owner: str, sending: str) -> UploadedVideo | None:
        """Return the file of this transfer, or None if there is none (yet, or any more)."""
        with self._lock:
            return next((c for c in self._clips.values() if (c.owner, c.sending) == (owner, sending)), None)

    def _check(self, owner: str, more_bytes: int, more_files: int) -> None:
        """Fail if this many more bytes would exceed a limit."""
        everything = [clip for clip in self._clips.values() if clip.owner is not None]
        own = [clip for clip in everything if clip.owner == owner]
        bounds = self._limits
        if len(own) + more_files > bounds.visitor_files or _size(own) + more_bytes > bounds.visitor_bytes:
            raise RefusedError(
                429,
                f"your videos would be more than the {bounds.visitor_files} files and "
                f"{bounds.visitor_bytes / 1e6:.0f} MB that are kept for one visitor: close other tabs of this page, "
                f"or wait {bounds.keep_minutes:g} minutes",
            )
        if len(everything) + more_files > bounds.all_files or _size(everything) + more_bytes > bounds.all_bytes:
            raise RefusedError(503, "too many videos of other visitors are here just now: try again in a few minutes")

    def find(self, owner: str | None, token: object) -> UploadedVideo:
        """Return a visitor's file with this token.

        Raises:
            ConfigError: There is none; the message is the same for any reason.
        """
        clip = self._clips.get(token) if isinstance(token, str) else None
        if clip is None or not clip.whole or (clip.owner is not None and clip.owner != owner):
            raise ConfigError(GONE)
        clip.used = time.monotonic()
        return clip

    def show(self, page: str, *clips: UploadedVideo) -> None:
        """Record that a page shows these files and no others; files that no page shows are removed."""
        with self._lock:
            for other in list(self._clips.values()):
                if other not in clips and page in other.pages:
                    other.pages.discard(page)
                    if not other.pages:
                        self.remove(other)
            for clip in clips:
                if clip.owner is not None and clip.token in self._clips:
                    clip.pages.add(page)

    def leave(self, owner: str) -> None:
        """Remove all files of a visitor who has closed the last page."""
        with self._lock:
            for clip in [clip for clip in self._clips.values() if clip.owner == owner]:
                self.remove(clip)

    def sweep(self) -> None:
        """Remove files that have not been used for long, including incomplete ones."""
        oldest = time.monotonic() - 60 * self._limits.keep_minutes
        with self._lock:
            for clip in [clip for clip in self._clips.values() if clip.owner is not None and clip.used < oldest]:
                self.remove(clip)

    def remove(self, clip: UploadedVideo) -> None:
        """Remove a visitor's file, and everything kept from it."""
        with self._lock:
            if clip.owner is None or self._clips.pop(clip.token, None) is None:
                return
        try:
            clip.path.unlink(missing_ok=True)
        except OSError:
            logger.exception("an upload could not be removed")
        self._gone(str(clip.path))


def too_large(limits: DemoLimits) -> str:
    """Return the message for a file over the limit."""
    return f"the file is larger than the {limits.megabytes} MB allowed here: cut it or lower its quality"


def _size(clips: list[UploadedVideo]) -> int:
    return sum(clip.size for clip in clips)


def _no_room(err: OSError) -> RefusedError:
    full = err.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    logger.error("an upload could not be written: %s", err)
    why = "the disk of this machine is full" if full else "this machine cannot store files"
    return RefusedError(507, f"the video could not be kept because {why}: try again later, or tell who runs it")
