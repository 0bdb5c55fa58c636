"""One process for every accelerator; they share the run's folder and need no other word to each other."""

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
from dyto.models.devices import numbered_devices

POLL_SECONDS = 1.0
START_METHOD = "spawn"
"""How workers are started: a process that has touched a GPU must not be forked."""

Progress = Callable[[int, int], None]
Complaint = tuple[Exception, str]
"""What went wrong in a worker, and its traceback there."""


def worker_devices(settings: Settings) -> list[str | None]:
    """The device of every worker: all GPUs that are there, or as many processes as were asked for.

    Example:
        >>> from dyto.models.loading_options import Loading
        >>> worker_devices(Settings("nextqa", loading=Loading(device="cpu"), workers=2))
        ['cpu', 'cpu']
    """
    if settings.loading.device_map is not None:
        return [settings.loading.device] * (settings.workers or 1)  # each model has its parts on all devices
    if settings.loading.device not in (None, "auto"):
        return [settings.loading.device] * (settings.workers or 1)
    cards = numbered_devices()
    count = settings.workers or max(1, len(cards))
    return [cards[i % len(cards)] if cards else None for i in range(count)]


def nothing_open(settings: Settings, questions: Questions) -> bool:
    """Whether everything is recorded, so that no model need be loaded, as when only the judge is to be asked.

    A checkpoint whose files have changed is loaded all the same, to see whether its weights are others.
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
        DytoError: What went wrong; rows recorded before are safe.
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
    ears: list[Connection] = []  # pipes, as queues need shared memory, which not every machine offers
    complaints: list[Complaint] = []

    def hear() -> None:
        for ear in ears:
            with contextlib.suppress(EOFError, OSError):  # it has ended, and has nothing more to say
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
        raise ModelError(f"all workers died: {', '.join(dead)}; rows are safe, give the same command again")


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
    """What a worker process does."""
    end_with_parent()
    torch.set_num_threads(threads)
    try:
        qa = settings.load(device)
        run(settings.task(settings.questions(), qa), qa)
    except Exception as err:  # noqa: BLE001 - raised again in the parent
        mouth.send(carried(err))
        raise SystemExit(1) from None  # the parent says so


class InWorker(Exception):
    """The traceback of an error as it was in a worker; the error itself goes on in the parent."""

    def __str__(self) -> str:
        return f"in a worker:\n{self.args[0]}"


def carried(err: Exception) -> Complaint:
    """An error as it can be sent to another process, and its traceback as text.

    One that cannot be taken apart and put together again becomes a `DytoError` with its name and message.
    """
    where = "".join(traceback.format_exception(err))
    return err if _survives(err) else DytoError(f"{type(err).__name__}: {err}"), where


def _survives(err: Exception) -> bool:
    try:
        again = pickle.loads(pickle.dumps(err))  # noqa: S301 - what was dumped here
    except Exception:  # noqa: BLE001 - whatever hinders it
        return False
    return type(again) is type(err) and str(again) == str(err)
