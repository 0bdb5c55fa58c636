"""The driver's side of a run: open questions, workers, and recording rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from dyto.benchmarks import Sample
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.asking import rows_of_error
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.journal import Journal
from dyto.evaluation.manifest import run_manifest
from dyto.evaluation.questions import Questions
from dyto.evaluation.rows import Row, unanswered
from dyto.evaluation.runlog import RunLog
from dyto.evaluation.runner import ClipWork, answered, clips, is_open
from dyto.evaluation.settings import Settings
from dyto.models.loading.devices import numbered_devices
from dyto.scaling.driver import Driver
from dyto.scaling.jobs import Executor, Job, Machine, Ready
from dyto.scaling.processes import InThisProcess, MakeWork, Processes

WAIT_SECONDS = 7 * 24 * 3600.0
"""Seconds that a second run into a folder waits for the first one, which may end or be killed at any time."""

QUESTION_BYTES = 500_000
"""Cost of a question in bytes of video, to compare jobs: the largest go first."""

Progress = Callable[[int, int], None]


def worker_devices(settings: Settings) -> list[str | None]:
    """Return the device of every worker: all GPUs, or as many processes as requested.

    Example:
        >>> from dyto.models.loading.options import Loading
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
    """Return whether everything is recorded, so that no model needs to be loaded, for example for judging only.

    A checkpoint whose files have changed is loaded anyway, to see whether its weights differ.
    """
    folders = settings.run_folders()
    if not settings.same_model_files(folders):
        return False
    loader = settings.finder()
    with folders.journal() as journal:
        journal.refresh()
        return not any(is_open(journal, loader, sample) for sample in questions.chosen(settings.limit, settings.seed))


def ask_all(settings: Settings, questions: Questions, progress: Progress) -> None:
    """Ask all open questions, in this process, in several, or on a cluster.

    Raises:
        DytoError: The run failed; rows recorded so far are safe.
    """
    Run(settings, questions, settings.run_folders(), progress).ask(partial(ClipWork.loaded, settings))


class Run:
    """The only writer of a run: lets workers answer questions, and records their rows.

    Args:
        settings: The settings of the run.
        questions: The question file.
        folders: The folders for the rows.
        progress: Called with the number of rows recorded and the number of all in this shard.
    """

    def __init__(self, settings: Settings, questions: Questions, folders: RunFolders, progress: Progress) -> None:
        self._settings, self._questions, self._folders = settings, questions, folders
        self._progress = progress
        self._clips = clips(questions, settings.limit, settings.shard, settings.seed)
        self._loader = settings.finder()
        self._keys: set[str] = set()
        self._recorded: set[str] = set()

    def ask(self, make: MakeWork) -> None:
        """Ask everything that is not recorded yet, after waiting for any other process that does so.

        Args:
            make: Makes the work of one worker.

        Raises:
            DatasetError: The disk is full; everything recorded before is safe.
            ConfigError: A setting cannot work, such as a budget below what the strategy needs.
            TooManyErrorsError: Too many questions have no answer.
        """
        index, count = self._settings.shard
        with (
            self._folders.alone("asking", seconds=10.0, shared=True),
            self._folders.alone("asking", part=f"{index}-of-{count}", seconds=WAIT_SECONDS),
            self.journal() as self._journal,
            RunLog(self._folders.logs) as self._log,
        ):
            self._journal.refresh()
            self.catch_up()
            self._count()
            self._report()
            jobs = self._jobs()
            driver = Driver(
                executor_of(self._settings, make, alone=not jobs),
                record=self._record,
                poisoned=self.poisoned,
                refused=self._refused,
                began=self._began,
            )
            driver.run(jobs)

    def catch_up(self) -> None:
        """Take note of what another process did before this one had its turn; the journal is read already."""

    def journal(self) -> Journal:
        """Return the recorded rows."""
        return self._folders.journal()

    def keys(self) -> set[str]:
        """Return the key of every expected row."""
        return {sample.key for _, samples in self._clips for sample in samples}

    def payload(self, samples: Sequence[Sample]) -> Any:
        """Return what a worker needs to know about a clip; None if nothing is to be asked about it."""
        return [sample for sample in samples if is_open(self._journal, self._loader, sample)] or None

    def config(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return what determines the rows, including what a worker reports about its model."""
        return self._settings.config(self._questions) | about["config"]

    def poisoned(self, job: Job, why: str) -> list[Row]:
        """Return the rows of a clip that killed its workers."""
        return [unanswered(self._settings.spec, sample, "failed", why) for sample in job.payload]

    def failed(self, job: Job, error: Exception) -> list[Row]:
        """Return the rows of a clip that met an error."""
        return rows_of_error(self._settings.spec, job.payload, error)

    def beside(self, lines: Mapping[str, Sequence[Row]]) -> None:
        """Record what workers report in addition to rows and log lines."""

    def _jobs(self) -> list[Job]:
        told = [(number, samples, self.payload(samples)) for number, samples in self._clips]
        return [Job(number, self._size(samples), about) for number, samples, about in told if about is not None]

    def _size(self, samples: Sequence[Sample]) -> float:
        """Return the expected cost of a job, in bytes of video; 0 without a video."""
        clip = self._loader.find(samples[0])
        try:
            return float(clip.path.stat().st_size + QUESTION_BYTES * len(samples)) if clip else 0.0
        except OSError:
            return 0.0

    def _began(self, ready: Ready, first: Ready | None) -> None:
        """Settle the folder when the first worker is ready; the others must have loaded the same.

        Raises:
            DatasetError: The folder holds another configuration's rows, or a worker has another model or dtype than the
                first.
        """
        if first is None:
            config = self.config(ready.about)
            self._count()
            self._folders.settle(config, run_manifest(self._questions, config, ready.about["manifest"]))
            return
        for name in sorted(first.about["config"], key=lambda name: name != "dtype"):  # the dtype explains the weights
            own, value = ready.about["config"][name], first.about["config"][name]
            if own != value:
                advice = "choose one with --dtype" if name == "dtype" else "give all machines the same model"
                raise DatasetError(
                    f"worker {ready.worker} on {ready.machine.node} has {name} {own!r}, but {first.worker} on "
                    f"{first.machine.node} has {value!r}, expected the same: {advice}"
                )

    def _record(self, job: Job, rows: Sequence[Row], machine: Machine, beside: Mapping[str, Sequence[Row]]) -> None:
        for line in beside.get("log", ()):
            self._log.write(line)
        self.beside(beside)
        self._journal.append(row | {"machine": machine.kind} if machine.kind else row for row in rows)
        self._recorded |= {row["key"] for row in rows}
        self._report()

    def _count(self) -> None:
        """Settle which rows are expected and which are there: once, not for each job, since it goes over all."""
        self._keys = self.keys()
        self._recorded = self._keys & self._journal.refresh()

    def _report(self) -> None:
        self._progress(len(self._recorded), len(self._keys))
        self._settings.error_limit.check(self._answered)

    def _answered(self) -> list[bool]:
        self._journal.refresh()
        return list(answered(self._journal, self._keys))

    def _refused(self, job: Job, error: Exception) -> list[Row]:
        """Return the rows of a clip that cannot be asked about with these settings.

        If no clip has met them so far, raise the error now, not after days.
        """
        if not isinstance(error, ConfigError) or not any(self._answered()):
            raise error
        return self.failed(job, error)


def executor_of(settings: Settings, make: MakeWork, *, alone: bool = False) -> Executor:
    """Return who does the work; `alone` if nothing is left, to check that the model is unchanged."""
    if settings.ray is not None and not alone:
        from dyto.scaling.ray_cluster import RayWorkers

        return RayWorkers(make, settings.ray, settings.workers, settings.gpus_per_worker)
    devices = worker_devices(settings)
    return InThisProcess(make, devices[0]) if alone or len(devices) == 1 else Processes(make, devices)
