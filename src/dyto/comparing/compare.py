"""A whole comparison: ask, score, test, and write the results."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dyto.comparing.cells import (
    BASELINE,
    Cell,
)
from dyto.comparing.comparison import Comparison
from dyto.comparing.guard import alarms, told, twins, unasked
from dyto.comparing.power import fewest_videos, least_p
from dyto.comparing.runner import ComparisonRun, RemainingWork, nothing_open, recorded_cells
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
from dyto.evaluation.files import dump_json, write_atomic
from dyto.evaluation.folders import read_json
from dyto.evaluation.rows import Row
from dyto.evaluation.runner import clips
from dyto.evaluation.workers import Progress
from dyto.strategies.base import REFERENCE_PATCHES

logger = logging.getLogger(__name__)


def compare(contest: Comparison, *, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Compare strategies, continuing an earlier run into the same folder.

    Args:
        contest: The comparison to run.
        progress: Called with the number of rows recorded, and of all.

    Returns:
        The results, which are also in `compare.json`.

    Raises:
        DytoError: The run failed; everything recorded before is safe.
    """
    settings, folders = contest.settings, contest.folders
    questions = settings.questions()
    settings.videos()  # report what is missing before a model is loaded
    contest.cells(REFERENCE_PATCHES)  # and what is unknown
    groups = clips(questions, settings.limit, seed=settings.seed)
    done = recorded_cells(contest, questions)
    work = RemainingWork(folders, groups, done or [], contest.rotate, settings.error_limit)
    same = settings.same_model_files(folders)
    if not (done and same) or not nothing_open(work, settings.finder()):
        work = ComparisonRun(contest, questions, work, progress).compare()
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


def results(
    contest: Comparison, cells: Sequence[Cell], rows: Iterable[Row], costs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Compute all figures of a comparison from its records, JSON-ready.

    Args:
        contest: The comparison.
        cells: Every strategy at every budget.
        rows: Everything recorded.
        costs: Costs of cells on each clip.
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
    """Return a difference within a group: with its interval, but without an uncorrected p-value."""
    values = asdict(difference)
    del values["p"]
    return {"against": other.cell.strategy} | values


def power_notes(tests: Mapping[str, Mapping[str, Mapping[str, Any]]], videos: int, margin: float = MARGIN) -> list[str]:
    """Say what this number of videos can show at all, and what it has shown.

    Args:
        tests: Results of `comparisons`.
        videos: Number of videos.
        margin: As in `Comparison`.
    """
    lines = [line for both in tests.values() for line in both.values()]
    if not lines:
        return []
    count = int(lines[0]["tests"])
    told = []
    if least_p(videos, count) >= ALPHA:
        told.append(
            f"With {videos} videos and {count} tests, no corrected p can be below {ALPHA}, however large the lead: the "
            f"smallest possible is {least_p(videos, count):.3f}. Use at least {fewest_videos(count)} videos, or "
            "fewer tests: name fewer strategies and budgets."
        )
    counts = Counter(line["outcome"] for line in lines)
    outcomes = ", ".join(f"{counts[name]} {name}" for name in ("ahead", "behind", "not inferior", "open"))
    told.append(
        f"Outcomes of {len(lines)} differences: {outcomes}. Ahead and behind: corrected p below {ALPHA}; not inferior: "
        f"the interval lies above -{100 * margin:g} points; open: anything else. The table of outcomes says how many "
        "videos would tell two strategies apart; --plan 2 plans a run for 2 points."
    )
    return told


def notes(
    contest: Comparison, found: Sequence[CellResult], left_out: int, costs: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Return what a reader of the figures must know, besides the alarms."""
    lines = []
    if not {BASELINE, "all"} & {name.strip() for name in contest.strategies.split(",")}:
        lines.append("uniform was added: every comparison includes it.")
    if left_out:
        lines.append(
            f"{left_out} questions are left out because no strategy could answer them (see predictions.jsonl)."
        )
    if not contest.blind:
        lines.append("Asked without the control: nothing checks that answers depend on the video.")
    lines += [
        f"The control has no answer at all ({why}): nothing checks that answers depend on the video."
        for why in unasked(found)
    ]
    cells = {standing.cell.key for standing in found}
    runs = {line["run"] for line in costs if line["cell"] in cells}
    if len(runs) > 1:
        lines.append(f"Seconds come from {len(runs)} runs; the machine may have been busier in some of them.")
    return lines + [f"{twin}." for twin in twins(found)]


def __getattr__(name: str) -> Any:
    if name == "Contest":
        warnings.warn("Contest was renamed: use Comparison", DeprecationWarning, stacklevel=2)
        return Comparison
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
