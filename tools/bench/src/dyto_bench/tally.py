"""Medians, spreads and ratios of raw runs: everything here is a pure function of the document that was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Document = Mapping[str, Any]
Run = Mapping[str, Any]

SPREAD = "lower to upper quartile of the runs"
OURS = "dyto"


def middle(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles.

    Example:
        >>> middle([1.0, 2.0, 3.0, 4.0, 5.0])
        {'median': 3.0, 'low': 2.0, 'high': 4.0}
    """
    low, median, high = np.percentile(np.asarray(values, np.float64), [25, 50, 75])
    return {"median": float(median), "low": float(low), "high": float(high)}


def side_of(document: Document, name: str) -> Run:
    """Return the side with a name.

    Raises:
        KeyError: There is none.
    """
    for side in document["sides"]:
        if side["name"] == name:
            found: Run = side
            return found
    raise KeyError(name)


def cell_of(side: Run, questions: int, batch_size: int) -> list[Run]:
    """Return the runs with this many further questions at a batch size; empty if it was not measured."""
    for cell in side["further"]:
        if (cell["questions"], cell["batch_size"]) == (questions, batch_size):
            runs: list[Run] = cell["runs"]
            return runs
    return []


def first_figures(side: Run) -> dict[str, Any]:
    """Median and quartiles of every stage and figure of first answers."""
    runs = side["first"]
    figures: dict[str, Any] = {
        "stages": {stage: middle([run["stages"][stage] for run in runs]) for stage in runs[0]["stages"]},
        "total": middle([run["total"] for run in runs]),
        "to_first_token": middle([run["to_first_token"] for run in runs]),
        "overlapped": middle([run["overlapped"] for run in runs]),
        "tokens_per_second": middle([tokens_per_second(run) for run in runs]),
    }
    peaks = [run["peak_mib"] for run in runs if run["peak_mib"] is not None]
    figures["peak_mib"] = middle(peaks) if peaks else None
    return figures


def tokens_per_second(run: Run) -> float:
    """Return the tokens per second after the first token of an answer."""
    return float((run["new_tokens"] - 1) / max(run["stages"]["generate"], 1e-9))


def further_figures(runs: Sequence[Run], questions: int) -> dict[str, Any]:
    """Median and quartiles of further questions: seconds a question, tokens a second of all together."""
    return {
        "seconds_per_question": middle([run["total"] / questions for run in runs]),
        "tokens_per_second": middle([run["new_tokens"] / run["total"] for run in runs]),
    }


def ratios(document: Document) -> list[dict[str, Any]]:
    """Return how many times as long other sides take as this library with all savings, paired run by run.

    Args:
        document: As `dyto_bench.running.bench` makes it.

    Returns:
        For each comparison: what, the other side, median and quartiles; above 1 this library is faster.
    """
    ours = side_of(document, OURS)
    further = cell_of(ours, 1, 1)
    found = [_ratio("its own first answer, by its further question", OURS, ours["first"], further)]
    for side in document["sides"]:
        if side["name"] == OURS:
            continue
        found.append(_ratio("first answer", side["name"], side["first"], ours["first"]))
        runs = cell_of(side, 1, 1)
        if runs and further:
            found.append(_ratio("further question", side["name"], runs, further))
        for cell in side["further"]:
            size = (cell["questions"], cell["batch_size"])
            if size != (1, 1) and cell_of(ours, *size):
                what = f"{size[0]} further questions, {size[1]} at a time"
                found.append(_ratio(what, side["name"], cell["runs"], cell_of(ours, *size)))
    return found


def _ratio(what: str, side: str, theirs: Sequence[Run], ours: Sequence[Run]) -> dict[str, Any]:
    pairs = zip(theirs, ours, strict=True)
    return {"what": what, "side": side, **middle([one["total"] / other["total"] for one, other in pairs])}


def shares(document: Document) -> dict[str, float]:
    """Return the median seconds of select and merge, and their share of the total of first answers."""
    runs = side_of(document, OURS)["first"]
    seconds = [run["stages"]["select"] + run["stages"]["merge"] for run in runs]
    parts = [value / run["total"] for value, run in zip(seconds, runs, strict=True)]
    return {"seconds": middle(seconds)["median"], "share": middle(parts)["median"]}
