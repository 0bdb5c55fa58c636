"""Work for worker processes in tests: a payload says what happens to whoever does the job."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

from dyto.errors import ConfigError
from dyto.scaling.jobs import Done, Job


class Errands:
    """Does what payloads say: "ok", "die", "die once" (per job), "refuse", "slow"."""

    def __init__(self, folder: Path, device: str | None) -> None:
        self.about = {"config": {"weights": "0"}}
        self._folder = folder
        if (folder / "unloadable").exists():
            raise ConfigError("no such model")

    def prepare(self, job: Job) -> None:
        """Nothing is read."""

    def rows(self, job: Job) -> Done:
        """See `Work.rows`."""
        tried = self._folder / f"{job.number}-{os.getpid()}-{time.monotonic_ns()}"
        tried.touch()
        tries = len(list(self._folder.glob(f"{job.number}-*")))
        if job.payload == "die" or (job.payload == "die once" and tries == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if job.payload == "refuse":
            raise ConfigError("budget 1")
        if job.payload == "slow":
            time.sleep(600 if tries == 1 else 0)
        return Done("", job.number, [{"key": str(job.number), "by": os.getpid()}])

    def close(self) -> None:
        """Nothing is held."""


def errands(folder: Path):
    """What makes the work of a worker."""
    return partial(Errands, folder)
