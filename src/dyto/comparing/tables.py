"""The tables of a comparison: accuracy, differences, breakdowns, costs, and the videos needed to know more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dyto.comparing.asking_cells import STAGES
from dyto.comparing.statistics import ALPHA

Results = Mapping[str, Any]
Line = Mapping[str, Any]
ANYTHING = "any"
"""Text for an interval that excludes nothing."""
MOST_GROUPS = 12
"""Largest number of groups in columns; with more, the table has a line for each."""
Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of cells."""


def budget_text(cell: Line) -> str:
    """Format a budget as the user wrote it.

    Example:
        >>> budget_text({"budget": 58, "budget_frames": "1.6f"}), budget_text({"budget": None, "budget_frames": ""})
        ('58 (1.6f)', '–')
    """
    if cell["budget"] is None:
        return "–"
    return f"{cell['budget']} ({cell['budget_frames']})" if cell["budget_frames"] else str(cell["budget"])


def short(strategy: str) -> str:
    """Return a strategy's name without the folders of its file.

    Example:
        >>> short("/home/me/mine.py:Mine"), short("dyto")
        ('mine.py:Mine', 'dyto')
    """
    return strategy.rpartition("/")[2]


def percent(figure: Line) -> str:
    """Format an accuracy with its interval, in per cent.

    Example:
        >>> percent({"value": 0.657, "low": 0.641, "high": 0.672}), percent({"value": None})
        ('65.7 [64.1, 67.2]', '–')
    """
    if figure["value"] is None:
        return "–"
    return f"{100 * figure['value']:.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def points(difference: Line | None) -> str:
    """Format a difference with its interval in percentage points, p and corrected p; starred if p is small.

    Example:
        >>> points({"value": 0.031, "low": 0.012, "high": 0.05, "p": 0.001, "p_holm": 0.004})
        '+3.1 [+1.2, +5.0] p=0.001/0.004*'
    """
    if difference is None:
        return "–"
    ends = f"{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}"
    if difference["low"] <= -1 and difference["high"] >= 1:
        ends = ANYTHING
    text = f"{100 * difference['value']:+.1f} [{ends}]"
    if "p_holm" not in difference:
        return text
    p = difference["p_holm"]
    return f"{text} p{_equals(difference['p'])}/{_equals(p).lstrip('=')}{'*' * (p < ALPHA)}"


def _equals(p: float) -> str:
    return "<0.001" if p < 0.001 else f"={p:.3f}"


def number(value: float | None, digits: int = 0) -> str:
    """Format a number, or a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def accuracy_table(found: Results) -> Table:
    """Make the table of what each cell gets right, and how it compares with others at its budget."""
    flagged = {(alarm["strategy"], alarm["budget"]) for alarm in found["alarms"]}
    rows = []
    for cell in found["cells"]:
        rival = cell["vs"].get("rival")
        mark = " (!)" if (cell["strategy"], cell["budget"]) in flagged else ""
        rows.append(
            [
                *(short(cell["strategy"]) + mark, budget_text(cell), number(cell["tokens"]), number(cell["frames"], 1)),
                percent(cell["accuracy"]),
                points(cell["vs"].get("baseline")),
                f"{points(rival)} {short(rival['against'])}" if rival else "–",
                number(cell["total_seconds"], 2),
            ]
        )
    head = ["strategy", "budget", "tokens", "frames", "accuracy [95 %]", "minus uniform", "minus best rival", "s/video"]
    if all(row[6] == "–" for row in rows):  # uniform is the only rival
        head, rows = [*head[:6], *head[7:]], [[*row[:6], *row[7:]] for row in rows]
    return head, rows


def cost_table(found: Results) -> Table:
    """Make the table of seconds of each stage, as if the cell ran alone, and peak memory."""
    memory = [stage for stage in ("encode", "strategy", "prefill", "generate") if _measured(found, stage)]
    rows = [
        [
            *(short(cell["strategy"]), budget_text(cell)),
            *(number(cell["seconds"].get(stage), 3) for stage in STAGES),
            number(cell["total_seconds"], 3),
            *(number(cell["peak_mib"].get(stage)) for stage in memory),
        ]
        for cell in answering(found)
    ]
    return ["strategy", "budget", *STAGES, "total", *(f"MiB, {stage}" for stage in memory)], rows


def answering(found: Results) -> list[Line]:
    """Return the cells that answered anything."""
    return [cell for cell in found["cells"] if cell["accuracy"]["value"] is not None]


def _measured(found: Results, stage: str) -> bool:
    return any(stage in cell["peak_mib"] for cell in found["cells"])


def group_tables(found: Results, grouping: str) -> list[Table]:
    """Return accuracy and differences in every group of a breakdown: one column per group, or one line if many.

    The differences are from the best rival, or else from uniform, with intervals.
    """
    names = list(dict.fromkeys(name for cell in found["cells"] for name in cell["groups"].get(grouping, {})))
    if len(names) > MOST_GROUPS:
        return [_group_lines(found, grouping, names)]
    sizes = {name: max(_group(cell, grouping, name)["questions"] for cell in found["cells"]) for name in names}
    rows = [
        [
            *(short(cell["strategy"]), budget_text(cell)),
            *(_plain(_group(cell, grouping, name)) for name in names),
            _plain(cell["accuracy"]),
        ]
        for cell in answering(found)
    ]
    table = ["strategy", "budget", *(f"{name} ({sizes[name]})" for name in names), "all"], rows
    differences = [
        [_pair(cell, against), budget_text(cell), *(_in_group(cell, grouping, name) for name in names)]
        for cell in found["cells"]
        if (against := _against(cell)) is not None
    ]
    return [table, (["difference", "budget", *names], differences)] if differences else [table]


def _group_lines(found: Results, grouping: str, names: Sequence[str]) -> Table:
    rows = [
        [
            *(name, short(cell["strategy"]), budget_text(cell), str(figure["questions"]), str(figure["videos"])),
            *(percent(figure), _in_group(cell, grouping, name)),
        ]
        for name in names
        for cell in answering(found)
        if (figure := _group(cell, grouping, name))["questions"]
    ]
    head = [grouping, "strategy", "budget", "questions", "videos", "accuracy [95 %]", "minus best rival or uniform"]
    return head, rows


def _group(cell: Line, grouping: str, name: str) -> Line:
    figure: Line = cell["groups"].get(grouping, {}).get(name, _NONE)
    return figure


def _against(cell: Line) -> Line | None:
    found: Line | None = cell["vs"].get("rival") or cell["vs"].get("baseline")
    return found


def _in_group(cell: Line, grouping: str, name: str) -> str:
    vs = _group(cell, grouping, name)["vs"]
    return points(vs.get("rival" if "rival" in cell["vs"] else "baseline"))


_NONE: Line = {"value": None, "questions": 0, "videos": 0, "vs": {}}


def power_table(found: Results) -> Table:
    """Make the table of what was shown of every pair, and how many videos would tell the two apart."""
    rows, seen = [], set()
    for cell in found["cells"]:
        for line in cell["vs"].values():
            pair = frozenset((cell["strategy"], line["against"])), cell["budget"]
            if pair in seen:
                continue
            seen.add(pair)
            rows.append(
                [
                    *(_pair(cell, line), budget_text(cell), points(line)),
                    *(line["outcome"], str(line["videos"]), number(line["videos_to_tell"])),
                ]
            )
    return ["difference", "budget", "points [95 %] p/corrected", "outcome", "videos", "videos to tell them apart"], rows


def _pair(cell: Line, line: Line) -> str:
    return f"{short(cell['strategy'])} - {short(line['against'])}"


def plan_table(planned: Line) -> Table:
    """Make the table of a plan: videos and questions for each aim, at several numbers of questions a video."""
    rows = []
    for pair in planned["pairs"]:
        for one in pair["plan"]:
            counts = [one[aim] for aim in ("width", "tell", "margin")]
            texts = [f"{count} ({math.ceil(count * one['per_video'])})" for count in counts]
            rows.append([pair["pair"], f"{one['per_video']:g}", *texts])
    aim = f"{100 * planned['precision']:g} points"
    head = [f"interval of +-{aim}", f"difference of {aim}", f"not inferior by {100 * planned['margin']:g}"]
    return ["pair", "questions a video", *head], rows


def plan_notes(planned: Line) -> list[str]:
    """Explain how to read a plan."""
    return [
        f"Numbers of videos, with all questions in brackets. In 80 % of such runs, a difference of this size is found "
        f"after correction for {planned['tests']} tests, and an equally good strategy is shown to be not inferior. If "
        "there are two pairs, the first is the one that varies most: what suffices for it suffices for all.",
    ]


def _plain(figure: Line) -> str:
    return number(None if figure["value"] is None else 100 * figure["value"], 1)


def groupings(found: Results) -> list[str]:
    """Return the names of the breakdowns."""
    return list(dict.fromkeys(name for cell in found["cells"] for name in cell["groups"]))
