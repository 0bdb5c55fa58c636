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
        number: Identifies the job; jobs of one size are assigned in this order.
        size: Expected cost of the job, in any unit: jobs that cost nothing go first, then the largest.
        payload: What the worker needs; it is sent to other processes, so keep it small.
    """

    number: int
    size: float = 1.0
    payload: Any = None


@dataclass(frozen=True)
class Machine:
    """The machine of a worker.

    Attributes:
        node: The name of the machine.
        kind: Processor, accelerator and versions: workers of one kind write identical rows.
    """

    node: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Ready:
    """The event that a worker has loaded its model, also after a restart.

    Attributes:
        worker: The worker.
        machine: Its machine.
        about: What it knows about its model.
    """

    worker: str
    machine: Machine = field(default_factory=Machine)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """The event that a worker has finished a job.

    Attributes:
        worker: The worker.
        number: The job.
        rows: The rows.
        lacking: Whether the node lacks the video; then another node is asked, if there is one.
        beside: Lines of other kinds, such as log lines.
    """

    worker: str
    number: int
    rows: Sequence[Row]
    lacking: bool = False
    beside: Mapping[str, Sequence[Row]] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """The event that a living worker cannot do a job, for example because its budget does not fit.

    Attributes:
        worker: The worker.
        number: The job; None if the worker cannot do any, as when its model cannot be loaded.
        error: Why.
        where: The traceback, as text.
        beside: Lines of other kinds, such as log lines.
    """

    worker: str
    number: int | None
    error: Exception
    where: str = ""
    beside: Mapping[str, Sequence[Row]] = field(default_factory=dict)


@dataclass(frozen=True)
class Died:
    """The event that a worker has died, with all its jobs."""

    worker: str
    why: str = ""


Event: TypeAlias = Ready | Done | Refused | Died


class Executor(Protocol):
    """A set of workers, wherever they run."""

    def start(self) -> Sequence[str]:
        """Start all workers, and return their names; each reports `Ready`."""

    def submit(self, worker: str, job: Job) -> None:
        """Give a worker a job. It does its jobs in this order, and may prepare the next one meanwhile."""

    def events(self, seconds: float) -> Sequence[Event]:
        """Return the events since the last call; wait this long for one."""

    def restart(self, worker: str) -> None:
        """Restart a dead worker."""

    def close(self) -> None:
        """End all workers, whatever they do."""


class Work(Protocol):
    """The work of a worker; made once in each worker."""

    @property
    def about(self) -> Mapping[str, Any]:
        """The report about the model, once it is loaded."""

    def prepare(self, job: Job) -> None:
        """Begin to read the job's video in the background."""

    def rows(self, job: Job) -> Done | Refused:
        """Do a job; the name of the worker is filled in by the caller."""

    def close(self) -> None:
        """Release all resources."""
