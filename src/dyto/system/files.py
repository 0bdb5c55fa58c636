"""Atomic writing: neither a reader nor a crash ever leaves half a file."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dyto.errors import DatasetError

READERS_SECONDS = 2.0
"""Seconds to wait for other users of a file before replacing it, on systems where they prevent that."""

_IN_USE = (5, 32)  # of Windows: access denied, sharing violation


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it to `path` when it is complete; on failure, remove it.

    Args:
        path: The file. Its old content stays until the new file is complete.

    Yields:
        The temporary path to write to.

    Raises:
        OSError: The disk is full, or the folder is not writable.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "notes.txt")
        >>> with replacing(path) as half:
        ...     _ = half.write_text("whole")
        >>> path.read_text(), len(list(path.parent.iterdir()))
        ('whole', 1)
    """
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield half
        _replace(half, path)
    except BaseException:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
        raise


def _replace(half: Path, path: Path) -> None:
    """Replace a file as `os.replace` does; on Windows, wait a little for readers of the old file."""
    give_up = time.monotonic() + READERS_SECONDS
    while True:
        try:
            return os.replace(half, path)
        except PermissionError as err:
            if getattr(err, "winerror", None) not in _IN_USE or time.monotonic() > give_up:
                raise
        time.sleep(0.02)


def cannot_write(path: Path, err: OSError) -> DatasetError:
    """Return the error for a full disk or a folder that is not writable."""
    return DatasetError(
        f"cannot write {path}: {err.strerror or err}. Everything recorded before is safe: "
        "make room (or name another folder) and run the same command again"
    )
