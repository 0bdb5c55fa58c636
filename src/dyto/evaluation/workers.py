"""Worker processes, one per accelerator, which coordinate only through the run's folder."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from dyto.children import deaf_children, end_with_parent
from dyto.errors import DytoError, ModelError
from dyto.evaluation.loading import Loader
from dyto.evaluation.questions import Questions
from dyto.evaluation.runner import is_open, run
from dyto.evaluation.settings import Settings

POLL_SECONDS = 1.0
START_METHOD = "spawn"
"""Start method of workers: a process that has touched a GPU must not be forked."""

Progress = Callable[[int, int], None]
Complaint = tuple[Exception, str]
"""An error in a worker, and its traceback there."""


def worker_devices(settings: Settings) -> list[str | None]:
    """Return the device of every worker: all visible GPUs, or the requested number of processes.

    Example:
        >>> from dyto.models.loading_options import Loading
        >>> worker_devices(Settings("nextqa", loading=Loading(device="cpu"), workers=2))
        ['cpu', 'cpu']
    """
    if settings.loading.device_map is not None:
        return [settings.loading.device] * (settings.workers or 1)  # with a device map, one model uses all devices
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if settings.loading.device is not None:
        return [settings.loading.device] * (settings.workers or 1)
    count = settings.workers or max(1, len(gpus))
    return [gpus[i % len(gpus)] if gpus else None for i in range(count)]


def nothing_open(settings: Settings, questions: Questions) -> bool:
    """Return whether everything is recorded, so that no model need be loaded, for example for judging only.

    A checkpoint whose files have changed is loaded anyway, to see whether its weights differ.
    """
    folders = settings.run_folders()
    if not settings.same_model_files(folders):
        return False
    loader = Loader(settings.spec, settings.videos(), (1, 1), {})
    with folders.journal() as journal:
        journal.refresh()
        return not any(is_open(journal, loader, sample) for sample in questions.samples[: settings.limit])


def ask_all(settings: Settings, questions: Questions, progress: Progress) -> None:
    """Ask everything that is open, in this process or in several.

    Raises:
        DytoError: The run failed; rows recorded so far are safe.
    """
    folders = settings.run_folders()
    devices = worker_devices(settings)
    with folders.alone("asking", seconds=10.0, shared=True):
        if len(devices) == 1:
            qa = settings.load(devices[0])
            run(settings.task(questions, qa), qa, progress=progress)
        else:
            _run_processes(settings, questions, devices, progress)


def _run_processes(settings: Settings, questions: Questions, devices: list[str | None], progress: Progress) -> None:
    context: Any = multiprocessing.get_context(START_METHOD)
    threads = max(1, torch.get_num_threads() // len(devices))
    workers: list[BaseProcess] = []
    ears: list[Connection] = []  # pipes, because queues need shared memory, which not every machine has
    complaints: list[Complaint] = []

    def hear() -> None:
        for ear in ears:
            with contextlib.suppress(EOFError, OSError):  # the worker has ended and sends nothing more
                complaints.extend([ear.recv()] if ear.poll() else [])

    try:
        with deaf_children():
            for device in devices:
                ear, mouth = context.Pipe(duplex=False)
                ears.append(ear)
                workers.append(context.Process(target=_worker, args=(settings, device, threads, mouth), daemon=True))
                workers[-1].start()
                mouth.close()
        _watch(settings, questions, workers, progress, hear)
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.kill()
    if complaints:
        err, where = complaints[0]
        raise err from InWorker(where)
    dead = [f"{device or 'cpu'} ({w.exitcode})" for w, device in zip(workers, devices, strict=True) if w.exitcode]
    if len(dead) == len(workers):
        raise ModelError(f"all workers died: {', '.join(dead)}; rows are safe, run the same command again")


def _watch(
    settings: Settings,
    questions: Questions,
    workers: Sequence[BaseProcess],
    progress: Progress,
    hear: Callable[[], None],
) -> None:
    keys = {sample.key for sample in questions.samples[: settings.limit]}
    with settings.run_folders().journal() as journal:
        while any(worker.is_alive() for worker in workers):
            progress(len(keys & journal.refresh()), len(keys))
            for worker in workers:
                worker.join(POLL_SECONDS / len(workers))
            hear()
        hear()
        progress(len(keys & journal.refresh()), len(keys))


def _worker(settings: Settings, device: str | None, threads: int, mouth: Connection) -> None:
    """Run a worker process."""
    end_with_parent()
    torch.set_num_threads(threads)
    try:
        qa = settings.load(device)
        run(settings.task(settings.questions(), qa), qa)
    except Exception as err:  # noqa: BLE001 - raised again in the parent
        mouth.send(carried(err))
        raise SystemExit(1) from None  # the parent reports it


class InWorker(Exception):
    """The traceback of an error in a worker; the error itself is raised again in the parent."""

    def __str__(self) -> str:
        return f"in a worker:\n{self.args[0]}"


def carried(err: Exception) -> Complaint:
    """Return an error that can be sent to another process, and its traceback as text.

    An error that cannot be pickled becomes a `DytoError` with its name and message.
    """
    where = "".join(traceback.format_exception(err))
    return err if _survives(err) else DytoError(f"{type(err).__name__}: {err}"), where


def _survives(err: Exception) -> bool:
    try:
        again = pickle.loads(pickle.dumps(err))  # noqa: S301 - it was pickled here
    except Exception:  # noqa: BLE001 - pickling may fail in any way
        return False
    return type(again) is type(err) and str(again) == str(err)
