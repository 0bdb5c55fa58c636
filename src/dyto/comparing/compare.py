"""A whole comparison: ask, score, test, write down."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dyto.comparing.asking import CellAsker
from dyto.comparing.cells import (
    BASELINE,
    SIMPLE_RIVALS,
    Cell,
    attention_layer,
    make_cells,
    parse_budgets,
    parse_strategies,
)
from dyto.comparing.guard import alarms, told, twins, unasked
from dyto.comparing.power import fewest_videos, least_p
from dyto.comparing.runner import Progress, Work, nothing_open, run
from dyto.comparing.statistics import ALPHA, Difference
from dyto.comparing.tally import (
    MARGIN,
    CellResult,
    comparisons,
    costs_of,
    crossed,
    difference_of,
    mean_of,
    opponents,
    standings,
    unanswered_of,
    use_of,
)
from dyto.errors import ConfigError, unknown
from dyto.evaluation.asking import SCORINGS
from dyto.evaluation.files import dump_json, write_atomic
from dyto.evaluation.folders import RunFolders, read_json
from dyto.evaluation.loading import Loader
from dyto.evaluation.manifest import loaded_config, run_manifest
from dyto.evaluation.questions import Questions
from dyto.evaluation.rows import Row
from dyto.evaluation.runner import clips
from dyto.evaluation.settings import Settings
from dyto.strategies.base import REFERENCE_PATCHES
from dyto.strategies.published import split_names

logger = logging.getLogger(__name__)

DEFAULT_BUDGETS = "1.6f,3.2f,6.4f,12.8f,25.6f"


@dataclass(frozen=True)
class Comparison:
    """What is compared, and on what.

    Args:
        settings: Benchmark, model, sampling and scoring, the same for all; its strategy is not looked at.
        out: Folder for everything that is written.
        strategies: Names between commas, as `find_strategy` takes them; "all" for all that take a budget.
            `uniform` is added where it is missing.
        budgets: Between commas: tokens ("230"), or whole frames ("6.4f").
        rotate: Ask every multiple choice question in every rotation of its options.
        blind: Also ask without any video.
        rivals: Names between commas of the simple strategies of which the best is the rival; None for
            `SIMPLE_RIVALS`, as far as they take part.
        by: Breakdowns by several groupings at once, with a plus between them: "length+regime".
        margin: By how much a strategy may be worse and still not be called inferior.
    """

    settings: Settings
    out: Path
    strategies: str = "all"
    budgets: str = DEFAULT_BUDGETS
    rotate: bool = False
    blind: bool = True
    rivals: str | None = None
    by: tuple[str, ...] = ()
    margin: float = MARGIN

    def __post_init__(self) -> None:
        kind, scoring = self.settings.spec.kind, self.settings.scoring
        if kind == "generative":
            raise ConfigError(
                f"{self.settings.spec.title} needs a judge, expected a benchmark with options or short answers: "
                "use dyto eval for each strategy"
            )
        if scoring not in SCORINGS:
            raise unknown("scoring", scoring, SCORINGS)
        if kind != "choice" and (self.rotate or scoring != "letter"):
            raise ConfigError(f"{self.settings.spec.title} has no options to rotate or to score by likelihood")
        if self.rotate and scoring == "likelihood":
            raise ConfigError("by likelihood options are not shown, so that there is nothing to rotate: leave one out")
        for name in [part for crossing in self.by for part in crossing.split("+")]:
            if name not in self.settings.spec.groupings:
                raise unknown("breakdown", name, self.settings.spec.groupings)
        if not 0 < self.margin < 1:
            raise ConfigError(f"margin is {100 * self.margin:g} points, expected more than 0 and less than 100")
        for name in self.rival_names:
            if self.rivals is not None and name not in self.names:
                raise unknown("rival", name, self.names)

    @property
    def names(self) -> list[str]:
        """The strategies, `uniform` among them."""
        return parse_strategies(self.strategies)

    @property
    def rival_names(self) -> list[str]:
        """Of the simple strategies whose best is the rival."""
        if self.rivals is None:
            return [name for name in SIMPLE_RIVALS if name in self.names]
        return split_names(self.rivals)

    @property
    def folders(self) -> RunFolders:
        """Where the comparison keeps what."""
        return RunFolders(self.out, self.out, self.out, self.out)

    def cells(self, num_patches: int) -> list[Cell]:
        """Every strategy at every budget."""
        return make_cells(self.names, parse_budgets(self.budgets, num_patches), blind=self.blind)

    def config(self, questions: Questions) -> dict[str, Any]:
        """What decides the rows besides strategies and budgets, which may be added to later."""
        return self.settings.common_config(questions) | {"rotate": self.rotate}


def compare(contest: Comparison, *, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Compare strategies, from where an earlier run into the same folder stopped.

    Args:
        contest: What to compare.
        progress: Called with the number of rows recorded, and of all.

    Returns:
        The results, which are also in `compare.json`.

    Raises:
        DytoError: What went wrong; everything recorded before is safe.
    """
    settings, folders = contest.settings, contest.folders
    questions = settings.questions()
    settings.videos()  # what is missing is said before a model is loaded
    contest.cells(REFERENCE_PATCHES)  # and what is unknown
    groups = clips(questions, settings.limit)
    done = _recorded_cells(contest, questions)
    work = Work(folders, groups, done or [], contest.rotate, settings.error_limit)
    same = settings.same_model_files(folders)
    if not (done and same) or not nothing_open(work, Loader(settings.spec, settings.videos(), (1, 1), {})):
        work = _ask(contest, questions, work, progress)
    keys = work.keys()
    with work.rows() as journal, work.costs() as costs:
        journal.refresh()
        costs.refresh()
        rows = [row for key, row in journal.rows().items() if key in keys]
        lines = list(costs.rows().values())
    rows.sort(key=lambda row: (row["place"], row["rotation"], row["strategy"], row["budget"] or 0))
    folders.finish(rows)
    found = results(contest, work.cells, rows, lines)
    write_atomic(folders.artifacts / "compare.json", dump_json(found))
    for line in found["attention"]:
        logger.warning("%s", line)
    return found


def _recorded_cells(contest: Comparison, questions: Questions) -> list[Cell] | None:
    """The cells, where an earlier run has noted how many patches a frame has; None before the first."""
    if not contest.folders.check(contest.config(questions), questions):
        return None
    noted = read_json(contest.folders.artifacts / "config.json")
    return contest.cells(int(noted["patches_per_frame"]))


def _ask(contest: Comparison, questions: Questions, work: Work, progress: Progress) -> Work:
    settings = contest.settings
    qa = settings.load(settings.loading.device)
    work = replace(work, cells=contest.cells(qa.model.num_patches))
    prompt = settings.template(qa)
    config = contest.config(questions) | loaded_config(qa, prompt.text) | {"patches_per_frame": qa.model.num_patches}
    contest.folders.settle(config, run_manifest(questions, qa, config))
    panel = CellAsker(
        qa,
        settings.spec,
        prompt,
        max_new_tokens=settings.max_new_tokens,
        scoring=settings.scoring,
        subtitles=settings.subtitles(),
        attention_layer=attention_layer(work.cells),
    )
    with contest.folders.alone("asking", seconds=10.0, shared=True):
        run(work, panel, settings.loader(qa), progress)
    return work


def results(
    contest: Comparison, cells: Sequence[Cell], rows: Iterable[Row], costs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """All figures of a comparison, JSON-ready, from what was recorded.

    Args:
        contest: What was compared.
        cells: Every strategy at every budget.
        rows: Everything recorded.
        costs: What cells cost on each clip.
    """
    spec = contest.settings.spec
    found, questions = standings(cells, rows, spec.kind)
    questions = crossed(questions, [name for name in contest.by if "+" in name])
    tests = comparisons(found, questions, contest.rival_names, contest.margin)
    asked = {key for standing in found for key in standing.rows}
    config = read_json(contest.folders.artifacts / "config.json")

    def line(standing: CellResult) -> dict[str, Any]:
        cell = standing.cell
        unanswered, why = unanswered_of(standing)
        facing = opponents(standing, found, contest.rival_names)
        by_group = {
            grouping: {name: _group(standing, facing, questions.of_group(grouping, name)) for name in names}
            for grouping, names in questions.breakdowns().items()
        }
        return {
            "strategy": cell.strategy,
            "budget": cell.budget,
            "budget_frames": cell.frames,
            **use_of(standing),
            "accuracy": mean_of(standing, questions),
            "unanswered": unanswered,
            "why_unanswered": why,
            "vs": tests.get(cell.key, {}),
            **costs_of(cell, costs),
            "groups": by_group,
        }

    def _group(standing: CellResult, facing: Mapping[str, CellResult], keys: Sequence[str]) -> dict[str, Any]:
        differences = {role: difference_of(standing, other, questions, keys) for role, other in facing.items()}
        return mean_of(standing, questions, keys) | {
            "vs": {role: _untested(d, facing[role]) for role, d in differences.items() if d}
        }

    raised = alarms(found)
    return {
        "benchmark": spec.name,
        "title": spec.title,
        "model": config["model"],
        "weights": config["weights"],
        "scoring": "exact match after normalisation" if spec.kind != "choice" else contest.settings.scoring,
        "rotated": contest.rotate,
        "questions": len(questions.videos),
        "videos": len(set(questions.videos.values())),
        "left_out": len(asked) - len(questions.videos),
        "rivals": contest.rival_names,
        "patches_per_frame": config["patches_per_frame"],
        "margin": contest.margin,
        "cells": [line(standing) for standing in found],
        "attention": told(raised),
        "alarms": [asdict(alarm) for alarm in raised],
        "notes": [
            *power_notes(tests, len(set(questions.videos.values())), contest.margin),
            *notes(contest, found, len(asked) - len(questions.videos), costs),
        ],
    }


def _untested(difference: Difference, other: CellResult) -> dict[str, Any]:
    """A difference within a group: with its interval, and without a p-value that no correction has seen."""
    values = asdict(difference)
    del values["p"]
    return {"against": other.cell.strategy} | values


def power_notes(tests: Mapping[str, Mapping[str, Mapping[str, Any]]], videos: int, margin: float = MARGIN) -> list[str]:
    """What so many videos can show at all, and what they have shown.

    Args:
        tests: As `comparisons` gives them.
        videos: How many videos there are.
        margin: As `Comparison` has it.
    """
    lines = [line for both in tests.values() for line in both.values()]
    if not lines:
        return []
    count = int(lines[0]["tests"])
    told = []
    if least_p(videos, count) >= ALPHA:
        told.append(
            f"With {videos} videos and {count} tests no corrected p can be below {ALPHA}, however large the lead: the "
            f"least possible is {least_p(videos, count):.3f}. It takes at least {fewest_videos(count)} videos, or "
            "fewer tests: name fewer strategies and budgets."
        )
    counts = Counter(line["outcome"] for line in lines)
    outcomes = ", ".join(f"{counts[name]} {name}" for name in ("ahead", "behind", "not inferior", "open"))
    told.append(
        f"Outcomes of {len(lines)} differences: {outcomes}. Ahead and behind: corrected p below {ALPHA}; not inferior: "
        f"the interval ends above -{100 * margin:g} points; open: anything else. How many videos would tell two "
        "strategies apart stands in the table of what it would take; --plan 2 plans a run for 2 points."
    )
    return told


def notes(
    contest: Comparison, found: Sequence[CellResult], left_out: int, costs: Iterable[Mapping[str, Any]]
) -> list[str]:
    """What a reader of the figures must know, besides the alarms."""
    lines = []
    if not {BASELINE, "all"} & {name.strip() for name in contest.strategies.split(",")}:
        lines.append("uniform was added: no comparison goes without it.")
    if left_out:
        lines.append(f"{left_out} questions are left out, which no strategy could answer (see predictions.jsonl).")
    if not contest.blind:
        lines.append("Asked without the control: that answers depend on the video was not checked.")
    lines += [
        f"The control has no answer at all ({why}): that answers depend on the video was not checked."
        for why in unasked(found)
    ]
    cells = {standing.cell.key for standing in found}
    runs = {line["run"] for line in costs if line["cell"] in cells}
    if len(runs) > 1:
        lines.append(f"Seconds come from {len(runs)} runs; what else the machine did may have differed between them.")
    return lines + [f"{twin}." for twin in twins(found)]


def __getattr__(name: str) -> Any:
    if name == "Contest":
        warnings.warn("Contest is called Comparison now", DeprecationWarning, stacklevel=2)
        return Comparison
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
