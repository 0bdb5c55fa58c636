"""From rows to figures: accuracy of every cell, paired differences at the same budget, seconds, memory, tokens."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dyto.comparing.asking_cells import STAGES
from dyto.comparing.cells import BASELINE, Cell
from dyto.comparing.power import Variation, videos_to_tell
from dyto.comparing.statistics import ALPHA, Difference, holm, paired_difference
from dyto.evaluation.intervals import clustered_mean
from dyto.evaluation.rows import ANSWERED, Row
from dyto.evaluation.scoring import is_right as is_right_choice
from dyto.evaluation.verdicts import Case, exact_match
from dyto.system.order import natural

MARGIN = 0.01
"""By how much a strategy may be worse without being inferior: one point."""

Scores = dict[str, int]
"""Score of every question, in units."""


@dataclass
class CellResult:
    """One cell's rows and scores.

    Attributes:
        cell: The cell.
        rows: Its rows, by question.
        scores: Its scores over the questions that count; empty if it answered none of them.
    """

    cell: Cell
    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    scores: Scores = field(default_factory=dict)

    @property
    def over_budget(self) -> bool:
        """Whether it exceeded its budget on any video."""
        budget = self.cell.budget
        return budget is not None and any(row.get("visual_tokens", 0) > budget for row in self.all_rows())

    def all_rows(self) -> Iterable[Row]:
        """Return all rows, in the order of the questions."""
        return (row for rows in self.rows.values() for row in rows)


@dataclass(frozen=True)
class AskedQuestions:
    """The questions that count: those that at least one strategy answered. Every cell is scored over all of them.

    Attributes:
        videos: The video of each question.
        groups: Its group in each breakdown.
        unit: Number of units in one right answer.
    """

    videos: Mapping[str, str]
    groups: Mapping[str, Mapping[str, str]]
    unit: int

    def of_group(self, grouping: str, name: str) -> list[str]:
        """Return the questions in one group of a breakdown."""
        return [key for key, groups in self.groups.items() if groups.get(grouping) == name]

    def breakdowns(self) -> dict[str, list[str]]:
        """Return the groups of every breakdown, in the order of the numbers in their names."""
        found: dict[str, set[str]] = defaultdict(set)
        for groups in self.groups.values():
            for grouping, name in groups.items():
                found[grouping].add(name)
        return {grouping: sorted(names, key=natural) for grouping, names in found.items()}


def crossed(questions: AskedQuestions, wanted: Iterable[str]) -> AskedQuestions:
    """Return the same with groups by several groupings at once.

    Args:
        questions: The questions.
        wanted: Names of groupings with a plus between them, such as "length+regime".
    """
    groups = {key: dict(own) for key, own in questions.groups.items()}
    for name in wanted:
        for own in groups.values():
            own[name] = ", ".join(own.get(part, "none") for part in name.split("+"))
    return replace(questions, groups=groups)


def standings(cells: Sequence[Cell], rows: Iterable[Row], kind: str) -> tuple[list[CellResult], AskedQuestions]:
    """Sort rows by cell and question, and score them.

    The score of a question is the share of its right rotations; an unanswered one counts as wrong, unless no
    strategy could answer it (its video is missing or broken), when it counts for none.

    Args:
        cells: The cells to compare.
        rows: Everything recorded.
        kind: Kind of the benchmark, "choice" or "open".
    """
    by_key = {cell.key: CellResult(cell) for cell in cells}
    for row in sorted(rows, key=lambda row: (row["place"], row["rotation"])):
        standing = by_key.get(row["key"].split("-", 3)[3])
        if standing is not None:
            standing.rows[row["sample"]].append(row)
    found = list(by_key.values())
    videos, groups, sizes = {}, {}, set()
    for standing in found:
        for key, asked in standing.rows.items():
            if standing.cell.call is not None and any(row["status"] == ANSWERED for row in asked):
                videos[key], groups[key] = asked[0]["video_name"], asked[0]["groups"]
                sizes.add(len(asked))
    unit = math.lcm(*sizes) if sizes else 1
    counted = sorted(videos)
    for standing in found:
        if any(row["status"] == ANSWERED for key in counted for row in standing.rows.get(key, [])):
            standing.scores = {key: _score(standing.rows.get(key, []), kind, unit) for key in counted}
    return found, AskedQuestions({key: videos[key] for key in counted}, groups, unit)


def _score(asked: Sequence[Row], kind: str, unit: int) -> int:
    right = sum(is_right(row, kind) for row in asked)
    return right * unit // len(asked) if asked else 0


def is_right(row: Row, kind: str) -> bool:
    """Return whether a row is a right answer; free answers are compared after normalisation."""
    if row["status"] != ANSWERED:
        return False
    if kind == "choice":
        return is_right_choice(row)
    return exact_match(Case(row["key"], "match", {"answer": row["answer"], "prediction": row["pred"]})).pred == "yes"


def mean_of(standing: CellResult, questions: AskedQuestions, keys: Sequence[str] | None = None) -> dict[str, Any]:
    """Accuracy of a cell with its 95 % interval over videos, as JSON-ready values."""
    chosen = list(standing.scores) if keys is None else [key for key in keys if key in standing.scores]
    values = [standing.scores[key] / questions.unit for key in chosen]
    mean = clustered_mean(values, [questions.videos[key] for key in chosen])
    return asdict(mean) if mean else {"value": None, "low": None, "high": None, "questions": 0, "videos": 0}


def difference_of(
    one: CellResult, other: CellResult, questions: AskedQuestions, keys: Sequence[str] | None = None
) -> Difference | None:
    """Return how much better one cell is than another, over the same questions."""
    by_video = differences_of(one, other, questions, keys)
    return paired_difference(list(map(sum, by_video.values())), list(map(len, by_video.values())), questions.unit)


def differences_of(
    one: CellResult, other: CellResult, questions: AskedQuestions, keys: Sequence[str] | None = None
) -> dict[str, list[int]]:
    """Return the difference of two cells at every question, by video, in units."""
    found: dict[str, list[int]] = defaultdict(list)
    for key in keys if keys is not None else list(one.scores):
        if key in one.scores and key in other.scores:
            found[questions.videos[key]].append(one.scores[key] - other.scores[key])
    return dict(found)


def variation_of(one: CellResult, other: CellResult, questions: AskedQuestions) -> dict[str, float | None]:
    """Return how the difference of two cells varies between videos and between questions, JSON-ready."""
    by_video = differences_of(one, other, questions).values()
    found = Variation.of([[value / questions.unit for value in values] for values in by_video])
    return asdict(found) if found else {"between": None, "within": None}


def opponents(
    standing: CellResult, all_standings: Sequence[CellResult], rivals: Sequence[str]
) -> dict[str, CellResult]:
    """Return the opponents of a cell: `uniform`, and the best simple rival at its budget if that is another.

    A cell that answered nothing, or exceeded its budget, has no opponents and is no rival.
    """
    cell = standing.cell
    if cell.call is None or not standing.scores or standing.over_budget:
        return {}
    fair = [
        other
        for other in all_standings
        if other is not standing and other.cell.budget == cell.budget and other.scores and not other.over_budget
    ]
    found = {}
    baseline = next((other for other in fair if other.cell.strategy == BASELINE), None)
    if baseline is not None:
        found["baseline"] = baseline
    best = max(
        (other for other in fair if other.cell.strategy in rivals), key=lambda o: sum(o.scores.values()), default=None
    )
    if best is not None and best is not baseline:
        found["rival"] = best
    return found


def comparisons(
    all_standings: Sequence[CellResult], questions: AskedQuestions, rivals: Sequence[str], margin: float = MARGIN
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return all paired tests, by cell and opponent, corrected for their number.

    Returns:
        For each cell's key and "baseline" or "rival": the opponent's name, the difference with its interval, `p` and
        `p_holm`, its variances `between` and `within` videos, the `outcome`, and how many videos would tell the two
        apart. A against B and B against A are one test.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    pairs: dict[frozenset[str], float] = {}
    for standing in all_standings:
        for role, other in opponents(standing, all_standings, rivals).items():
            difference = difference_of(standing, other, questions)
            if difference is not None:
                pairs[frozenset((standing.cell.key, other.cell.key))] = difference.p
                line = {"against": other.cell.strategy, **asdict(difference)}
                line |= variation_of(standing, other, questions)
                found.setdefault(standing.cell.key, {})[role] = line | {"pair": (standing.cell.key, other.cell.key)}
    corrected = dict(zip(pairs, holm(list(pairs.values())), strict=True))
    for lines in found.values():
        for line in lines.values():
            line["p_holm"] = corrected[frozenset(line.pop("pair"))]
            line["tests"] = len(pairs)
            line["outcome"] = outcome_of(line, margin)
            spread = line["spread"]
            line["videos_to_tell"] = None if spread is None else videos_to_tell(line["value"], spread, len(pairs))
    return found


def outcome_of(line: Mapping[str, Any], margin: float) -> str:
    """Return what a test has shown: "ahead", "behind" (after correction), "not inferior", or "open".

    Example:
        >>> outcome_of({"value": -0.002, "low": -0.008, "p_holm": 0.7}, margin=0.01)
        'not inferior'
    """
    if line["p_holm"] < ALPHA:
        return "ahead" if line["value"] > 0 else "behind"
    return "not inferior" if line["low"] > -margin else "open"


def use_of(standing: CellResult) -> dict[str, Any]:
    """Return the tokens and frames that a cell used, over videos; None if it used none."""
    by_video = {row["video_name"]: row for row in standing.all_rows() if row.get("visual_tokens")}
    if not by_video:
        return {"tokens": None, "most_tokens": None, "frames": None}
    tokens = [row["visual_tokens"] for row in by_video.values()]
    frames = [row["frames"] for row in by_video.values()]
    return {"tokens": sum(tokens) / len(tokens), "most_tokens": max(tokens), "frames": sum(frames) / len(frames)}


def costs_of(cell: Cell, lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean seconds a video by stage, and the peak memory of each stage.

    Generation time is counted as if each question had been asked once, without rotations.
    """
    mine = [line for line in lines if line["cell"] == cell.key]
    if not mine:
        return {"seconds": {}, "total_seconds": None, "peak_mib": {}, "timed_videos": 0}
    seconds = {stage: sum(line["seconds"][stage] for line in mine) / len(mine) for stage in STAGES}
    seconds["generate"] = sum(li["seconds"]["generate"] * li["questions"] / li["asked"] for li in mine) / len(mine)
    memory: dict[str, float] = {}
    for line in mine:
        for stage, mib in line["peak_mib"].items():
            memory[stage] = max(mib, memory.get(stage, 0.0))
    return {
        "seconds": seconds,
        "total_seconds": sum(seconds.values()),
        "peak_mib": memory,
        "timed_videos": len(mine),
    }


def unanswered_of(standing: CellResult) -> tuple[dict[str, int], str]:
    """Count the unanswered rows by status, and find the most frequent reason."""
    missing = [row for row in standing.all_rows() if row["status"] != ANSWERED]
    reasons = Counter(row["reason"] for row in missing)
    why = max(reasons, key=lambda reason: (reasons[reason], reason)) if reasons else ""
    return dict(sorted(Counter(row["status"] for row in missing).items())), why
