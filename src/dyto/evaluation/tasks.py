"""What is done with each clip. Answering its questions is one task; a command with another one passes its own.

The engine hands clips to workers, records their rows and continues after a stop; it knows nothing about a task except
what stands here. A task is sent to other machines, so `make` must be a name that they can import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from dyto.benchmarks import Benchmark, Sample
from dyto.evaluation.asking import Asker
from dyto.evaluation.cache import TokenCache
from dyto.evaluation.loading import Loaded, Unavailable
from dyto.evaluation.rows import Row
from dyto.evaluation.runlog import LogLines
from dyto.pipeline import VideoQA


class RowsOfClip(Protocol):
    """Makes the rows of a clip."""

    def rows(self, samples: Sequence[Sample], video: Loaded | Unavailable, seconds: dict[str, float]) -> list[Row]:
        """Return one row for every sample of a clip, which is loaded; see `Asker.rows`."""


MakeTask: TypeAlias = Callable[
    [VideoQA, Benchmark, TokenCache | None, int, str, Path | None, LogLines | None], RowsOfClip
]
"""Makes a task in a worker; the arguments are those of `Asker`."""


@dataclass(frozen=True)
class Task:
    """A task.

    Args:
        name: Its name. Rows of another task are never continued.
        make: Makes the object that does the task in a worker, from the arguments of `Asker`.
        columns: The fields of a row that `dyto batch` writes out.
    """

    name: str
    make: MakeTask
    columns: tuple[str, ...]


STATED = ("format", "status", "reason")
"""Columns of every task; `machine` follows if there are several kinds."""

ANSWER = Task("answer", Asker, (*STATED, "pred", "choice", "visual_tokens", "keyframe_seconds", "warnings", "machine"))
