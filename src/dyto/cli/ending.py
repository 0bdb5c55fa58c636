"""The end of a command's process, without the half a second that the interpreter takes to take itself apart."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn

FOREIGN: list[str] = []
"""Commands of other distributions that run in this process."""


def has_foreign_code() -> bool:
    """Return whether code of others runs in this process: it may leave files open, which the interpreter writes out."""
    objects = sys.modules.get("dyto.system.objects")
    return bool(FOREIGN or (objects is not None and objects.FOREIGN))


def end(status: int) -> NoReturn:
    """End the process as the interpreter would, but leave the memory to the operating system.

    Threads are waited for, functions registered with `atexit` are called, and the standard streams are flushed. A
    process with foreign code, or one that is traced or profiled, ends in the usual way.

    Args:
        status: The exit status.
    """
    watched = sys.gettrace() is not None or sys.getprofile() is not None
    if has_foreign_code() or watched or not hasattr(threading, "_shutdown"):
        sys.exit(status)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
