"""Workers in simulated time: machines of different speeds, deaths, and files that some nodes lack."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from dyto.scaling.jobs import Died, Done, Event, Job, Machine, Ready, Refused

STARTING = 5.0
"""Seconds until a worker is ready."""


@dataclass
class FakeWorkers:
    """An executor whose workers run in simulated time.

    Args:
        speeds: Size that each worker does in a second.
        nodes: The node of each; one node for all where there are none.
        deadly: Jobs that kill whoever tries them.
        lacking: Jobs whose video a node lacks.
        refusing: Jobs that are refused.
        mortal: How many jobs each worker survives, in each of its lives; none for all.
        hopeless: Workers that die as they start.
    """

    speeds: Sequence[float]
    nodes: Sequence[str] = ()
    deadly: frozenset[int] = frozenset()
    lacking: dict[str, frozenset[int]] = field(default_factory=dict)
    refusing: frozenset[int] = frozenset()
    mortal: Sequence[int] = ()
    hopeless: frozenset[int] = frozenset()
    now: float = 0.0
    closed: bool = False
    tried: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._coming: list[tuple[float, int, int, Event]] = []  # when, order, life, what
        self._order = count()
        self._jobs: dict[str, list[Job]] = {}
        self._lives: dict[str, int] = {}
        self._left: dict[str, int] = {}

    def start(self) -> Sequence[str]:
        """See `Executor.start`."""
        names = [f"w{number}" for number in range(len(self.speeds))]
        for name in names:
            self._lives[name] = 0
            self.restart(name)
        return names

    def restart(self, worker: str) -> None:
        """See `Executor.restart`."""
        number = int(worker[1:])
        self._jobs[worker] = []
        self._lives[worker] += 1
        self._left[worker] = self.mortal[number] if self.mortal else -1
        machine = Machine(self.nodes[number] if self.nodes else "here", "simulated")
        self._expect(STARTING, Died(worker) if number in self.hopeless else Ready(worker, machine))

    def submit(self, worker: str, job: Job) -> None:
        """See `Executor.submit`."""
        self._jobs[worker].append(job)
        assert len(self._jobs[worker]) <= 2
        if len(self._jobs[worker]) == 1:
            self._begin(worker)

    def _begin(self, worker: str) -> None:
        job, number = self._jobs[worker][0], int(worker[1:])
        self.tried.append((worker, job.number))
        node = self.nodes[number] if self.nodes else "here"
        if job.number in self.deadly or self._left[worker] == 0:
            self._expect(1.0, Died(worker, "by signal 9"))
        elif job.number in self.lacking.get(node, ()):
            self._expect(0.1, Done(worker, job.number, [{"key": str(job.number), "status": "missing"}], lacking=True))
        elif job.number in self.refusing:
            self._expect(0.1, Refused(worker, job.number, ValueError("no")))
        else:
            self._expect(job.size / self.speeds[number], Done(worker, job.number, [{"key": str(job.number)}]))

    def _expect(self, seconds: float, event: Event) -> None:
        heapq.heappush(self._coming, (self.now + seconds, next(self._order), self._lives[event.worker], event))

    def events(self, seconds: float) -> Sequence[Event]:
        """See `Executor.events`."""
        if not self._coming or self._coming[0][0] > self.now + seconds:
            self.now += seconds
            return []
        self.now, _, life, event = heapq.heappop(self._coming)
        if life != self._lives[event.worker]:
            return []  # of a worker that died meanwhile
        if isinstance(event, (Done, Refused)):
            self._jobs[event.worker].pop(0)
            self._left[event.worker] -= 1
            if self._jobs[event.worker]:
                self._begin(event.worker)
        return [replace(event)]

    def close(self) -> None:
        """See `Executor.close`."""
        self.closed = True
