"""One process for every accelerator; they share the run's folder and need no other word to each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from dyto import errors
from dyto.errors import DytoError, ModelError
from dyto.evaluation.loading import Loader
from dyto.evaluation.questions import Questions
from dyto.evaluation.runner import is_open, run
from dyto.evaluation.settings import Settings
from dyto.process import deaf_children, end_with_parent

POLL_SECONDS = 1.0
START_METHOD = "spawn"
"""How workers are started: a process that has touched a GPU must not be forked."""

Progress = Callable[[int, int], None]


def worker_devices(settings: Settings) -> list[str | None]:
    """The device of every worker: all visible GPUs, or as many processes as were asked for.

    Example:
        >>> worker_devices(Settings("nextqa", device="cpu", workers=2))
        ['cpu', 'cpu']
    """
    if settings.device_map is not None:
        return [settings.device] * (settings.workers or 1)  # each model has its parts on all devices
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if settings.device is not None:
        return [settings.device] * (settings.workers or 1)
    count = settings.workers or max(1, len(gpus))
    return [gpus[i % len(gpus)] if gpus else None for i in range(count)]


def nothing_open(settings: Settings, questions: Questions) -> bool:
    """Whether everything is recorded, so that no model need be loaded, as when only the judge is to be asked."""
    loader = Loader(settings.spec, settings.videos(), (1, 1), {})
    with settings.run_folders().journal() as journal:
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
    complaints = context.SimpleQueue()
    threads = max(1, torch.get_num_threads() // len(devices))
    workers = [
        context.Process(target=_worker, args=(settings, device, threads, complaints), daemon=True) for device in devices
    ]
    try:
        with deaf_children():
            for worker in workers:
                worker.start()
        _watch(settings, questions, workers, progress)
    finally:
        for worker in workers:
            worker.kill()
    if not complaints.empty():
        kind, text = complaints.get()
        raise getattr(errors, kind, DytoError)(text)
    dead = [f"{device or 'cpu'} ({w.exitcode})" for w, device in zip(workers, devices, strict=True) if w.exitcode]
    if len(dead) == len(workers):
        raise ModelError(f"all workers died: {', '.join(dead)}; rows are safe, give the same command again")


def _watch(settings: Settings, questions: Questions, workers: Sequence[BaseProcess], progress: Progress) -> None:
    keys = {sample.key for sample in questions.samples[: settings.limit]}
    with settings.run_folders().journal() as journal:
        while any(worker.is_alive() for worker in workers):
            progress(len(keys & journal.refresh()), len(keys))
            for worker in workers:
                worker.join(POLL_SECONDS / len(workers))
        progress(len(keys & journal.refresh()), len(keys))


def _worker(settings: Settings, device: str | None, threads: int, complaints: Any) -> None:
    """What a worker process does."""
    end_with_parent()
    torch.set_num_threads(threads)
    try:
        qa = settings.load(device)
        run(settings.task(settings.questions(), qa), qa)
    except DytoError as err:
        complaints.put((type(err).__name__, str(err)))
        raise SystemExit(1) from err
