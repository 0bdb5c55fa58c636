"""Files of clients on this machine's disk: each content once, for as long as somebody holds it."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dyto.serving.refusing import Refusal

MOST_FILES = 100
"""Number of uploaded files that one key may have at a time."""


@dataclass(eq=False)
class Media:
    """A video on disk.

    Attributes:
        path: A file, or a folder of frames.
        content: What identifies the video.
        name: What the client calls it, for messages.
        release: Called when it is no longer needed.
    """

    path: Path
    content: str
    name: str
    release: Callable[[], None] = lambda: None


class Store:
    """A folder of contents; questions about the same content share one copy.

    Args:
        folder: The folder, which nobody else uses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holders: dict[str, int] = {}
        self._lock = threading.Lock()

    def hold(self, content: str, name: str, write: Callable[[Path], None]) -> Media:
        """Return a content on disk, written now if it is not there.

        Args:
            content: Its hash.
            name: What the client calls it.
            write: Writes the content to a path.
        """
        path = self._folder / content
        with self._lock:  # a second one with the same content waits until it is written
            if not self._holders.get(content):
                try:
                    write(path)
                except BaseException:
                    _remove(path)
                    raise
            self._holders[content] = self._holders.get(content, 0) + 1
        return Media(path, content, name, self._releaser(content))

    def _releaser(self, content: str) -> Callable[[], None]:
        released = threading.Lock()

        def release() -> None:
            if not released.acquire(blocking=False):
                return
            with self._lock:
                self._holders[content] -= 1
                if not self._holders[content]:
                    del self._holders[content]
                    _remove(self._folder / content)

        return release

    def scratch(self) -> Path:
        """Return the path of a new file for a content whose hash is not known yet."""
        return self._folder / f"new-{secrets.token_hex(12)}"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@dataclass(eq=False)
class Uploaded:
    """An uploaded file.

    Attributes:
        id: Its random name.
        owner: Whose it is.
        media: Its content.
        filename: Its name on the client's machine.
        purpose: What the client says it is for.
        size: Its size in bytes.
        created: When it came, in seconds since 1970.
    """

    owner: str
    media: Media
    filename: str
    purpose: str
    size: int
    id: str = field(default_factory=lambda: f"file-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def to_dict(self) -> dict[str, Any]:
        """Return the file in the shape of OpenAI's protocol."""
        return {
            "id": self.id, "object": "file", "bytes": self.size, "created_at": self.created,
            "filename": self.filename, "purpose": self.purpose, "status": "processed",
        }  # fmt: skip


class Files:
    """The uploaded files of all clients; each is seen by its owner alone.

    Args:
        most_bytes: Limit on all files together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._files: dict[str, Uploaded] = {}
        self._lock = threading.Lock()

    def room(self, owner: str, size: int) -> None:
        """Check that there is room for another file.

        Raises:
            Refusal: There is none.
        """
        with self._lock:
            own = sum(file.owner == owner for file in self._files.values())
            held = sum(file.size for file in self._files.values())
        if own >= MOST_FILES:
            raise Refusal(429, f"{own} files are kept for this key, expected at most {MOST_FILES}: delete some first")
        if held + size > self._most_bytes:
            most = f"{self._most_bytes / 1e6:.0f} MB"
            words = f"all files together have {(held + size) / 1e6:.0f} MB, expected {most} at most: delete some first"
            raise Refusal(507, words, code="no_room")

    def add(self, file: Uploaded) -> None:
        """Keep a file."""
        with self._lock:
            self._files[file.id] = file

    def of(self, owner: str) -> list[Uploaded]:
        """Return the files of an owner, oldest first."""
        with self._lock:
            return [file for file in self._files.values() if file.owner == owner]

    def find(self, owner: str, name: str) -> Uploaded:
        """Return a file of an owner.

        Raises:
            Refusal: There is none of that id; a file of somebody else is not there either.
        """
        with self._lock:
            file = self._files.get(name)
        if file is None or file.owner != owner:
            raise Refusal(404, "there is no file of that id: upload it again", code="no_such_file", param="file_id")
        return file

    def delete(self, owner: str, name: str) -> None:
        """Delete a file of an owner.

        Raises:
            Refusal: There is none of that id.
        """
        file = self.find(owner, name)
        with self._lock:
            if self._files.pop(name, None) is None:
                return
        file.media.release()
