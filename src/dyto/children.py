"""Child processes: they never see Ctrl-C, and none outlives its parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Start child processes that never see Ctrl-C, which a terminal sends to all: their parent ends them.

    What would interrupt the parent meanwhile waits for the end of the block: no child is left half started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would lift the mask if it had to begin inside
    with _interrupted_later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children start with this and keep it
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _interrupted_later() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python interrupts no other
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # One that Python did not set (None) could not be set again; what ends or is ignored does so now as later.
    ours = {number: handler for number, handler in before.items() if callable(handler)}
    for number in ours:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def end_with_parent() -> None:
    """End this child process as soon as its parent is gone, however that came about and whatever it does."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="dyto-parent", daemon=True).start()
