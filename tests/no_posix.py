"""The command on a system that lacks what POSIX has: `python no_posix.py WORDS`.

With LOCKS_LIKE_WINDOWS=1 in the environment it has locks as Windows has them; otherwise none.
What Windows has not is taken away before anything is imported, in worker processes, too. The rest of Windows (names of
files, line ends, files that cannot be replaced while they are read) is not shown by this.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import types

MISSING = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"}
GONE = {
    os: ("fork", "forkpty", "memfd_create", "sched_getaffinity", "getuid", "geteuid", "killpg", "setsid", "O_NOFOLLOW", "chown", "mkfifo"),
    signal: ("SIGALRM", "SIGHUP", "SIGUSR1", "setitimer", "alarm", "pthread_sigmask"),
    socket: ("send_fds", "recv_fds"),
}  # fmt: skip


class Nowhere:
    """Finds that modules of POSIX are not there."""

    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def msvcrt_like() -> types.ModuleType:
    """Locks with the bounds of Windows: exclusive ones alone, from the position of the file, none twice by one holder."""
    import fcntl

    module = types.ModuleType("msvcrt")
    module.LK_UNLCK, module.LK_NBLCK = 0, 2  # type: ignore[attr-defined]
    held: dict[int, set[int]] = {}

    def locking(file, mode, count):
        start = os.lseek(file, 0, os.SEEK_CUR)
        wanted, mine = set(range(start, start + count)), held.setdefault(file, set())
        if mode == module.LK_UNLCK:
            if not wanted <= mine:
                raise PermissionError(errno.EACCES, "Permission denied")
            fcntl.lockf(file, fcntl.LOCK_UN, count, start)
            mine -= wanted
            return
        if wanted & mine:
            raise PermissionError(errno.EACCES, "Permission denied")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, count, start)
        except OSError as err:
            raise PermissionError(errno.EACCES, "Permission denied") from err
        mine |= wanted

    close = os.close

    def close_and_unlock(file):
        held.pop(file, None)
        close(file)

    module.locking, os.close = locking, close_and_unlock  # type: ignore[attr-defined]
    return module


def take_away(locks: bool) -> None:
    """Let this process be one without POSIX."""
    if locks:
        sys.modules["msvcrt"] = msvcrt_like()
    for name in MISSING:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Nowhere())
    for module, names in GONE.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)


# What chooses its parts by the name of the system has done so before anything is gone.
with contextlib.suppress(ImportError):
    import psutil  # noqa: F401
import subprocess  # noqa: E402, F401

if __name__ in ("__main__", "__mp_main__"):  # a command, or a worker of it
    take_away(locks=os.environ.get("LOCKS_LIKE_WINDOWS") == "1")

if __name__ == "__main__":
    from dyto.__main__ import main

    main()
