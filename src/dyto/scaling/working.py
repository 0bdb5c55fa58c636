"""The work of every worker, wherever it runs."""

from __future__ import annotations

import pickle
import platform
import socket
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dyto.errors import DytoError
from dyto.scaling.jobs import Done, Job, Machine, Refused, Row, Work


def attempted(work: Work, job: Job) -> Done | Refused:
    """Do a job; an error becomes a `Refused`."""
    try:
        return work.rows(job)
    except Exception as err:  # noqa: BLE001 - the driver decides
        return refusal(job.number, err)


def refusal(number: int | None, err: Exception, log: Sequence[Row] = ()) -> Refused:
    """Return an error that can be sent to another process, and its traceback as text.

    An error that cannot be pickled becomes a `DytoError` with its name and message.
    """
    where = "".join(traceback.format_exception(err))
    told = err if _survives(err) else DytoError(f"{type(err).__name__}: {err}")
    return Refused("", number, told, where, {"log": log})


def _survives(err: Exception) -> bool:
    try:
        again = pickle.loads(pickle.dumps(err))  # noqa: S301 - what was dumped here
    except Exception:  # noqa: BLE001 - whatever hinders it
        return False
    return type(again) is type(err) and str(again) == str(err)


class InWorker(Exception):
    """The traceback of an error in a worker, as the cause of the error in the driver."""

    def __str__(self) -> str:
        return f"in a worker:\n{self.args[0]}"


def this_machine(about: Mapping[str, Any]) -> Machine:
    """Describe where this process runs: workers of one kind write the same rows.

    Args:
        about: The worker's report about its model; its manifest names the device that the model is on.

    Example:
        >>> "H200" in this_machine({"manifest": {"device": "NVIDIA H200"}}).kind
        True
    """
    chip = str(about.get("manifest", {}).get("device", "cpu"))
    parts = [_processor(), chip, *(f"{name} {version(name)}" for name in ("torch", "transformers"))]
    return Machine(node=socket.gethostname(), kind=", ".join(parts))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
