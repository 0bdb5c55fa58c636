"""Probes that observe a side from outside: its calls of `generate`, its projector, and its memory."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dyto.errors import ModelError
from dyto.models.base import VideoModel
from dyto.models.generation.generating import Generates

MIB = 1 << 20
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def now(device: torch.device) -> float:
    """Return the time in seconds, after the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass
class Written:
    """One call of `generate` of the stock model.

    Attributes:
        start: When it began, seconds of the clock.
        first: When its first token was there.
        end: When the last was.
        ids: (Q, n) the tokens that it wrote.
    """

    start: float
    first: float
    end: float
    ids: Tensor


@dataclass
class Probe:
    """A probe that observes a model during a block, without changing what it computes.

    Attributes:
        model: The model.
        written: The calls of `generate`, in order.
        projected: Seconds in the projector.
    """

    model: VideoModel
    written: list[Written] = field(default_factory=list)
    projected: float = 0.0
    _inside: bool = False

    @contextmanager
    def watching(self) -> Iterator[Probe]:
        """Observe the model during the block; afterwards it is unchanged."""
        stock = self.model.causal_lm()
        with ExitStack() as changes:
            changes.enter_context(_replaced(stock, "generate", self._generate(stock.generate)))
            if isinstance(self.model, Generates):  # it writes some answers without `generate`
                changes.enter_context(_replaced(self.model, "_generate", self._answering(self.model._generate)))
            if hasattr(self.model, "project"):
                changes.enter_context(_replaced(self.model, "project", self._projecting(self.model.project)))
            yield self

    def _generate(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if self._inside:  # it is being watched already
                return generate(*args, **options)
            marks, mark = self._mark()
            criteria = [*(options.pop("stopping_criteria", None) or []), mark]
            start = now(self.model.device)
            found = generate(*args, stopping_criteria=criteria, **options)
            ids = found if isinstance(found, Tensor) else found.sequences
            given = options.get("input_ids")
            ids = ids if given is None else ids[:, given.shape[1] :]
            self.written.append(Written(start, marks[0], now(self.model.device), ids))
            return found

        return call

    def _answering(self, generate: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*args: Any) -> Tensor:
            marks, mark = self._mark()
            *rest, stops = args
            self._inside, start = True, now(self.model.device)
            try:
                ids = generate(*rest, [*stops, mark])
            finally:
                self._inside = False
            self.written.append(Written(start, marks[0], now(self.model.device), ids))
            return ids

        return call

    def _mark(self) -> tuple[list[float], Callable[..., Tensor]]:
        """Return a list, and a stopping criterion that stops nothing and puts the time of the first token there."""
        marks: list[float] = []

        def mark(ids: Tensor, scores: Any, **_: Any) -> Tensor:
            if not marks:
                marks.append(now(self.model.device))
            return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

        return marks, mark

    def _projecting(self, project: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def call(states: Tensor) -> Tensor:
            if torch.compiler.is_compiling() or (states.is_cuda and torch.cuda.is_current_stream_capturing()):
                return project(states)
            start = now(states.device)
            found = project(states)
            self.projected += now(states.device) - start
            return found

        return call

    def check_length(self, side: str, expected: int) -> None:
        """Check that every answer has as many tokens as were asked for.

        Raises:
            ModelError: One has not: the sides would not be compared at the same work.
        """
        lengths = {one.ids.shape[1] for one in self.written}
        if lengths != {expected}:
            raise ModelError(
                f"side {side!r} wrote answers of {sorted(lengths)} tokens, expected {expected} on all sides: report it"
            )


@contextmanager
def _replaced(owner: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Replace a method of an object during a block."""
    own = vars(owner).get(name)
    vars(owner)[name] = method
    try:
        yield
    finally:
        if own is None:
            vars(owner).pop(name)
        else:
            vars(owner)[name] = own


def _give_back() -> None:
    """Return free memory of the process to the system, if the C library can."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


class MemoryProbe:
    """The peak memory from here on: of the accelerator, or of the process.

    On CUDA it is `torch.cuda.max_memory_allocated`, weights included; on a CPU by how much the resident memory of the
    process grew beyond what it held here, after free memory was given back to the system.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before: float | None = None
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        elif _RESET.exists():
            _give_back()
            _RESET.write_text("5")  # reset the peak to the current use; nothing else changes
            self._before = self._resident()

    @staticmethod
    def kind(device: torch.device) -> str:
        """Describe what `peak` measures."""
        if device.type == "cuda":
            return "torch.cuda.max_memory_allocated, weights included"
        return "growth of the process's peak resident memory over what it held before the run"

    def peak(self) -> float | None:
        """Return the peak in MiB; None if the system does not report it (on a CPU outside Linux)."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        after = self._resident()
        return None if after is None or self._before is None else max(0.0, after - self._before)

    def _resident(self) -> float | None:
        """Return the peak so far, in MiB."""
        if not _STATUS.exists():
            return None
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024 if "VmHWM" in lines else None
