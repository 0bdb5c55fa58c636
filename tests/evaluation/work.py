"""What other processes do in these tests; a module of its own, so that they can import it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from dyto.evaluation.journal import Claims, Journal, pieces


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds, and fail if it never does."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


def hold(path: Path, index: int, ready: Path, shared: bool = False) -> None:
    """Hold a claim until killed."""
    claims = Claims(path)
    assert claims.take(index, shared=shared)
    ready.touch()
    time.sleep(600)


def work(folder: Path, count: int, seconds: float) -> None:
    """Do every piece that nobody has done; sleep over each as if it were work."""
    with Claims(folder / "lock") as claims, Journal(folder) as journal:
        for index in pieces(claims, range(count), lambda i: str(i) not in journal.refresh()):
            if index is None:
                time.sleep(0.01)
            else:
                time.sleep(seconds)
                journal.append([{"key": str(index), "by": os.getpid()}])
                claims.release(index)
