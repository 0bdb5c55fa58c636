"""The runner: every sample of a question file becomes exactly one recorded row.

Samples are grouped by clip. A clip is decoded, encoded and read by the language model once for all its
questions; with the saving `overlap` the next clip is decoded in the meantime. Rows are recorded in a journal
immediately, so a run may be killed at any moment; clips are claimed, so any number of processes may share a folder.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from dyto.benchmarks import Benchmark, Sample
from dyto.errors import ConfigError
from dyto.evaluation.asking import Asker
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.journal import Journal, pieces
from dyto.evaluation.loading import Loaded, Loader, Unavailable
from dyto.evaluation.outcome import ErrorLimit
from dyto.evaluation.questions import Questions
from dyto.evaluation.rows import ANSWERED, STATUSES, Row
from dyto.evaluation.runlog import RunLog
from dyto.pipeline import VideoQA

IDLE_SECONDS = 0.2
ANSWERED_RANK, MISSING_RANK = STATUSES.index(ANSWERED), STATUSES.index("missing_video")
Group: TypeAlias = tuple[int, list[Sample]]


@dataclass(frozen=True)
class Task:
    """The work of one process.

    Args:
        questions: The question file.
        folders: Folders for the recorded rows.
        loader: Loader of the videos.
        max_new_tokens: Largest number of tokens in an answer.
        scoring: Score multiple choice by the "letter" that the model writes, or by the options' "likelihood".
        limit: Number of questions to ask, from the first of the file; None for all.
        shard: (i, n): only every n-th clip, starting with the i-th, counted from 1.
        subtitles: Folder of `.srt` files, for a benchmark with subtitles.
        error_limit: Limit on unanswered questions.
    """

    questions: Questions
    folders: RunFolders
    loader: Loader
    max_new_tokens: int = 128
    scoring: str = "letter"
    limit: int | None = None
    shard: tuple[int, int] = (1, 1)
    subtitles: Path | None = None
    error_limit: ErrorLimit = field(default_factory=ErrorLimit)

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark of the questions."""
        return self.questions.benchmark

    def groups(self) -> list[Group]:
        """Return this shard's clips with their samples, numbered by their place in the whole file."""
        index, count = self.shard
        return clips(self.questions, self.limit)[index - 1 :: count]


def clips(questions: Questions, limit: int | None = None) -> list[Group]:
    """Return the clips of all or of the first `limit` questions with their samples, numbered by place in the file."""
    numbers: dict[tuple[str, float | None, float | None], int] = {}
    for sample in questions.samples:
        numbers.setdefault(sample.clip, len(numbers))
    members: dict[int, list[Sample]] = {}
    for sample in questions.samples[:limit]:
        members.setdefault(numbers[sample.clip], []).append(sample)
    return sorted(members.items())


def run(task: Task, qa: VideoQA, *, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Ask everything that is not recorded yet, and wait for questions that other processes are asking.

    Args:
        task: The work to do.
        qa: Model and strategy.
        progress: Called with the number of recorded samples and of all samples in this shard.

    Raises:
        DatasetError: The disk is full; rows recorded so far are safe.
        ConfigError: A setting cannot work, such as a budget below the strategy's minimum.
        TooManyErrorsError: More questions are unanswered than allowed.
    """
    groups = dict(task.groups())
    keys = {sample.key for members in groups.values() for sample in members}
    ahead = 1 if qa.savings.on(qa.model.device.type).overlap else 0
    with (
        task.folders.journal() as journal,
        task.folders.claims() as claims,
        RunLog(task.folders.logs) as log,
        ThreadPoolExecutor(1) as decoder,
    ):
        asker = Asker(qa, task.benchmark, task.loader.cache, task.max_new_tokens, task.scoring, task.subtitles, log)

        def still_open(samples: Sequence[Sample]) -> list[Sample]:
            return [sample for sample in samples if is_open(journal, task.loader, sample)]

        def has_open(index: int) -> bool:
            journal.refresh()
            return bool(still_open(groups[index]))

        def rows_of(samples: Sequence[Sample], video: Future[Loaded | Unavailable]) -> list[Row]:
            try:
                with log.clip(samples[0].video) as seconds:
                    return asker.rows(samples, video.result(), seconds)
            except ConfigError as err:
                if not any(answered(journal, keys)):
                    raise  # nothing could meet this setting so far: report it now, not after days
                return asker.failed(samples, err)

        def finish(index: int, video: Future[Loaded | Unavailable]) -> None:
            rows = rows_of(groups[index], video)
            wanted = {sample.key for sample in still_open(groups[index])}
            journal.append(row for row in rows if row["key"] in wanted)
            claims.release(index)
            report()

        def report() -> None:
            progress(len(keys & journal.refresh()), len(keys))
            task.error_limit.check(lambda: answered(journal, keys))

        report()
        coming: deque[tuple[int, Future[Loaded | Unavailable]]] = deque()
        for index in pieces(claims, groups, has_open):
            if index is not None:
                coming.append((index, decoder.submit(load_clip, task.loader, groups[index])))
            if coming and (index is None or len(coming) > ahead):
                finish(*coming.popleft())
            elif index is None:
                time.sleep(IDLE_SECONDS)
        while coming:
            finish(*coming.popleft())
        report()


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


def load_clip(loader: Loader, samples: Sequence[Sample]) -> Loaded | Unavailable:
    """Decode the clip of some samples, unless none of them can be asked."""
    usable = [sample for sample in samples if not sample.broken]
    return loader.load(usable[0]) if usable else Unavailable("bad_row", "no question about it can be asked")
