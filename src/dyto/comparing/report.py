"""The comparison as Markdown and CSV: figures, differences, costs, breakdowns, and warnings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dyto.comparing.asking_cells import STAGES
from dyto.comparing.statistics import ALPHA
from dyto.comparing.tables import (
    ANYTHING,
    Line,
    Results,
    Table,
    accuracy_table,
    cost_table,
    group_tables,
    groupings,
    plan_notes,
    plan_table,
    power_table,
)
from dyto.evaluation.files import write_atomic

COMPARED = ("against", "value", "low", "high", "p", "p_holm", "outcome", "videos_to_tell")
"""Columns of the CSV that describe a difference."""


def headline(found: Results) -> str:
    """Say what was compared, in one line."""
    scored = {"letter": "by the letter or text that the model writes", "likelihood": "by the options' likelihood"}
    rotated = ", every rotation of the options asked" if found["rotated"] else ""
    how = scored.get(found["scoring"], f"by {found['scoring']}")
    return (
        f"{found['title']}: {found['questions']} questions about {found['videos']} videos, model {found['model']}, "
        f"scored {how}{rotated}"
    )


def explanations(found: Results) -> list[str]:
    """Explain how the figures were computed."""
    tests = max((line["tests"] for cell in found["cells"] for line in cell["vs"].values()), default=0)
    rivals = ", ".join(found["rivals"]) or "none"
    told = [
        "Accuracy is a percentage with its 95 % interval over videos. Differences are in points, at the same budget "
        "and over the same questions. The first p comes from the exact permutation test that flips the signs of whole "
        f"videos; the second is corrected for {tests} tests by Holm's method (* below {ALPHA}). The 95 % interval "
        "contains what the same test does not reject: it excludes zero if, and only if, the first p is at most "
        f"{ALPHA}. [{ANYTHING}] means that there are too few videos to exclude anything.",
        f"Best rival: the most accurate simple strategy ({rivals}) at the same budget, if that is not uniform.",
        "Seconds are means over videos, with all questions about each, of what every strategy would have needed alone: "
        "decoding in full, its own frames' share of the tower, its own selection, merging and answers.",
    ]
    if any(cell["peak_mib"] for cell in found["cells"]):
        told.append(
            "Memory is the peak of each stage in MiB: of the accelerator or, on a CPU, of the whole process. It "
            "includes the model and the frames' features, which are kept for all strategies."
        )
    return told


def markdown(found: Results, pictures: Sequence[str] = ()) -> str:
    """Return the whole report as Markdown."""
    parts = ["# Comparison", headline(found) + "."]
    if found["attention"]:
        parts.append("\n".join(["**Attention:**", "", *(f"- **{line}**" for line in found["attention"])]))
    parts += [markdown_table(accuracy_table(found))]
    parts += [f"![{name}]({name})" for name in pictures]
    for grouping in groupings(found):
        parts += [f"## By {grouping}", *(markdown_table(table) for table in group_tables(found, grouping))]
    parts += ["## What it would take", markdown_table(power_table(found))]
    if "plan" in found:
        parts += ["## Plan", markdown_table(plan_table(found["plan"])), *plan_notes(found["plan"])]
    parts += ["## Seconds a video and peak memory", markdown_table(cost_table(found))]
    parts += ["## Notes", "\n".join(f"- {text}" for text in [*explanations(found), *found["notes"]])]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Format a table as Markdown."""
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def csv_lines(found: Results) -> Iterator[dict[str, Any]]:
    """Return one line for every cell, overall and in every group of every breakdown."""
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
    """Return all figures as CSV; accuracy and differences as shares of 1."""
    lines = list(csv_lines(found))
    columns = list(dict.fromkeys(key for line in lines for key in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def write_report(found: Results, folder: Path, pictures: Sequence[Path] = ()) -> list[Path]:
    """Write `compare.md` and `compare.csv` next to `compare.json`.

    Returns:
        The paths.
    """
    shown = [path.name for path in pictures if path.suffix == ".png"]
    contents = {"compare.md": markdown(found, shown), "compare.csv": to_csv(found)}
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]
