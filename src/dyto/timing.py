"""Wall time per stage, which waits for the accelerator if there is one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

In = TypeVar("In")
Out = TypeVar("Out")


def synchronize(device: torch.device) -> None:
    """Wait until an accelerator has done what it was given, so that time can be taken."""
    if device.type == "mps":
        torch.mps.synchronize()
    elif device.type in ("cuda", "xpu"):
        getattr(torch, device.type).synchronize(device)


class Stopwatch:
    """A stopwatch that adds up the seconds spent in named stages.

    Example:
        >>> watch = Stopwatch()
        >>> with watch.stage("decode"):
        ...     pass
        >>> list(watch.seconds)
        ['decode']
    """

    def __init__(self, device: torch.device | str = "cpu", on_stage: Callable[[str], None] | None = None) -> None:
        self.device = torch.device(device)
        self.on_stage = on_stage
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block; before and after it, wait for work that is still queued on the device."""
        if self.on_stage:
            self.on_stage(name)
        start = self._now()
        try:
            yield
        finally:
            self.add(name, self._now() - start)

    def timed(self, name: str, function: Callable[[In], Out]) -> Callable[[In], Out]:
        """Return the function with each of its calls timed as a stage."""

        def call(value: In) -> Out:
            with self.stage(name):
                return function(value)

        return call

    def taken_off(self, name: str, function: Callable[[In], Out]) -> Callable[[In], Out]:
        """Return the function with the time of its calls taken off a stage, in which it is called."""

        def call(value: In) -> Out:
            start = self._now()
            try:
                return function(value)
            finally:
                self.add(name, start - self._now())

        return call

    def add(self, name: str, seconds: float) -> None:
        """Add seconds measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _now(self) -> float:
        synchronize(self.device)
        return time.perf_counter()
