"""Locks on single bytes of a file, by the means of the operating system: POSIX, Windows, or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any, Protocol

SHARERS = 64
"""Largest number of processes that may share one lock on Windows."""


class ByteLocks(Protocol):
    """Locks that vanish with the process that holds them, however it ends.

    A process may take a lock again that it already holds.
    """

    def take(self, index: int, shared: bool) -> bool:
        """Lock a byte; False if another process holds it.

        Raises:
            OSError: There are no locks on this system.
        """

    def release(self, index: int) -> None:
        """Unlock a byte.

        Raises:
            OSError: There are no locks on this system.
        """


def byte_locks(file: int) -> ByteLocks:
    """Return the functions that lock and unlock an open file on this operating system."""
    for kind in (PosixLocks, WindowsLocks):
        try:
            return kind(file)
        except ImportError:
            continue
    return NoLocks()


class PosixLocks:
    """Locks by `fcntl`.

    Raises:
        ImportError: The system has none.
    """

    def __init__(self, file: int) -> None:
        import fcntl

        self._fcntl: Any = fcntl
        self._file = file

    def take(self, index: int, shared: bool) -> bool:
        """See `ByteLocks.take`."""
        mode = self._fcntl.LOCK_SH if shared else self._fcntl.LOCK_EX
        try:
            self._fcntl.lockf(self._file, mode | self._fcntl.LOCK_NB, 1, index)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, index: int) -> None:
        """See `ByteLocks.release`."""
        self._fcntl.lockf(self._file, self._fcntl.LOCK_UN, 1, index)


class WindowsLocks:
    """Locks by `msvcrt`, which has only exclusive ones.

    So each index has `SHARERS` bytes: a sharing process locks any one of them, an exclusive one locks all.

    Raises:
        ImportError: The system has none.
    """

    def __init__(self, file: int) -> None:
        import msvcrt

        self._msvcrt: Any = msvcrt
        self._file = file
        self._held: dict[int, tuple[int, int]] = {}

    def take(self, index: int, shared: bool) -> bool:
        """See `ByteLocks.take`."""
        if index in self._held:
            if shared == (self._held[index][1] == 1):
                return True
            self.release(index)
        first = index * SHARERS
        ranges = [(first + place, 1) for place in range(SHARERS)] if shared else [(first, SHARERS)]
        for start, length in ranges:
            try:
                self._call(self._msvcrt.LK_NBLCK, start, length)
            except OSError as err:
                if err.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                    raise
            else:
                self._held[index] = start, length
                return True
        return False

    def release(self, index: int) -> None:
        """See `ByteLocks.release`."""
        if index in self._held:
            self._call(self._msvcrt.LK_UNLCK, *self._held.pop(index))

    def _call(self, mode: int, start: int, length: int) -> None:
        os.lseek(self._file, start, os.SEEK_SET)
        locking: Callable[[int, int, int], None] = self._msvcrt.locking
        locking(self._file, mode, length)


class NoLocks:
    """A system without locks."""

    def take(self, index: int, shared: bool) -> bool:
        """See `ByteLocks.take`."""
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    def release(self, index: int) -> None:
        """See `ByteLocks.release`."""
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
