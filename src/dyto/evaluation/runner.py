"""The runner: every sample of a question file ends as exactly one recorded row.

Samples are grouped by clip. A clip is decoded, encoded and read by the language model once for all its
questions; with the saving `overlap` the next one is already being decoded meanwhile. Rows go to a journal as they
come, so that a run may be killed at any moment; clips are claimed, so that any number of processes may work in one
folder.
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
    """What one process has to do.

    Args:
        questions: The question file.
        folders: Where rows are recorded.
        loader: Where videos come from.
        max_new_tokens: Most tokens of an answer.
        scoring: Multiple choice by the "letter" that the model writes, or by the options' "likelihood".
        limit: Only the first so many questions of the file; None for all.
        shard: (i, n): only every n-th clip, from the i-th on, counted from 1.
        subtitles: Folder of `.srt` files, for a benchmark that has them.
        error_limit: How many questions may stay unanswered.
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
        """Whose questions they are."""
        return self.questions.benchmark

    def groups(self) -> list[Group]:
        """This shard's clips with their samples. A clip's number is its place in the whole file."""
        index, count = self.shard
        return clips(self.questions, self.limit)[index - 1 :: count]


def clips(questions: Questions, limit: int | None = None) -> list[Group]:
    """Clips with their samples: of all questions, or of the first so many. A clip's number is its place in the file."""
    numbers: dict[tuple[str, float | None, float | None], int] = {}
    for sample in questions.samples:
        numbers.setdefault(sample.clip, len(numbers))
    members: dict[int, list[Sample]] = {}
    for sample in questions.samples[:limit]:
        members.setdefault(numbers[sample.clip], []).append(sample)
    return sorted(members.items())


def run(task: Task, qa: VideoQA, *, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Ask everything that is not recorded yet, and wait for what other processes are asking.

    Args:
        task: What to do.
        qa: Model and strategy.
        progress: Called with the number of samples recorded and the number of all in this shard.

    Raises:
        DatasetError: The disk is full; what was recorded before is safe.
        ConfigError: A setting that cannot work, such as a budget below what the strategy needs.
        TooManyErrorsError: More questions stayed unanswered than are allowed.
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
                    raise  # so far nothing could meet this setting: it is said now, and not after days
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
    """For every row that is recorded, whether it was answered."""
    ranks = (journal.rank_of(key) for key in keys)
    return (rank == ANSWERED_RANK for rank in ranks if rank is not None)


def is_open(journal: Journal, loader: Loader, sample: Sample, key: str | None = None) -> bool:
    """Whether a sample has no row yet, or only one that says its video is missing, and now it is there.

    Args:
        journal: The rows.
        loader: Finds the video.
        sample: The sample.
        key: Of its row, where that is not the sample's own.
    """
    found = journal.rank_of(key or sample.key)
    return found is None or (found == MISSING_RANK and loader.find(sample) is not None)


def load_clip(loader: Loader, samples: Sequence[Sample]) -> Loaded | Unavailable:
    """Decode the clip of some samples, unless none of them can be asked."""
    usable = [sample for sample in samples if not sample.broken]
    return loader.load(usable[0]) if usable else Unavailable("bad_row", "nothing can be asked about it")
