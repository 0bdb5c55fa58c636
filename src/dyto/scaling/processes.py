"""Workers as processes of this machine, one for each device."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from dyto.scaling.jobs import Died, Event, Job, Ready, Work
from dyto.scaling.working import attempted, refusal, this_machine
from dyto.system.children import deaf_children, end_with_parent

START_METHOD = "spawn"
"""Start method of workers: a process that has used a GPU must not be forked."""

MakeWork = Callable[[str | None], Work]
"""Loads model and strategy onto a device, in the worker."""


@dataclass
class _WorkerProcess:
    device: str | None
    process: BaseProcess | None = None
    pipe: Connection | None = None


@dataclass
class Processes:
    """Workers as processes.

    Args:
        make: Makes the work of one worker from its device; it is sent to the process.
        devices: The device of each worker.
    """

    make: MakeWork
    devices: Sequence[str | None]
    _workers: dict[str, _WorkerProcess] = field(default_factory=dict)

    def start(self) -> Sequence[str]:
        """See `Executor.start`."""
        for number, device in enumerate(self.devices):
            name = f"{device or 'cpu'} ({number + 1})"
            self._workers[name] = _WorkerProcess(device)
            self.restart(name)
        return list(self._workers)

    def submit(self, worker: str, job: Job) -> None:
        """See `Executor.submit`."""
        pipe = self._workers[worker].pipe
        try:
            assert pipe is not None
            pipe.send(job)
        except OSError:
            pass  # it has died; `events` will notice

    def events(self, seconds: float) -> Sequence[Event]:
        """See `Executor.events`."""
        names = {worker.pipe: name for name, worker in self._workers.items() if worker.pipe is not None}
        found: list[Event] = []
        for pipe in wait(list(names), seconds):
            assert isinstance(pipe, Connection)
            name = names[pipe]
            try:
                while pipe.poll():
                    found.append(replace(pipe.recv(), worker=name))
            except (EOFError, OSError):
                found.append(Died(name, self._ended(name)))
        return found

    def _ended(self, name: str) -> str:
        worker = self._workers[name]
        assert worker.process is not None
        assert worker.pipe is not None
        worker.pipe.close()
        worker.pipe = None
        worker.process.join(10)
        code = worker.process.exitcode
        return f"by signal {-code}" if code is not None and code < 0 else f"with status {code}"

    def restart(self, worker: str) -> None:
        """See `Executor.restart`."""
        own = self._workers[worker]
        context: Any = multiprocessing.get_context(START_METHOD)
        threads = max(1, torch.get_num_threads() // len(self.devices))
        with deaf_children():
            own.pipe, other = context.Pipe()
            arguments = (self.make, own.device, threads, other)
            own.process = context.Process(target=_main, args=arguments, daemon=True)
            own.process.start()
            other.close()

    def close(self) -> None:
        """See `Executor.close`."""
        for worker in self._workers.values():
            if worker.process is not None and worker.process.pid is not None:
                worker.process.kill()
        for worker in self._workers.values():
            if worker.process is not None and worker.process.pid is not None:
                worker.process.join()
            if worker.pipe is not None:
                worker.pipe.close()
        self._workers.clear()


class InThisProcess:
    """The worker that needs no process of its own: it does jobs when their results are requested.

    Args:
        make: Makes the work.
        device: The device, passed to `make`.
    """

    NAME = "this process"

    def __init__(self, make: MakeWork, device: str | None) -> None:
        self._make, self._device = make, device
        self._work: Work | None = None
        self._jobs: list[Job] = []

    def start(self) -> Sequence[str]:
        """See `Executor.start`."""
        return [self.NAME]

    def submit(self, worker: str, job: Job) -> None:
        """See `Executor.submit`."""
        self._jobs.append(job)

    def events(self, seconds: float) -> Sequence[Event]:
        """See `Executor.events`."""
        if self._work is None:
            self._work = self._make(self._device)
            return [Ready(self.NAME, this_machine(self._work.about), self._work.about)]
        if not self._jobs:
            return []
        for job in self._jobs:
            self._work.prepare(job)
        return [replace(attempted(self._work, self._jobs.pop(0)), worker=self.NAME)]

    def restart(self, worker: str) -> None:
        """See `Executor.restart`; this worker cannot die on its own."""

    def close(self) -> None:
        """See `Executor.close`."""
        if self._work is not None:
            self._work.close()


def _main(make: MakeWork, device: str | None, threads: int, pipe: Connection) -> None:
    """Run a worker process."""
    end_with_parent()
    torch.set_num_threads(threads)
    try:
        work = make(device)
    except Exception as err:  # noqa: BLE001 - raised again in the parent
        pipe.send(refusal(None, err))
        raise SystemExit(1) from None
    pipe.send(Ready("", this_machine(work.about), work.about))
    waiting: list[Job] = []
    while True:
        while not waiting or pipe.poll():
            try:
                waiting.append(pipe.recv())
            except (EOFError, OSError):
                os._exit(0)
            work.prepare(waiting[-1])
        pipe.send(attempted(work, waiting.pop(0)))
