"""The driver: hands jobs to workers, and records exactly one result for each.

The largest jobs go first. A worker holds two jobs at most, so that it can read the next video while it answers about
this one, and a dead worker loses no more than that. Near the end, idle workers repeat what slower ones hold; the
first result counts. A job that a worker held when it died is tried again on its own, and after
three deaths it is recorded as failed. Only the driver writes.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from dyto.errors import ModelError
from dyto.scaling.jobs import Died, Done, Event, Executor, Job, Machine, Ready, Refused, Row
from dyto.scaling.working import InWorker

IN_FLIGHT = 2
"""Jobs that a worker holds at most."""

DEATHS = 3
"""Deaths of workers after which the job they held is recorded as failed."""

LIVES = 3
"""Deaths of a worker, without a result in between, after which it is not restarted."""

HOPELESS = 3
"""Jobs that died, with none done, after which the run ends, because the jobs are unlikely to be the cause."""

TRYING = 8
"""Idle workers that look for work to take over, at each event."""

OVERDUE_SECONDS = 300.0
"""After this long, an idle worker takes over a job even if nothing is known of anybody's pace."""

POLL_SECONDS = 0.5

logger = logging.getLogger(__name__)


@dataclass
class _Worker:
    name: str
    machine: Machine = field(default_factory=Machine)
    ready: bool = False
    held: list[int] = field(default_factory=list)  # jobs, in the order of assignment; it is at the first
    alone: bool = False  # it holds a suspect job, and gets no other
    deaths: int = 0  # since its last result
    began: float = 0.0  # when it began its current job
    seconds_per_size: float | None = None


@dataclass
class Driver:
    """Runs jobs on an executor's workers.

    Args:
        executor: The workers.
        record: Called once for every job, with its rows, the machine they come from, and lines of other kinds.
        poisoned: Makes the rows of a job that killed its workers, from the job and the reason.
        refused: Makes the rows of a job that a worker could not do, from the job and the error; it may raise the
            error, which ends the run.
        began: Called when a worker is ready, with its report and that of the first worker (None for the
            first); it may raise an error, which ends the run.
        clock: Returns seconds; simulations pass their own.
    """

    executor: Executor
    record: Callable[[Job, Sequence[Row], Machine, Mapping[str, Sequence[Row]]], None]
    poisoned: Callable[[Job, str], Sequence[Row]]
    refused: Callable[[Job, Exception], Sequence[Row]]
    began: Callable[[Ready, Ready | None], None] = lambda ready, first: None
    clock: Callable[[], float] = time.monotonic

    def run(self, jobs: Iterable[Job]) -> None:
        """Do all jobs; without jobs, wait until a worker is ready.

        Raises:
            ModelError: All workers died for good; the recorded answers are safe.
            DytoError: A worker reported an error that concerns the whole run.
        """
        ordered = sorted(jobs, key=lambda job: (job.size > 0, -job.size, job.number))
        self._jobs = {job.number: job for job in ordered}
        self._queue = deque(self._jobs)
        self._suspects: deque[int] = deque()
        self._holders: dict[int, list[str]] = {}  # assigned jobs, in the order of assignment
        self._deaths: Counter[int] = Counter()
        self._lacking: dict[int, set[str]] = {}
        self._open = set(self._jobs)
        self._idle: dict[str, None] = {}  # idle workers, in the order in which they look for work
        self._why = ""
        self._first: Ready | None = None
        self._done, self._poisonous = False, 0
        try:
            self._workers = {name: _Worker(name) for name in self.executor.start()}
            while self._open or not self._first:
                changed: set[str] = set()
                for event in self.executor.events(POLL_SECONDS):
                    changed |= self._take(event)
                # Idle workers may now find work to take over; a few of them try at a time.
                for name in [*changed, *islice(self._idle, TRYING)]:
                    self._idle.pop(name, None)
                    worker = self._workers.get(name)
                    self._hand_out(worker)
                    if worker is not None and worker.ready and not worker.held:
                        self._idle[name] = None  # at the end of the line
                if not self._workers and (self._open or not self._first):
                    raise ModelError(
                        f"all workers died ({self._why or 'for no known reason'}): the recorded answers are safe, run "
                        "the same command again"
                    )
        finally:
            self.executor.close()

    def _take(self, event: Event) -> set[str]:
        """Take note of an event, and return the workers that may have room now."""
        worker = self._workers.get(event.worker)
        if worker is None:  # an abandoned worker
            return set()
        if isinstance(event, Ready):
            self.began(event, self._first)
            self._first = self._first or event
            worker.ready, worker.machine = True, event.machine
        elif isinstance(event, Died):
            self._bury(worker, event.why)
        elif isinstance(event, Refused) and event.number is None:
            raise event.error from InWorker(event.where)
        elif event.number is not None:
            self._finish(worker, event)
        return {event.worker}

    def _finish(self, worker: _Worker, event: Done | Refused) -> None:
        number = event.number
        assert number is not None
        job, now = self._jobs[number], self.clock()
        if number in worker.held:
            worker.held.remove(number)
        worker.alone, worker.deaths = False, 0
        if job.size > 0:
            worker.seconds_per_size = (now - worker.began) / job.size
        worker.began = now
        if number not in self._open:  # another worker was first
            return
        if isinstance(event, Done) and event.lacking and self._elsewhere(number, worker):
            return
        if isinstance(event, Refused):
            rows = self.refused(job, event.error)
        else:
            rows, self._done = event.rows, True
        self._close(job, rows, worker.machine, event.beside)

    def _close(
        self, job: Job, rows: Sequence[Row], machine: Machine, beside: Mapping[str, Sequence[Row]] | None = None
    ) -> None:
        self.record(job, rows, machine, beside or {})
        self._open.discard(job.number)
        self._holders.pop(job.number, None)

    def _elsewhere(self, number: int, worker: _Worker) -> bool:
        """Return whether a job whose video this worker's node lacks was put back for another node."""
        self._lacking.setdefault(number, set()).add(worker.machine.node)
        self._let_go(number, worker.name)
        if not self._has_other_node(number):
            return False
        if number not in self._holders:
            self._queue.appendleft(number)
        return True

    def _let_go(self, number: int, name: str) -> None:
        holders = self._holders.get(number, [])
        if name in holders:
            holders.remove(name)
        if not holders:
            self._holders.pop(number, None)

    def _bury(self, worker: _Worker, why: str) -> None:
        """Put back the jobs of a dead worker as suspects, and restart the worker."""
        self._why = why
        for number in worker.held:
            self._let_go(number, worker.name)
            if number not in self._open:
                continue
            self._deaths[number] += 1
            if self._deaths[number] >= DEATHS:
                self._give_up(self._jobs[number], why)
            elif number not in self._holders:
                self._suspects.append(number)
        lives = worker.deaths + 1
        if lives >= LIVES and not worker.held:
            logger.warning("worker %s died %d times in a row and will not be restarted: %s", worker.name, lives, why)
            del self._workers[worker.name]
            return
        logger.warning("worker %s died and is being restarted: %s", worker.name, why)
        self._workers[worker.name] = _Worker(worker.name, worker.machine, deaths=0 if worker.held else lives)
        self.executor.restart(worker.name)

    def _give_up(self, job: Job, why: str) -> None:
        self._poisonous += 1
        if self._poisonous == HOPELESS and not self._done:
            raise ModelError(
                f"the first {HOPELESS} videos killed every worker that tried them ({why or 'for no known reason'}), so "
                "the videos are unlikely to be the cause: check memory and devices, then run the same command again"
            )
        self._close(job, self.poisoned(job, f"it killed {DEATHS} workers ({why or 'for no known reason'})"), Machine())

    def _hand_out(self, worker: _Worker | None) -> None:
        """Give a worker as many jobs as it has room for."""
        while worker is not None and worker.ready and not worker.alone and len(worker.held) < IN_FLIGHT:
            number = self._next_for(worker)
            if number is None:
                return
            self._holders.setdefault(number, []).append(worker.name)
            if not worker.held:
                worker.began = self.clock()
            worker.held.append(number)
            self.executor.submit(worker.name, self._jobs[number])

    def _next_for(self, worker: _Worker) -> int | None:
        if self._suspects and not worker.held:
            worker.alone = True
            return self._suspects.popleft()
        for _ in range(len(self._queue)):
            number = self._queue.popleft()
            if number not in self._open:
                continue
            if worker.machine.node in self._lacking.get(number, ()) and self._has_other_node(number):
                self._queue.append(number)
                continue
            return number
        return None if worker.held else self._take_over(worker)

    def _has_other_node(self, number: int) -> bool:
        """Return whether a worker is left on a node that may have a job's video."""
        lacking = self._lacking.get(number, ())
        return any(other.ready and other.machine.node not in lacking for other in self._workers.values())

    def _take_over(self, worker: _Worker) -> int | None:
        """Find a job that another worker holds and this one would finish sooner."""
        now = self.clock()
        for number, holders in self._holders.items():
            if len(holders) > 1 or self._deaths[number] or worker.machine.node in self._lacking.get(number, ()):
                continue
            holder = self._workers[holders[0]]
            if holder.held[0] != number:
                return number  # it has not begun
            size, spent = self._jobs[number].size, now - holder.began
            own = self._pace(worker)
            if own is None:
                if spent > OVERDUE_SECONDS:
                    return number
            elif own * size < max(spent, (holder.seconds_per_size or 0.0) * size - spent):
                return number
        return None

    def _pace(self, worker: _Worker) -> float | None:
        """Return a worker's seconds per size, or the best of the others before its first result."""
        if worker.seconds_per_size is not None:
            return worker.seconds_per_size
        known = [other.seconds_per_size for other in self._workers.values() if other.seconds_per_size is not None]
        return min(known, default=None)
