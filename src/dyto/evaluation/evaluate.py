"""A whole run: ask, judge, score, record."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dyto.benchmarks import Benchmark
from dyto.errors import JudgeError, unknown
from dyto.evaluation.files import dump_json, dump_lines, write_atomic
from dyto.evaluation.folders import RunFolders, read_json
from dyto.evaluation.journal import Journal
from dyto.evaluation.judge import DEFAULT_MODEL, Judge
from dyto.evaluation.judge_prompts import read_prompts
from dyto.evaluation.judging import Verdicts, judge_cases, kept_verdicts
from dyto.evaluation.paper import setting_of
from dyto.evaluation.rows import Row
from dyto.evaluation.runner import answered
from dyto.evaluation.scoring import cases, results
from dyto.evaluation.settings import Settings
from dyto.evaluation.verdicts import Estimate, estimate, exact_match, verdict_rank
from dyto.evaluation.workers import ask_all, nothing_open

JUDGES = ("auto", "openai", "offline", "none")
OFFLINE = "exact match after normalisation, offline"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judging:
    """The way to judge open-ended answers.

    Args:
        kind: "openai" for any OpenAI-compatible endpoint, "offline" for exact match, or "none"; "auto" uses an
            endpoint if OPENAI_API_KEY or OPENAI_BASE_URL is set, and is offline otherwise.
        model: Name of the judge's model.
        prompts: A file that replaces our prompts.
        concurrency: Number of simultaneous requests.
    """

    kind: str = "auto"
    model: str = DEFAULT_MODEL
    prompts: Path | None = None
    concurrency: int = 16

    def __post_init__(self) -> None:
        if self.kind not in JUDGES:
            raise unknown("judge", self.kind, JUDGES)

    def check(self, benchmark: Benchmark) -> None:
        """Check before the run that the judge can be asked."""
        if benchmark.kind != "choice" and self.resolved == "openai":
            Judge(self.model)
            read_prompts(self.prompts)

    @property
    def resolved(self) -> str:
        """Return the kind, with "auto" resolved."""
        if self.kind != "auto":
            return self.kind
        return "openai" if os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL") else "offline"


@dataclass(frozen=True)
class Hooks:
    """Callbacks for a user interface.

    Args:
        asking: Called with the number of recorded samples and of all samples.
        judging: Called with the number of new verdicts and of all new verdicts to come.
        spend: Called before the first request to a judge; False ends the run there.
    """

    asking: Callable[[int, int], None] = lambda done, total: None
    judging: Callable[[int, int], None] = lambda done, total: None
    spend: Callable[[Estimate, str], bool] = lambda estimate, judge: True


def evaluate(settings: Settings, judging: Judging | None = None, *, hooks: Hooks | None = None) -> dict[str, Any]:
    """Run a benchmark, or continue an earlier run of the same configuration.

    Args:
        settings: The benchmark and its configuration.
        judging: The way to judge open-ended answers.
        hooks: Callbacks for a user interface.

    Returns:
        The results, which are also in `results.json`. If shards are still missing, `complete` is False, nothing is
        judged, and the final file is not written.

    Raises:
        DytoError: The run failed; everything recorded so far is safe.
    """
    judging, hooks = judging or Judging(), hooks or Hooks()
    questions = settings.questions()
    settings.videos()  # report missing files before a model is loaded
    settings.check_cache()
    judging.check(settings.spec)
    folders = settings.run_folders()
    if not (folders.check(settings.config(questions), questions) and nothing_open(settings, questions)):
        ask_all(settings, questions, hooks.asking)
    selected = questions.chosen(settings.limit, settings.seed)
    with folders.journal() as journal:
        recorded = journal.refresh()
        known = journal.rows()
        settings.error_limit.check(lambda: answered(journal, [sample.key for sample in selected]))
    rows = [known[sample.key] for sample in questions.samples if sample.key in recorded]
    complete = all(sample.key in recorded for sample in selected)
    found = conclude(settings.spec, folders, rows, len(selected), None, "", complete=complete)
    if not complete:
        return found
    folders.finish(rows)
    verdicts, judge = judge_run(settings.spec, folders, rows, judging, hooks)
    if verdicts is None:
        return found
    return conclude(settings.spec, folders, rows, len(selected), verdicts, judge, complete=complete)


def conclude(
    benchmark: Benchmark,
    folders: RunFolders,
    rows: Sequence[Row],
    total: int,
    verdicts: Verdicts | None,
    judge: str,
    *,
    complete: bool,
) -> dict[str, Any]:
    """Score what is recorded and write `results.json`."""
    found = results(benchmark, rows, total, verdicts=verdicts, judge=judge)
    found |= {
        "config": folders.artifacts.name,
        "setting": setting_of(read_json(folders.artifacts / "config.json")),
        "complete": complete,
    }
    write_atomic(folders.artifacts / "results.json", dump_json(found))
    return found


def judge_run(
    benchmark: Benchmark, folders: RunFolders, rows: Sequence[Row], judging: Judging, hooks: Hooks
) -> tuple[Verdicts | None, str]:
    """Judge the answered rows of an open-ended benchmark; return the verdicts and the judge's name.

    Raises:
        JudgeError: The judge rejects our requests or fails for good; verdicts so far are kept.
        DatasetError: Another process is judging this run.
    """
    if benchmark.kind == "choice" or judging.resolved == "none":
        return None, ""
    to_judge = cases(benchmark, rows)
    if judging.resolved == "offline":
        name = OFFLINE
        verdicts: Verdicts = {(case.sample, case.aspect): exact_match(case) for case in to_judge}
    else:
        prompts, judge = read_prompts(judging.prompts), Judge(judging.model)
        name = judge.name
        with folders.alone("judging"), Journal(folders.verdict_cache, rank=verdict_rank) as cache:
            bill = estimate(to_judge, prompts, name, kept_verdicts(cache).keys())
            if bill.calls and not hooks.spend(bill, name):
                raise JudgeError(f"not judged: {bill}. The predictions are kept; judge them with the same command")
            verdicts = judge_cases(
                to_judge, judge, prompts, cache, concurrency=judging.concurrency, progress=hooks.judging
            )
    lines = [{"key": key, "aspect": aspect, "judge": name, **asdict(v)} for (key, aspect), v in verdicts.items()]
    write_atomic(folders.verdicts / "verdicts.jsonl", dump_lines(sorted(lines, key=lambda v: (v["key"], v["aspect"]))))
    return verdicts, name
