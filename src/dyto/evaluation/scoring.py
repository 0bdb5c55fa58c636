"""Figures from rows and verdicts: over answered questions, and with the rest counted as wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dyto.benchmarks import Benchmark
from dyto.evaluation.intervals import clustered_mean
from dyto.evaluation.judging import Verdicts
from dyto.evaluation.rows import ANSWERED, Row
from dyto.evaluation.verdicts import Case
from dyto.system.order import natural

TOP_SCORE = 5.0
Values = dict[str, float]


def cases(benchmark: Benchmark, rows: Sequence[Row]) -> list[Case]:
    """Return the cases for a judge from the answered rows of an open-ended benchmark."""
    return [
        Case(row["key"], aspect, _texts(row))
        for row in rows
        if row["status"] == ANSWERED
        for aspect in benchmark.aspects
    ]


def _texts(row: Row) -> dict[str, str]:
    if isinstance(row["question"], str):
        return {"question": row["question"], "answer": row["answer"], "prediction": row["pred"]}
    (question, question2), (prediction, prediction2) = row["question"], row["pred"]
    second = {"question2": question2, "prediction2": prediction2}
    return {"question": question, "answer": row["answer"], "prediction": prediction} | second


def results(
    benchmark: Benchmark,
    rows: Sequence[Row],
    total: int,
    *,
    verdicts: Verdicts | None = None,
    judge: str = "",
) -> dict[str, Any]:
    """Return all figures of one run.

    Args:
        benchmark: The benchmark.
        rows: All recorded rows.
        total: Number of questions to ask; those without a row count as unanswered.
        verdicts: Verdicts of the judge, for an open-ended benchmark.
        judge: Name of the judge.

    Returns:
        JSON-ready: counts, coverage, and under "measures" every figure with its 95 % interval over videos, the
        figure with unanswered and unscored questions counted as wrong, and the breakdowns.
    """
    total = max(total, len(rows))
    measures, unscored = _measures(benchmark, rows, verdicts or {})
    statuses = Counter(row["status"] for row in rows)
    answered = statuses.pop(ANSWERED, 0)
    if total > len(rows):
        statuses["not_reached"] = total - len(rows)
    unparsed = [row["key"] for row in rows if row["status"] == ANSWERED and row["choice"] is None]
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "questions": total,
        "answered": answered,
        "coverage": answered / total if total else 0.0,
        "unanswered": dict(sorted(statuses.items())),
        "unparsed": unparsed if benchmark.kind == "choice" else [],
        "unscored": unscored,
        "judge": judge,
        "measures": {name: _figures(rows, values, total, top) for name, (values, top) in measures.items()},
    }


def _measures(
    benchmark: Benchmark, rows: Sequence[Row], verdicts: Verdicts
) -> tuple[dict[str, tuple[Values, float]], dict[str, str]]:
    """Return by measure the values of scored samples and the highest possible value, and why others are unscored."""
    answered = [row for row in rows if row["status"] == ANSWERED]
    if benchmark.kind == "choice":
        return {"accuracy": ({row["key"]: float(is_right(row)) for row in answered}, 1.0)}, {}
    if not verdicts:
        return {}, {}
    found: dict[str, tuple[Values, float]] = {}
    unscored = {}
    for (key, aspect), verdict in verdicts.items():
        if not verdict.scored:
            unscored[f"{key} {aspect}"] = verdict.reason
        if verdict.pred is not None:
            found.setdefault("accuracy", ({}, 1.0))[0][key] = float(verdict.pred == "yes")
        if verdict.score is not None:
            name = "score" if aspect == "match" else aspect
            found.setdefault(name, ({}, TOP_SCORE))[0][key] = verdict.score
    return found, unscored


def is_right(row: Row) -> bool:
    """Return whether the answer names the right option; naming none is always wrong."""
    return row["choice"] is not None and bool(row["choice"] == row.get("answer_number"))


def _figures(rows: Sequence[Row], values: Values, total: int, top: float) -> dict[str, Any]:
    """Return one measure, overall and by each grouping."""
    groups: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for grouping, group in row["groups"].items():
            groups[grouping][group].append(row)
    return _figure(rows, values, total, top) | {
        "groups": {
            grouping: {name: _figure(by[name], values, len(by[name]), top) for name in sorted(by, key=natural)}
            for grouping, by in groups.items()
        }
    }


def _figure(rows: Sequence[Row], values: Values, total: int, top: float) -> dict[str, Any]:
    scored = [row for row in rows if row["key"] in values]
    numbers = [values[row["key"]] for row in scored]
    mean = clustered_mean(numbers, [row["video_name"] for row in scored], top=top)
    figure: dict[str, Any] = dict(asdict(mean)) if mean else {"value": None, "questions": 0, "videos": 0}
    return figure | {"top": top, "counting_unanswered_as_wrong": sum(numbers) / total if total else None}
