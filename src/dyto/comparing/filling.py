"""Comparisons of several models on several benchmarks within some hours, continuing an earlier run."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dyto.benchmarks import BENCHMARKS
from dyto.comparing.compare import compare
from dyto.comparing.comparison import Comparison
from dyto.comparing.submitted import add_submission
from dyto.errors import ConfigError, DytoError, unknown
from dyto.evaluation.settings import Settings
from dyto.models.loading.options import Loading

USUAL_BENCHMARKS = "nextqa,videomme,mvbench"
MODELS = "llava-next-vicuna-7b,llava-onevision-7b,qwen2.5-vl-7b"
ROUNDS = (100, 400, 1600, None)
"""Questions of each benchmark in each round; None for all. Every pair finishes a round before the next begins."""
SEED = 0
"""Of the sample that a round asks: spread over the videos, and each holds the one before."""

logger = logging.getLogger(__name__)


class TimeIsUp(Exception):
    """Ends a comparison between two rows; recorded rows are kept."""


@dataclass(frozen=True)
class Filling:
    """The table to fill.

    Args:
        work: Folder of the comparisons, one below it for each benchmark and model.
        to: Folder of the submissions.
        benchmarks: Names of benchmarks.
        models: Names of models.
        strategies: As in `Comparison`.
        budgets: Likewise.
        settings: Further arguments of `Settings`, the same for all.
        rounds: Questions of each round, the last one None for all.
    """

    work: Path
    to: Path
    benchmarks: Sequence[str]
    models: Sequence[str]
    strategies: str
    budgets: str
    settings: Settings
    rounds: Sequence[int | None] = ROUNDS

    def __post_init__(self) -> None:
        if not self.benchmarks or not self.models:
            raise ConfigError("no benchmark or no model named, expected comma-separated names")
        for name in self.benchmarks:
            if name not in BENCHMARKS:
                raise unknown("benchmark", name, BENCHMARKS)

    def comparison(self, benchmark: str, model: str, limit: int | None) -> Comparison:
        """Return the comparison of one model on one benchmark."""
        loading = replace(self.settings.loading, model=model)
        settings = replace(self.settings, benchmark=benchmark, loading=loading, limit=limit, seed=SEED)
        folder = self.work / benchmark / model.rstrip("/").rpartition("/")[2]
        return Comparison(settings, folder, self.strategies, self.budgets)


def fill(
    filling: Filling,
    hours: float,
    *,
    told: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Path]:
    """Compare until everything is asked or the time is over; running again continues.

    A pair that fails (no videos, a model that cannot be loaded) is reported and skipped; the others continue.

    Args:
        filling: The table to fill.
        hours: Time limit.
        told: Called with a line when a pair begins, ends or fails.
        clock: Seconds.

    Returns:
        Folders of the written submissions, each after its last complete round.
    """
    end = clock() + 3600 * hours
    written: dict[tuple[str, str], Path] = {}
    failed: set[tuple[str, str]] = set()

    def progress(done: int, total: int) -> None:
        if clock() > end and done < total:
            raise TimeIsUp

    for limit in filling.rounds:
        for benchmark in filling.benchmarks:
            for model in filling.models:
                if (benchmark, model) in failed:
                    continue
                name = f"{benchmark}, {model}, {'all' if limit is None else limit} questions"
                comparison = filling.comparison(benchmark, model, limit)
                try:
                    found = compare(comparison, progress=progress)
                    if found["questions"]:
                        written[benchmark, model] = add_submission(comparison.out, filling.to)
                    told(f"{name}: {found['questions']} questions about {found['videos']} videos")
                except TimeIsUp:
                    told(f"{name}: the time is over; run the same command again to continue")
                    return list(written.values())
                except DytoError as err:
                    logger.warning("%s: %s", name, err)
                    told(f"{name}: skipped: {err}")
                    failed.add((benchmark, model))
                gc.collect()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
    return list(written.values())


def usual_settings(gt_dir: Path, data_dir: Path, num_frames: int, device: str | None, dtype: str | None) -> Settings:
    """Return what all comparisons share: question files, videos, frames, and where models run."""
    return Settings(
        USUAL_BENCHMARKS.split(",")[0],
        gt_dir=gt_dir,
        data_dir=data_dir,
        loading=Loading(device=device, dtype=dtype),
        sampling={"num_frames": num_frames},
    )
