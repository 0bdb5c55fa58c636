"""What other processes do in these tests; a module of its own, so that they can import it."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path

from dyto.evaluation.evaluate import evaluate
from dyto.evaluation.journal import Claims
from dyto.evaluation.settings import Settings


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


def run_limited(settings: Settings, what: int, most: int, said: Path) -> None:
    """Run an evaluation in a process of which the system allows only so much, and write down the error."""
    resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
    try:
        evaluate(settings)
    except Exception as err:  # noqa: BLE001 - the test looks at it
        resource.setrlimit(what, (resource.getrlimit(what)[1],) * 2)
        said.write_text(f"{type(err).__name__}: {err}")
