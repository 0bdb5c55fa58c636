"""An append-only record that survives crashes.

A journal is a folder. Every writing process has its own file in it, so that lines never interleave,
and writes whole lines. A line torn by a crash or a full disk is recognised and counts as not written.
`Claims` keeps two processes from doing the same work at once; the operating system drops claims with the
process, however it ends.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, KeysView, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dyto.evaluation.files import dump_line, encoded
from dyto.evaluation.locks import byte_locks
from dyto.system.files import cannot_write

SYNC_SECONDS = 2.0

_BINARY = getattr(os, "O_BINARY", 0)  # Windows would write a line break as two bytes

logger = logging.getLogger(__name__)


class Journal:
    """Rows in a folder, one line each, identified by their `key`.

    Args:
        folder: The folder; it is created with the first row.
        rank: Function that ranks rows with the same key: the lower rank counts, then the smaller line. The outcome
            does not depend on the order in which processes wrote. A row for which it raises a LookupError, TypeError
            or ValueError counts as damaged.

    Example:
        >>> import tempfile
        >>> with Journal(Path(tempfile.mkdtemp())) as journal:
        ...     journal.append([{"key": "a", "n": 1}])
        ...     sorted(journal.refresh())
        ['a']
    """

    def __init__(self, folder: Path, *, rank: Callable[[Mapping[str, Any]], int] = lambda row: 0) -> None:
        self.folder = folder
        self._rank = rank
        self._rows: dict[str, tuple[int, str]] = {}
        self._offsets: dict[Path, int] = {}
        self._unreadable: set[Path] = set()
        self._file: int | None = None
        self._path = folder
        self._size = 0
        self._synced = time.monotonic()

    def refresh(self) -> KeysView[str]:
        """Read the rows that any process has written since the last call.

        Returns:
            The keys of all rows.
        """
        for path in sorted(self.folder.glob("*.jsonl")):
            try:
                self._read(path)
            except OSError as err:
                if path not in self._unreadable:
                    logger.warning("%s cannot be read (%s): its work is done again", path, err.strerror)
                self._unreadable.add(path)
        return self._rows.keys()

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return all rows by key, as of the last `refresh`."""
        return {key: json.loads(line) for key, (_, line) in self._rows.items()}

    def rank_of(self, key: str) -> int | None:
        """Return the rank of a key's row, as of the last `refresh`; None if there is no row."""
        return self._rows[key][0] if key in self._rows else None

    def _read(self, path: Path) -> None:
        offset = self._offsets.get(path, 0)
        if path.stat().st_size <= offset:
            return
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data.rfind(b"\n") + 1  # the rest is torn, or still being written
        self._offsets[path] = offset + whole
        for raw in data[:whole].split(b"\n")[:-1]:
            try:
                line = raw.decode()
                row = _parse(line)
                entry = (self._rank(row), line)
            except (ValueError, LookupError, TypeError, RecursionError):
                logger.warning("%s: skipping a damaged line of %d bytes; its work is done again", path, len(raw))
                continue
            self._rows[row["key"]] = min(entry, self._rows.get(row["key"], entry))

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows to this process's own file, all at once.

        Raises:
            DatasetError: The disk is full; the file is cut back to its last whole line.
        """
        data = encoded("".join(map(dump_line, rows)))
        if not data:
            return
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            self._size += len(data)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self.sync()
        except OSError as err:
            self._cut_back()
            raise cannot_write(self._path, err) from err

    def _cut_back(self) -> None:
        """Cut the file back to whole lines; if that fails, the next row goes to another file."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            os.close(self._file)
            self._file = None

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._size = 0
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | _BINARY, 0o666)

    def sync(self) -> None:
        """Wait until everything written is on the disk.

        Raises:
            DatasetError: The disk does not accept it.
        """
        try:
            if self._file is not None:
                os.fsync(self._file)
        except OSError as err:
            raise cannot_write(self._path, err) from err
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and close this process's file."""
        if self._file is not None:
            try:
                self.sync()
            finally:
                file, self._file = self._file, None
                os.close(file)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def _parse(line: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        raise ValueError("it is not an object with a key")
    return row


@functools.cache
def _say_once(reason: str) -> None:
    logger.warning("no file locks on this system (%s): two simultaneous runs may do the same work twice", reason)


class Claims:
    """Locks that assign pieces of work to processes: byte i of a lock file represents piece i.

    Locks belong to the process and vanish with it, also after SIGKILL. They work between machines if the
    file system supports byte locks (local disks, NFS 4); otherwise work may be done twice, but
    nothing is lost.

    Raises:
        DatasetError: The folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as err:
            raise cannot_write(path, err) from err
        self._locks = byte_locks(self._file)

    def take(self, index: int, *, shared: bool = False) -> bool:
        """Claim a piece, alone or together with others that share it; False if another process holds it."""
        try:
            return self._locks.take(index, shared)
        except OSError as err:
            _say_once(err.strerror)
        return True

    def release(self, index: int) -> None:
        """Release a piece."""
        with contextlib.suppress(OSError):  # without locks; a log line has already said so
            self._locks.release(index)

    def close(self) -> None:
        """Release all pieces."""
        os.close(self._file)

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
