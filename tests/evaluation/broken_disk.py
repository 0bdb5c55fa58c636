"""A disk that is full or broken: calls that would change a file below a folder fail."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

CHANGING = ("write", "fsync", "replace", "link", "mkdir", "open", "ftruncate")


class BrokenDisk:
    """Lets calls through and counts them, until one fails.

    Args:
        monkeypatch: Of pytest.
        folder: Where things go wrong; elsewhere all is well.
        first: Which call fails, from 0; None for none.
        error: How.
        for_ever: Whether all after it fail, too, as on a full disk; else as one bad block.
    """

    def __init__(
        self, monkeypatch: Any, folder: Path, first: int | None, error: int = errno.ENOSPC, *, for_ever: bool = True
    ) -> None:
        self.folder, self.first, self.error, self.for_ever = str(folder), first, error, for_ever
        self.calls = 0
        for name in CHANGING:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))
        opened = io.open

        def open_path(path: Path, mode: str = "r", *words: Any, **named: Any) -> Any:
            if set(mode) & set("wxa+"):
                self._maybe_fail(path)
            file = opened(path, mode, *words, **named)
            if set(mode) & set("wxa+"):
                self._watch(file)
            return file

        monkeypatch.setattr(Path, "open", open_path)

    def _wrapped(self, call: Any) -> Any:
        def wrapped(what: Any, *words: Any, **named: Any) -> Any:
            if call.__name__ != "ftruncate" or not self.for_ever:  # a full disk can be emptied
                self._maybe_fail(what, *words)
            return call(what, *words, **named)

        return wrapped

    def _watch(self, file: Any) -> None:
        """Let the file's own writes fail, too; they do not go through `os`."""
        raw = getattr(file, "buffer", file)
        write = file.write

        def checked(data: Any) -> Any:
            self._maybe_fail(raw.fileno())
            return write(data)

        file.write = checked

    def _maybe_fail(self, what: Any, flags: Any = 0, *rest: Any) -> None:
        try:
            path = os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.path.abspath(what)
        except (OSError, TypeError):
            return
        reading = isinstance(flags, int) and not isinstance(what, int) and flags & os.O_ACCMODE == 0 and flags
        if not path.startswith(self.folder) or reading:
            return
        self.calls += 1
        number = self.calls - 1
        if self.first is not None and (number == self.first or (self.for_ever and number > self.first)):
            raise OSError(self.error, os.strerror(self.error), path)
