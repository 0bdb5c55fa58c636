"""Imports without the garbage collector; it imports next to nothing itself."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def quickly() -> Iterator[None]:
    """Import or load without the garbage collector, which would look through all the new objects time and again.

    They are counted as old afterwards, without being looked through: only a full collection does that.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()  # into a generation of its own, and from there into the oldest
            gc.unfreeze()
            gc.enable()
