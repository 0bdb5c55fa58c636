"""Jobs, and what workers report about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One video with all its questions: what a worker takes at a time.

    Attributes:
        number: Tells jobs apart; jobs of one size are handed out in this order.
        size: What the job is expected to cost, in any unit: those that cost nothing go first, then the largest.
        payload: What the worker needs; it travels to other processes, so keep it small.
    """

    number: int
    size: float = 1.0
    payload: Any = None


@dataclass(frozen=True)
class Machine:
    """Where a worker runs.

    Attributes:
        node: The name of the machine.
        kind: Processor, accelerator and versions: workers of one kind write the same rows to the byte.
    """

    node: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Ready:
    """A worker has loaded its model, or has come back after it died.

    Attributes:
        worker: The worker.
        machine: Where it runs.
        about: What it knows about its model.
    """

    worker: str
    machine: Machine = field(default_factory=Machine)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A worker has finished a job.

    Attributes:
        worker: The worker.
        number: The job.
        rows: What it found out.
        lacking: The node does not have the video: another node is asked, if there is one.
        beside: Lines of other kinds, such as those for the log of the run.
    """

    worker: str
    number: int
    rows: Sequence[Row]
    lacking: bool = False
    beside: Mapping[str, Sequence[Row]] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A worker is alive and cannot do a job, such as one whose budget does not fit.

    Attributes:
        worker: The worker.
        number: The job; None if the worker cannot do any, as when its model cannot be loaded.
        error: Why.
        where: The traceback, as text.
        beside: Lines of other kinds, such as those for the log of the run.
    """

    worker: str
    number: int | None
    error: Exception
    where: str = ""
    beside: Mapping[str, Sequence[Row]] = field(default_factory=dict)


@dataclass(frozen=True)
class Died:
    """A worker has gone, with everything it had in hand."""

    worker: str
    why: str = ""


Event: TypeAlias = Ready | Done | Refused | Died


class Executor(Protocol):
    """A set of workers, wherever they run."""

    def start(self) -> Sequence[str]:
        """Start all workers, and return their names; each reports `Ready` once it is."""

    def submit(self, worker: str, job: Job) -> None:
        """Give a worker a job. It does its jobs in this order, and may prepare the next one meanwhile."""

    def events(self, seconds: float) -> Sequence[Event]:
        """Return what has happened since the last call; wait so long for something to happen."""

    def restart(self, worker: str) -> None:
        """Start a worker again that has died."""

    def close(self) -> None:
        """End all workers, whatever they do."""


class Work(Protocol):
    """What a worker does with its jobs; made once in each worker."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What is known once the model is loaded."""

    def prepare(self, job: Job) -> None:
        """Begin to read the job's video, beside what is going on."""

    def rows(self, job: Job) -> Done | Refused:
        """Do a job; the name of the worker is filled in by the caller."""

    def close(self) -> None:
        """Give back what is held."""
