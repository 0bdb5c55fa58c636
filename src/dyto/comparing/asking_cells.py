"""One video for every cell: rows for its questions, and their costs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from dyto.benchmarks import Benchmark, Sample
from dyto.comparing.blind import Blind
from dyto.comparing.cells import Cell
from dyto.comparing.memory import PeakMemory
from dyto.errors import ConfigError
from dyto.evaluation.asking import Asker
from dyto.evaluation.loading import Loaded, Unavailable
from dyto.evaluation.rows import Row, unanswered
from dyto.evaluation.runlog import LogLines
from dyto.features import VisualTokens
from dyto.models.generation.sharing import SharedVision
from dyto.pipeline import VideoQA
from dyto.prompts import Prompt
from dyto.strategies import Strategy
from dyto.video import Frames

COMPARED: dict[str, Any] = {"sample": str, "rotation": int, "strategy": str, "budget": (int, type(None))}
"""Keys of a comparison's row in addition to those of a run, and their types."""

STAGES = ("decode", "encode", "select", "merge", "prefill", "generate")
Variant = tuple[Sample, int, Sample]
"""A sample, the number of a rotation, and the sample as it is asked."""


@dataclass
class Cost:
    """The cost of a cell on one video.

    Attributes:
        seconds: Seconds by stage, `STAGES`, over all questions.
        memory: Peak MiB by stage.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    memory: dict[str, float] = field(default_factory=dict)


class CellAsker:
    """Asks one cell after another the questions about a video.

    Args:
        qa: The loaded model.
        benchmark: The benchmark of the questions.
        prompt: Their template.
        max_new_tokens: Largest number of tokens per answer.
        scoring: "letter" or "likelihood".
        subtitles: Folder of `.srt` files, for questions with subtitles.
        attention_layer: The layer of the tower whose attention some strategy needs.

    Attributes:
        log: The log for errors and tracebacks.
    """

    def __init__(
        self,
        qa: VideoQA,
        benchmark: Benchmark,
        prompt: Prompt,
        *,
        max_new_tokens: int,
        scoring: str,
        subtitles: Path | None = None,
        attention_layer: int | None = None,
    ) -> None:
        self.vision = SharedVision(qa.model, attention_layer)
        self._benchmark, self._prompt = benchmark, prompt
        self._max_new_tokens, self._scoring, self._subtitles = max_new_tokens, scoring, subtitles
        self.log = LogLines()
        self._blind = Blind(qa.model, benchmark, prompt, max_new_tokens, scoring)
        self._warm = False
        self._tower_memory: dict[str, float] = {}

    def open(self, video: Loaded | Unavailable) -> None:
        """Encode a video's frames for all cells that follow.

        Raises:
            ModelError: The tower cannot encode them.
        """
        if isinstance(video, Unavailable):
            return
        frames = video.content
        assert isinstance(frames, Frames)
        for array in (frames.data, frames.indices, frames.seconds):
            array.setflags(write=False)  # shared by all cells; none may change them
        if not self._warm:
            self.vision.warm_up(frames)
            self._warm = True
        memory = PeakMemory(self.vision.model.device)
        memory.begin("encode")
        self.vision.open(frames)
        memory.begin(None)
        self._tower_memory = memory.stages

    def rows(self, cell: Cell, variants: Sequence[Variant], video: Loaded | Unavailable) -> tuple[list[Row], Cost]:
        """Return one row for every variant of every sample.

        Args:
            cell: The strategy at its budget, or the control.
            variants: The questions to ask.
            video: The opened video, or the reason why there is none.
        """
        cost = Cost()
        if isinstance(video, Unavailable):
            rows = [unavailable(self._benchmark, asked, video.status, video.reason) for _, _, asked in variants]
        elif cell.call is None:
            start = time.perf_counter()
            rows = self._blind.rows([asked for _, _, asked in variants])
            cost.seconds["generate"] = time.perf_counter() - start
        else:
            rows = self._ask(cell.call, [asked for _, _, asked in variants], video, cost)
        return list(labelled(cell, variants, rows)), cost

    def _ask(self, strategy: Strategy, asked: Sequence[Sample], video: Loaded, cost: Cost) -> list[Row]:
        template: dict[str, Any] = {"choice_prompt" if self._prompt.takes_choices else "prompt": self._prompt}
        qa = VideoQA(self.vision.model, strategy, **template)
        memory = PeakMemory(qa.model.device)
        qa.on_stage = lambda stage: memory.begin(stage) if stage in ("strategy", "prefill", "generate") else None
        cost.seconds["decode"] = video.decode_seconds
        rows: list[Row] = []
        for question, members in _by_question(asked, qa.uses_question):
            if all(sample.broken for sample in members):
                rows += [unanswered(self._benchmark, sample, "bad_row", sample.broken) for sample in members]
                continue
            try:
                tokens = qa.encode(video.content, question=question)
            except Exception as err:  # noqa: BLE001 - of a strategy at a budget: the others go on
                rows += self._asker(qa).failed(members, err)
                self.vision.take_charge()
                continue
            for stage, seconds in tokens.stages.items():
                cost.seconds[stage] = cost.seconds.get(stage, 0.0) + seconds
            cost.seconds["encode"] += self.vision.take_charge()
            rows += [row | _facts(tokens) for row in self._put(qa, members, tokens, cost)]
        memory.begin(None)
        cost.memory = self._tower_memory | memory.stages
        return rows

    def _put(self, qa: VideoQA, asked: Sequence[Sample], tokens: VisualTokens, cost: Cost) -> list[Row]:
        """Ask about tokens, and measure the time."""
        seconds: dict[str, float] = {}
        start = time.perf_counter()
        asker = self._asker(qa)
        try:
            rows = asker.rows(asked, Loaded(tokens), seconds)
        except ConfigError as err:
            rows = asker.failed(asked, err)
        prefill = seconds.get("prefill", 0.0)
        cost.seconds["prefill"] += prefill
        cost.seconds["generate"] += time.perf_counter() - start - prefill
        return rows

    def _asker(self, qa: VideoQA) -> Asker:
        given = self._benchmark, None, self._max_new_tokens, self._scoring, self._subtitles, self.log
        return Asker(qa, *given)


def unavailable(benchmark: Benchmark, asked: Sample, status: str, reason: str) -> Row:
    """Return the row of a sample whose video cannot be used; a broken sample keeps its own reason."""
    return unanswered(benchmark, asked, *(("bad_row", asked.broken) if asked.broken else (status, reason)))


def _by_question(asked: Sequence[Sample], uses_question: bool) -> Iterable[tuple[str | None, list[Sample]]]:
    """Group variants that share an encoding: all of them, or the rotations of one question."""
    if not uses_question:
        return [(None, list(asked))]
    groups: dict[int, list[Sample]] = {}
    for sample in asked:
        groups.setdefault(sample.place, []).append(sample)
    return [(members[0].questions[0], members) for members in groups.values()]


def _facts(tokens: VisualTokens) -> dict[str, Any]:
    """Return what the guard needs to know about tokens."""
    digest = sha256(tokens.data.detach().float().cpu().numpy().tobytes()).hexdigest()[:16]
    return {
        "visual_tokens": len(tokens),
        "frames": len(tokens.keyframes),
        "uncompressed_tokens": tokens.uncompressed,
        "tokens_sha256": digest,
    }


def labelled(cell: Cell, variants: Sequence[Variant], rows: Sequence[Row]) -> Iterable[Row]:
    """Add to rows their cell, the sample's key, the number of the rotation, and a key of their own."""
    origin = {asked.key: (sample.key, number) for sample, number, asked in variants}
    for row in rows:
        sample, number = origin[row["key"]]
        yield row | {
            "key": row_key(cell, sample, number),
            "sample": sample,
            "rotation": number,
            "strategy": cell.strategy,
            "budget": cell.budget,
        }


def row_key(cell: Cell, sample: str, number: int) -> str:
    """Return the key of a cell's row for a sample in a rotation."""
    return f"{sample}-{number}-{cell.key}"
