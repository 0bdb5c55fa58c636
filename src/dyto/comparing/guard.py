"""Alarms about strategies that did nothing, broke their budget, or gave the same answers without the video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dyto.comparing.cells import BLIND
from dyto.comparing.tally import CellResult
from dyto.evaluation.rows import ANSWERED, Row


@dataclass(frozen=True)
class Alarm:
    """One finding about one cell.

    Attributes:
        kind: "does-nothing", "over-budget", "blind" or "failed".
        strategy: The cell's strategy.
        budget: The cell's budget.
        finding: The text for readers.
    """

    kind: str
    strategy: str
    budget: int
    finding: str


def alarms(standings: Sequence[CellResult]) -> list[Alarm]:
    """Find everything that a reader must be warned about, cell by cell."""
    blind = next((s for s in standings if s.cell.strategy == BLIND and s.cell.call is None), None)
    found = []
    for standing in standings:
        cell = standing.cell
        if cell.budget is None:
            continue
        texts = [*_tokens(standing), *_failures(standing), *(_same_as_blind(standing, blind) if blind else [])]
        found += [Alarm(kind, cell.strategy, cell.budget, text) for kind, text in texts]
    return found


def told(found: Sequence[Alarm]) -> list[str]:
    """Merge the alarms into lines, one for all budgets with the same fault.

    Example:
        >>> told([Alarm("blind", "mine", budget, "AS IF BLIND") for budget in (58, 230)])
        ['mine at 58, 230: AS IF BLIND']
    """
    budgets: dict[tuple[str, str], list[str]] = {}
    for alarm in found:
        budgets.setdefault((alarm.strategy, alarm.finding), []).append(str(alarm.budget))
    return [f"{strategy} at {', '.join(where)}: {finding}" for (strategy, finding), where in budgets.items()]


def _tokens(standing: CellResult) -> Iterator[tuple[str, str]]:
    """Find strategies that left the tokens unchanged, or exceeded their budget."""
    budget = standing.cell.budget
    assert budget is not None
    over = {row["video_name"]: row for row in standing.all_rows() if row.get("visual_tokens", 0) > budget}
    untouched = [row for row in over.values() if row["visual_tokens"] >= row["uncompressed_tokens"]]
    if untouched:
        used = max(row["visual_tokens"] for row in untouched)
        yield (
            "does-nothing",
            f"IT DOES NOTHING: it passed on all tokens of {_videos(len(untouched))} (up to {used}) unchanged, although "
            f"the budget is {budget}; it is not compared",
        )
    elif over:
        used = max(row["visual_tokens"] for row in over.values())
        yield (
            "over-budget",
            f"OVER ITS BUDGET on {_videos(len(over))}: it used {used} tokens, but the budget is {budget}; it is not "
            "compared",
        )


def _failures(standing: CellResult) -> Iterator[tuple[str, str]]:
    """Find strategies that failed on videos for which others have answers."""
    rows = list(standing.all_rows())
    failed = {r["video_name"]: r["reason"] for r in rows if r["status"] in ("failed", "does_not_fit")}
    if failed and len(failed) == len({row["video_name"] for row in rows}):
        yield "failed", f"NO ANSWER AT ALL: {next(iter(failed.values()))}"
    elif failed:
        reason = next(iter(failed.values()))
        yield "failed", f"no answer on {_videos(len(failed))}, counted as wrong: {reason}"


def _same_as_blind(standing: CellResult, blind: CellResult) -> Iterator[tuple[str, str]]:
    """Find strategies whose every answer equals that of the model without video."""
    pairs = [pair for key, rows in standing.rows.items() for pair in _paired(rows, blind.rows.get(key, []))]
    if pairs and all(mine["pred"] == theirs["pred"] for mine, theirs in pairs):
        yield "blind", f"AS IF BLIND: all {len(pairs)} answers equal those of the model without any video"


def _paired(rows: Sequence[Row], others: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    by_rotation = {row["rotation"]: row for row in others if row["status"] == ANSWERED}
    for row in rows:
        if row["status"] == ANSWERED and row["rotation"] in by_rotation:
            yield row, by_rotation[row["rotation"]]


def unasked(standings: Sequence[CellResult]) -> list[str]:
    """Say why the control has no answers to compare with; nothing if it has some, or was left out."""
    blind = [s for s in standings if s.cell.strategy == BLIND and s.cell.call is None]
    rows = [row for standing in blind for row in standing.all_rows() if row["status"] != "bad_row"]
    return [rows[0]["reason"]] if rows and all(row["status"] != ANSWERED for row in rows) else []


def twins(standings: Sequence[CellResult]) -> list[str]:
    """Find cells with identical tokens for every video, so that comparing them shows nothing."""
    groups: dict[tuple[tuple[str, str], ...], list[CellResult]] = {}
    for standing in standings:
        seen = {(row["key"].split("-", 1)[0], row["tokens_sha256"]) for row in standing.all_rows() if _has_tokens(row)}
        if seen and standing.cell.budget is not None:
            groups.setdefault((*sorted(seen), ("budget", str(standing.cell.budget))), []).append(standing)
    return [
        f"{' and '.join(s.cell.strategy for s in same)} give the same tokens for every video at {same[0].cell.budget}"
        for same in groups.values()
        if len(same) > 1
    ]


def _has_tokens(row: Mapping[str, object]) -> bool:
    return "tokens_sha256" in row


def _videos(count: int) -> str:
    return f"{count} video{'s' * (count != 1)}"
