"""The work of one worker: a task for one clip, such as all questions about it, from the file to the rows.

Samples are grouped by clip. Each clip is decoded, encoded and read by the language model once for its questions; with
the saving `overlap` the next one is already being decoded meanwhile. `rows_of_clip` is what every command that
answers many questions uses, and it knows nothing about other workers or where rows are recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

from dyto.benchmarks import Sample
from dyto.errors import ConfigError
from dyto.evaluation.journal import Journal
from dyto.evaluation.loading import Loaded, Loader, Unavailable
from dyto.evaluation.questions import Questions
from dyto.evaluation.rows import ANSWERED, STATUSES, Row
from dyto.evaluation.runlog import LogLines
from dyto.evaluation.tasks import RowsOfClip
from dyto.scaling.jobs import Done, Job, Refused
from dyto.scaling.working import refusal

if TYPE_CHECKING:
    from dyto.evaluation.settings import Settings
    from dyto.pipeline import VideoQA

MISSING = "missing_video"
ANSWERED_RANK, MISSING_RANK = STATUSES.index(ANSWERED), STATUSES.index(MISSING)
Group: TypeAlias = tuple[int, list[Sample]]


def clips(
    questions: Questions, limit: int | None = None, shard: tuple[int, int] = (1, 1), seed: int | None = None
) -> list[Group]:
    """Return the clips with their samples; a clip's number is its place in the whole file.

    Args:
        questions: The question file.
        limit: Use only this many questions; None for all.
        shard: (i, n) to use only every n-th clip, from the i-th on, counted from 1.
        seed: Of a sample spread over the videos; None for the first questions.
    """
    numbers: dict[tuple[str, float | None, float | None], int] = {}
    for sample in questions.samples:
        numbers.setdefault(sample.clip, len(numbers))
    members: dict[int, list[Sample]] = {}
    for sample in questions.chosen(limit, seed):
        members.setdefault(numbers[sample.clip], []).append(sample)
    return sorted(members.items())[shard[0] - 1 :: shard[1]]


class ClipWork:
    """Does the task of the settings for one clip after another.

    Args:
        settings: Videos and options.
        qa: Model and strategy.

    Attributes:
        about: What determines the rows of this worker and is known only once its model is loaded.
    """

    def __init__(self, settings: Settings, qa: VideoQA) -> None:
        self.about: Mapping[str, Any] = settings.about(qa)
        self._log = LogLines()
        self._loader = settings.loader(qa, settings.token_cache(qa, self.about["config"]))
        self._task = settings.task.make(
            *(qa, settings.spec, self._loader.cache, settings.max_new_tokens, settings.scoring),
            *(settings.subtitles(), self._log),
        )
        self._ahead: dict[int, Future[Loaded | Unavailable]] = {}
        self._decoder = ThreadPoolExecutor(1)
        self._begun: set[int] = set()
        self._overlap = qa.savings.on(qa.model.device.type).overlap

    @classmethod
    def loaded(cls, settings: Settings, device: str | None) -> ClipWork:
        """Load model and strategy onto a device; None for the best available one."""
        return cls(settings, settings.load(device))

    def prepare(self, job: Job) -> None:
        """See `Work.prepare`; a job's payload is its samples, all of one clip."""
        if self._overlap and job.number not in self._ahead and job.number not in self._begun:
            self._ahead[job.number] = self._decoder.submit(load_clip, self._loader, job.payload)

    def rows(self, job: Job) -> Done | Refused:
        """See `Work.rows`."""
        self._begun.add(job.number)  # a cluster may announce a job from another thread, and too late
        video = self._ahead.pop(job.number, None) or self._decoder.submit(load_clip, self._loader, job.payload)
        try:
            found, rows = rows_of_clip(self._task, job.payload, video, self._log)
        except ConfigError as err:  # the driver knows whether any clip has met this setting
            return refusal(job.number, err, self._log.take())
        lacking = isinstance(found, Unavailable) and found.status == MISSING
        return Done("", job.number, rows, lacking, {"log": self._log.take()})

    def close(self) -> None:
        """See `Work.close`."""
        self._decoder.shutdown(wait=False, cancel_futures=True)


def rows_of_clip(
    task: RowsOfClip, samples: Sequence[Sample], video: Future[Loaded | Unavailable], log: LogLines
) -> tuple[Loaded | Unavailable, list[Row]]:
    """Do a task for one clip, such as answering all questions about it.

    Args:
        task: The task, with its model.
        samples: The questions, all about one clip.
        video: The clip, decoded or still being decoded.
        log: The log for seconds.

    Returns:
        The loaded clip, and one row for every sample.

    Raises:
        ConfigError: This clip cannot meet a setting, and perhaps no clip can.
        DatasetError: The machine has no room to read any video.
    """
    with log.clip(samples[0].video) as seconds:
        loaded = video.result()
        return loaded, task.rows(samples, loaded, seconds)


def load_clip(loader: Loader, samples: Sequence[Sample]) -> Loaded | Unavailable:
    """Decode the clip of some samples, unless none of them can be asked."""
    usable = [sample for sample in samples if not sample.broken]
    return loader.load(usable[0]) if usable else Unavailable("bad_row", "nothing can be asked about it")


def answered(journal: Journal, keys: Iterable[str]) -> Iterator[bool]:
    """Return for every recorded row whether it was answered."""
    ranks = (journal.rank_of(key) for key in keys)
    return (rank == ANSWERED_RANK for rank in ranks if rank is not None)


def is_open(journal: Journal, loader: Loader, sample: Sample, key: str | None = None) -> bool:
    """Return whether a sample must be asked: it has no row, or its video was missing and now exists.

    Args:
        journal: The rows.
        loader: Loader that finds the video.
        sample: The sample.
        key: Key of the row, if it is not the sample's own.
    """
    found = journal.rank_of(key or sample.key)
    return found is None or (found == MISSING_RANK and loader.find(sample) is not None)
