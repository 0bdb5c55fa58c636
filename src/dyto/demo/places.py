"""Where uploaded files lie while they are needed, and that nothing stays of them."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

PREFIX = "dyto-demo-"


def make_folder() -> Path:
    """A fresh folder for this process; those that killed demos left behind are removed.

    Returns:
        The folder, readable by nobody else.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = old.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdecimal() and not _runs(int(owner)):
            shutil.rmtree(old, ignore_errors=True)  # somebody else's cannot be removed, and stays
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Uploads:
    """Which visitor uploaded which file; a file goes when the last of its visitors leaves.

    Args:
        folder: Only files in it are ever removed.
        gone: Told the path of every file removed.
    """

    def __init__(self, folder: Path, gone: Callable[[str], None]) -> None:
        self._folder = folder.resolve()
        self._gone = gone
        self._held: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def hold(self, visitor: str, path: str | None) -> None:
        """A visitor now looks at this file, and no longer at the one before.

        Args:
            visitor: Who.
            path: The file; None for none.
        """
        with self._lock:
            before = self._held.pop(visitor, set())
            if path:
                self._held[visitor] = {path}
            kept = set().union(*self._held.values())
        for old in before - kept:
            self._remove(old)

    def _remove(self, path: str) -> None:
        file = Path(path).resolve()
        if self._folder in file.parents and "samples" not in file.relative_to(self._folder).parts:
            file.unlink(missing_ok=True)
            self._gone(path)
