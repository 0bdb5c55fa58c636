"""What is done with each clip. Answering its questions is one task; a command with another one passes its own.

The engine hands clips to workers, records their rows and continues after a stop; it knows nothing about a task except
what stands here. A task is sent to other machines, so `make` must be a function that they can import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from dyto.benchmarks import Sample
from dyto.evaluation.asking import Asker
from dyto.evaluation.cache import TokenCache
from dyto.evaluation.loading import Loaded, Unavailable
from dyto.evaluation.rows import Row
from dyto.evaluation.runlog import LogLines

if TYPE_CHECKING:
    from dyto.evaluation.settings import Settings
    from dyto.pipeline import VideoQA


class RowsOfClip(Protocol):
    """Makes the rows of a clip."""

    def rows(self, samples: Sequence[Sample], video: Loaded | Unavailable, seconds: dict[str, float]) -> list[Row]:
        """Return one row for every sample of a clip, which is loaded; see `Asker.rows`."""


MakeTask: TypeAlias = "Callable[[Settings, VideoQA, TokenCache | None, LogLines], RowsOfClip]"


@dataclass(frozen=True)
class Task:
    """A task.

    Args:
        name: Its name. Rows of another task are never continued.
        make: Makes the object that does the task in one worker.
        columns: The fields of a row that `dyto batch` writes out.
    """

    name: str
    make: MakeTask
    columns: tuple[str, ...]


def asker_of(settings: Settings, qa: VideoQA, cache: TokenCache | None, log: LogLines) -> RowsOfClip:
    """Return the object that answers the questions about a clip."""
    given = qa, settings.spec, cache, settings.max_new_tokens, settings.scoring
    return Asker(*given, settings.subtitles(), log)


STATED = ("format", "status", "reason")
"""Columns of every task; `machine` follows if there are several kinds."""

ANSWER = Task(
    "answer", asker_of, (*STATED, "pred", "choice", "visual_tokens", "keyframe_seconds", "warnings", "machine")
)
