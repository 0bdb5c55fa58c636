"""A time limit for foreign code."""

from __future__ import annotations

import functools
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)

SECONDS = 300.0
"""Default time limit of one call."""
CALLS = 1000
"""Default number of consecutive calls, if time allows."""


class TookTooLongError(BaseException):
    """Raised inside code whose time is over; its `except Exception` cannot swallow this."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End a block that takes too long.

    A timer of the operating system interrupts Python code, a sleep or a loop; a call into compiled code is
    interrupted only when it returns. Outside of the main thread, and on Windows, there is no such timer and no limit;
    if the system has none, a log line says so once.

    Args:
        seconds: Time limit; None for no limit.

    Raises:
        TookTooLongError: The block took longer.

    Example:
        >>> import time
        >>> try:
        ...     with time_limit(0.01):
        ...         time.sleep(10)
        ... except TookTooLongError as late:
        ...     print(late)
        it took longer than 0.01 s
    """
    timers = hasattr(signal, "setitimer") and hasattr(signal, "SIGALRM")
    if seconds is not None and not timers:
        _say_unlimited()
    if seconds is None or not timers or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@functools.cache
def _say_unlimited() -> None:
    logger.warning("this system has no timer that interrupts a call: a call that never returns blocks the run")
