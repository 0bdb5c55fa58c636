"""The comparison as Markdown and CSV: figures, differences, costs, breakdowns, and what must not go unsaid."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dyto.comparing.asking import STAGES
from dyto.comparing.statistics import ALPHA
from dyto.evaluation.files import write_atomic

Results = Mapping[str, Any]
Line = Mapping[str, Any]
COMPARED = ("against", "value", "low", "high", "p", "p_holm", "outcome", "videos_to_tell")
"""What a line of the CSV tells of a difference."""
Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of cells."""


def budget_text(cell: Line) -> str:
    """A budget as it was asked for.

    Example:
        >>> budget_text({"budget": 58, "budget_frames": "1.6f"}), budget_text({"budget": None, "budget_frames": ""})
        ('58 (1.6f)', '–')
    """
    if cell["budget"] is None:
        return "–"
    return f"{cell['budget']} ({cell['budget_frames']})" if cell["budget_frames"] else str(cell["budget"])


def short(strategy: str) -> str:
    """A strategy's name without the folders of its file.

    Example:
        >>> short("/home/me/mine.py:Mine"), short("dyto")
        ('mine.py:Mine', 'dyto')
    """
    return strategy.rpartition("/")[2]


def percent(figure: Line) -> str:
    """An accuracy with its interval, in per cent.

    Example:
        >>> percent({"value": 0.657, "low": 0.641, "high": 0.672}), percent({"value": None})
        ('65.7 [64.1, 67.2]', '–')
    """
    if figure["value"] is None:
        return "–"
    return f"{100 * figure['value']:.1f} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"


def points(difference: Line | None) -> str:
    """A difference with its interval, in percentage points, its p-value and the corrected one; starred where small.

    Example:
        >>> points({"value": 0.031, "low": 0.012, "high": 0.05, "p": 0.001, "p_holm": 0.004})
        '+3.1 [+1.2, +5.0] p=0.001/0.004*'
    """
    if difference is None:
        return "–"
    text = f"{100 * difference['value']:+.1f} [{100 * difference['low']:+.1f}, {100 * difference['high']:+.1f}]"
    if "p_holm" not in difference:
        return text
    p = difference["p_holm"]
    return f"{text} p{_equals(difference['p'])}/{_equals(p).lstrip('=')}{'*' * (p < ALPHA)}"


def _equals(p: float) -> str:
    return "<0.001" if p < 0.001 else f"={p:.3f}"


def number(value: float | None, digits: int = 0) -> str:
    """A number, or a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def accuracy_table(found: Results) -> Table:
    """What each cell gets right, and how it stands against others at its budget."""
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
    if all(row[6] == "–" for row in rows):  # nobody but uniform is a rival
        head, rows = [*head[:6], *head[7:]], [[*row[:6], *row[7:]] for row in rows]
    return head, rows


def cost_table(found: Results) -> Table:
    """Seconds of each stage, as if the cell had been alone, and peak memory."""
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
    """The cells that answered anything."""
    return [cell for cell in found["cells"] if cell["accuracy"]["value"] is not None]


def _measured(found: Results, stage: str) -> bool:
    return any(stage in cell["peak_mib"] for cell in found["cells"])


def group_table(found: Results, grouping: str) -> Table:
    """Accuracy in every group of a breakdown, one column each, with the number of its questions."""
    names = list(dict.fromkeys(name for cell in found["cells"] for name in cell["groups"].get(grouping, {})))
    sizes = {
        name: max(cell["groups"].get(grouping, {}).get(name, _NONE)["questions"] for cell in found["cells"])
        for name in names
    }
    rows = [
        [
            *(short(cell["strategy"]), budget_text(cell)),
            *(_plain(cell["groups"].get(grouping, {}).get(name, _NONE)) for name in names),
            _plain(cell["accuracy"]),
        ]
        for cell in answering(found)
    ]
    return ["strategy", "budget", *(f"{name} ({sizes[name]})" for name in names), "all"], rows


_NONE: Line = {"value": None, "questions": 0}


def group_differences(found: Results, grouping: str) -> Table:
    """How much better than the best rival, or else uniform, each cell is in every group, with intervals."""
    names = list(dict.fromkeys(name for cell in found["cells"] for name in cell["groups"].get(grouping, {})))
    rows = []
    for cell in found["cells"]:
        role = "rival" if "rival" in cell["vs"] else "baseline"
        if role in cell["vs"]:
            groups = cell["groups"].get(grouping, {})
            texts = [points(groups.get(name, {"vs": {}})["vs"].get(role)) for name in names]
            rows.append(
                [f"{short(cell['strategy'])} - {short(cell['vs'][role]['against'])}", budget_text(cell), *texts]
            )
    return ["difference", "budget", *names], rows


def power_table(found: Results) -> Table:
    """What was shown of every pair, and how many videos would tell the two apart."""
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
    """A plan: how many videos and questions for each aim, at several numbers of questions a video."""
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
    """How a plan is to be read."""
    return [
        f"Videos, and in brackets questions in all. A difference of this size is found after correction for "
        f"{planned['tests']} tests, and a strategy that is just as good is shown to be not inferior, in 80 % of such "
        "runs. Where there are two pairs, the first is the one that varies most: what suffices for it suffices for all.",
    ]


def _plain(figure: Line) -> str:
    return number(None if figure["value"] is None else 100 * figure["value"], 1)


def groupings(found: Results) -> list[str]:
    """The breakdowns there are."""
    return list(dict.fromkeys(name for cell in found["cells"] for name in cell["groups"]))


def headline(found: Results) -> str:
    """What was compared, in one line."""
    scored = {"letter": "by the letter or text written", "likelihood": "by the options' likelihood"}
    rotated = ", every rotation of the options asked" if found["rotated"] else ""
    how = scored.get(found["scoring"], f"by {found['scoring']}")
    return (
        f"{found['title']}: {found['questions']} questions about {found['videos']} videos, model {found['model']}, "
        f"scored {how}{rotated}"
    )


def explanations(found: Results) -> list[str]:
    """How the figures came about."""
    tests = max((line["tests"] for cell in found["cells"] for line in cell["vs"].values()), default=0)
    rivals = ", ".join(found["rivals"]) or "none"
    told = [
        "Accuracy in per cent with its 95 % interval over videos. Differences in points, at the same budget and over "
        "the same questions, with p of the exact permutation test that flips the signs of whole videos, as it is and "
        f"after Holm's correction for {tests} tests (* below {ALPHA}). The 95 % interval holds what the same test does "
        f"not refuse: it excludes zero where the first p is below {ALPHA}, and only there.",
        f"Best rival: the most accurate simple strategy ({rivals}) at the same budget, where it is not uniform.",
        "Seconds are means over videos, with all questions about one, of what each strategy would have needed alone: "
        "decoding in full, its own frames' share of the tower, its own selection, merging and answers.",
    ]
    if any(cell["peak_mib"] for cell in found["cells"]):
        told.append(
            "Memory is the peak of each stage in MiB: of the accelerator, or of the whole process on a CPU; it holds "
            "the model and the frames' features, which are kept for all strategies."
        )
    return told


def markdown(found: Results, pictures: Sequence[str] = ()) -> str:
    """The whole report as Markdown."""
    parts = ["# Comparison", headline(found) + "."]
    if found["attention"]:
        parts.append("\n".join(["**Attention:**", "", *(f"- **{line}**" for line in found["attention"])]))
    parts += [_markdown_table(accuracy_table(found))]
    parts += [f"![{name}]({name})" for name in pictures]
    for grouping in groupings(found):
        parts += [f"## By {grouping}", _markdown_table(group_table(found, grouping))]
        parts += [_markdown_table(table) for table in [group_differences(found, grouping)] if table[1]]
    parts += ["## What it would take", _markdown_table(power_table(found))]
    if "plan" in found:
        parts += ["## Plan", _markdown_table(plan_table(found["plan"])), *plan_notes(found["plan"])]
    parts += ["## Seconds a video and peak memory", _markdown_table(cost_table(found))]
    parts += ["## Notes", "\n".join(f"- {text}" for text in [*explanations(found), *found["notes"]])]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def csv_lines(found: Results) -> Iterator[dict[str, Any]]:
    """One line for every cell, overall and in every group of every breakdown."""
    alarms = {(a["strategy"], a["budget"]): a["kind"] for a in reversed(found["alarms"])}
    for cell in found["cells"]:
        base = {"strategy": cell["strategy"], "budget": cell["budget"]}
        base["alarm"] = alarms.get((cell["strategy"], cell["budget"]), "")
        costs = {f"seconds_{stage}": cell["seconds"].get(stage) for stage in STAGES}
        costs |= {"seconds_total": cell["total_seconds"], "tokens": cell["tokens"], "frames": cell["frames"]}
        costs["peak_mib"] = max(cell["peak_mib"].values(), default=None)
        yield {**base, "grouping": "", "group": "all", **_flat(cell["accuracy"], cell["vs"]), **costs}
        for grouping, groups in cell["groups"].items():
            for name, figure in groups.items():
                yield {**base, "grouping": grouping, "group": name, **_flat(figure, figure["vs"])}


def _flat(figure: Line, against: Mapping[str, Line]) -> dict[str, Any]:
    flat = {key: figure.get(key) for key in ("value", "low", "high", "questions", "videos")}
    for role, line in against.items():
        flat |= {f"{role}_{key}": line.get(key) for key in COMPARED}
    return flat


def to_csv(found: Results) -> str:
    """All figures as CSV; accuracy and differences as shares of 1."""
    lines = list(csv_lines(found))
    columns = list(dict.fromkeys(key for line in lines for key in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def write_report(found: Results, folder: Path, pictures: Sequence[Path] = ()) -> list[Path]:
    """Write `compare.md` and `compare.csv` beside `compare.json`.

    Returns:
        The paths.
    """
    shown = [path.name for path in pictures if path.suffix == ".png"]
    contents = {"compare.md": markdown(found, shown), "compare.csv": to_csv(found)}
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]
