"""Workers as actors of a Ray cluster. Rows come back to the driver; machines share nothing but the videos."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from dyto.errors import DytoError, MissingExtraError, ModelError
from dyto.scaling.jobs import Died, Event, Job, Ready, Refused, Work
from dyto.scaling.processes import MakeWork
from dyto.scaling.working import attempted, refusal, this_machine

LOCAL = "local"
"""Instead of an address: a cluster of this machine alone, which ends with the run."""

COLORS = re.compile(r"\x1b\[[0-9;]*m")

KNOCK_SECONDS = 10.0
"""How long an address may take to answer at all."""

PAUSE_SECONDS = 5.0
"""Seconds before the second and last attempt to reach a cluster."""

logger = logging.getLogger(__name__)


class _Actor:
    """The actor on a node. It does jobs one after another, and `prepare` runs at the same time.

    It goes to the driver's working directory if its node has it, so that relative paths mean the same everywhere.
    """

    def __init__(self, make: MakeWork, folder: str) -> None:
        with suppress(OSError):
            os.chdir(folder)
        self._work: Work | Refused
        try:
            self._work = make(None)
        except Exception as err:  # noqa: BLE001 - told to the driver
            told = DytoError(f"on node {socket.gethostname()}: {' '.join(str(err).split())}")
            self._work = replace(refusal(None, err), error=told)

    def begin(self) -> Ready | Refused:
        """Report where the worker runs and what it loaded."""
        if isinstance(self._work, Refused):
            return self._work
        node = import_ray().get_runtime_context().get_node_id()[:8]  # two may have one name
        machine = this_machine(self._work.about)
        return Ready("", replace(machine, node=f"{machine.node} ({node})"), self._work.about)

    def prepare(self, job: Job) -> None:
        """Begin to read a video."""
        if not isinstance(self._work, Refused):
            self._work.prepare(job)

    def rows(self, job: Job) -> Any:
        """Do a job."""
        return self._work if isinstance(self._work, Refused) else attempted(self._work, job)


@dataclass
class RayWorkers:
    """An executor on a Ray cluster.

    Args:
        make: Makes the work of one worker; it is sent to the nodes.
        address: The cluster (`ray://host:10001`, `host:6379`), "auto" for the one that this machine belongs to, or
            "local".
        workers: Number of workers; None for one per GPU, or one per node without GPUs.
        gpus: GPUs for each worker; None for one, if there are any.
    """

    make: MakeWork
    address: str
    workers: int | None = None
    gpus: float | None = None
    _actors: dict[str, Any] = field(default_factory=dict)
    _coming: dict[Any, str] = field(default_factory=dict)  # results to come, and whose
    _quiet: ExitStack = field(default_factory=ExitStack)

    def start(self) -> Sequence[str]:
        """See `Executor.start`.

        Raises:
            MissingExtraError: Ray is not installed.
            ModelError: The cluster cannot be reached.
        """
        self._ray = import_ray()
        self._connect()
        have = self._ray.cluster_resources()
        gpus = have.get("GPU", 0.0)
        self._gpus = self.gpus if self.gpus is not None else float(min(gpus, 1.0))
        nodes = sum(1 for node in self._ray.nodes() if node["Alive"])
        count = self.workers or (max(1, int(gpus / self._gpus)) if self._gpus else nodes)
        logger.info("%d workers on %d nodes with %g processors and %g GPUs", count, nodes, have.get("CPU", 0), gpus)
        for number in range(count):
            self.restart(f"worker {number + 1}")
        return list(self._actors)

    def _connect(self) -> None:
        local = self.address == LOCAL
        given: dict[str, Any] = {} if local else {"address": self.address}
        if local:
            # Ray would bind the first outside address of this machine.
            given |= {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
        logger.warning("waiting for %s", "a Ray cluster of this machine" if local else f"the cluster {self.address}")
        self._knock()
        for attempt in range(2):
            try:
                with _own_signals():
                    self._ray.init(**given, logging_level=logging.ERROR, log_to_driver=False)
                self._quiet.enter_context(_no_notices(self._ray))
                return
            except Exception as err:
                self._ray.shutdown()
                if attempt or "token" in str(err).lower():
                    raise ModelError(self._unreachable(err)) from err
                logger.warning("the cluster did not answer (%s): trying again", _in_one_line(err))
                time.sleep(PAUSE_SECONDS)

    def _knock(self) -> None:
        """Fail at once if nobody listens at an address; Ray itself tries for minutes."""
        host, colon, port = self.address.rpartition("://")[2].rpartition(":")
        if not colon or not port.isdecimal():
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
        except (OSError, OverflowError) as err:
            raise ModelError(self._unreachable(err)) from err

    def _unreachable(self, err: Exception) -> str:
        if "token" in str(err).lower():
            return (
                f"the cluster {self.address} requires a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here as on "
                "the cluster"
            )
        return (
            f"the cluster {self.address} cannot be reached ({_in_one_line(err)}): check that it runs (ray status), "
            "or pass --ray local"
        )

    def restart(self, worker: str) -> None:
        """See `Executor.restart`."""
        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": self._gpus, "max_restarts": 0}
        kind = self._ray.remote(concurrency_groups={"reading": 1})(_Actor)
        actor = kind.options(**options).remote(self.make, os.getcwd())
        self._actors[worker] = actor
        self._coming[actor.begin.remote()] = worker

    def submit(self, worker: str, job: Job) -> None:
        """See `Executor.submit`."""
        actor = self._actors[worker]
        actor.prepare.options(concurrency_group="reading").remote(job)
        self._coming[actor.rows.remote(job)] = worker

    def events(self, seconds: float) -> Sequence[Event]:
        """See `Executor.events`."""
        if not self._coming:
            time.sleep(seconds)
            return []
        waiting = list(self._coming)
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        if ready:  # all other results that have arrived
            ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        found: list[Event] = []
        for result in ready:
            worker = self._coming.pop(result, None)
            if worker is None:  # from a worker already known to be dead
                continue
            try:
                found.append(replace(self._ray.get(result), worker=worker))
            except self._ray.exceptions.RayError as err:
                self._coming = {other: name for other, name in self._coming.items() if name != worker}
                found.append(Died(worker, _in_one_line(err)))
        return found

    def close(self) -> None:
        """See `Executor.close`."""
        if not hasattr(self, "_ray"):
            return
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._ray.shutdown()
        self._quiet.close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handlers of this process: Ray would put its own in the place of what ends a command in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _no_notices(ray: Any) -> Iterator[None]:
    """Log what Ray would print about dead workers: stdout belongs to the command, which may be writing JSON there.

    Ray has no option for this, so one of its private functions is replaced; a version without it prints as before.
    """
    inside = ray._private.worker
    printing = getattr(inside, "print_to_stdstream", None)
    if printing is None:
        yield
        return

    def log(data: Mapping[str, Any], *_: Any, **__: Any) -> None:
        for line in data.get("lines", ()):
            logger.debug("Ray: %s", " ".join(COLORS.sub("", str(line)).split()))

    inside.print_to_stdstream = log
    try:
        yield
    finally:
        inside.print_to_stdstream = printing


def import_ray() -> Any:
    """Import Ray, with its usage reports turned off.

    Raises:
        MissingExtraError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as err:
        raise MissingExtraError("A cluster", "ray", "ray") from err
    return ray


def _in_one_line(err: BaseException) -> str:
    """Shorten an error of Ray to one line: its texts are pages long, with colours, and end with the cause."""
    lines = [line.strip() for line in COLORS.sub("", str(err)).splitlines() if line.strip()]
    if not lines:
        return type(err).__name__
    return lines[-1 if "creation task" in lines[0] else 0][:200]
