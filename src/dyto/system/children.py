"""Child processes that ignore Ctrl-C and never outlive their parent."""

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
    """Start child processes that ignore Ctrl-C, which a terminal sends to all; their parent ends them.

    Signals to the parent wait until the end of the block, so that no child is left half started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started inside, it would lift the mask
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
    # Python cannot restore a handler that it did not set (None); default and ignored signals need no delay.
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
    """End this child process as soon as its parent is gone, for whatever reason."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="dyto-parent", daemon=True).start()
