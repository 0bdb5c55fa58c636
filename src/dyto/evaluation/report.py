"""The report: accuracy over what was answered, its interval, coverage, breakdowns, and the paper's number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dyto.benchmarks import BENCHMARKS, GROUPS
from dyto.errors import DatasetError
from dyto.evaluation.files import dump_json, write_atomic
from dyto.evaluation.folders import read_json
from dyto.evaluation.paper import paper_figure, paper_numbers

COLUMNS = (
    *("benchmark", "config", "group", "measure", "value", "low", "high", "questions", "videos"),
    *("coverage", "unanswered_as_wrong", "paper", "judge"),
)
_HEAD = (
    *("benchmark", "config", "group", "measure", "value [95 %]", "questions / videos"),
    *("coverage", "unanswered as wrong", "paper"),
)
_VCG_ASPECTS = ("correctness", "detail", "context", "temporal", "consistency")

Results = Mapping[str, Any]
Line = dict[str, Any]


def find_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """All `results.json` in or below some folders.

    Raises:
        DatasetError: There is none.
    """
    files = sorted({file for path in paths for file in path.rglob("results.json")})
    if not files:
        raise DatasetError(
            f"no results.json below {', '.join(map(str, paths))}: run `dyto eval BENCHMARK` first, or name its --out"
        )
    return [read_json(file) for file in files]


def lines(results: Results) -> Iterator[Line]:
    """One line for every measure of a run, overall and by group; accuracy in per cent."""
    for measure, figure in results["measures"].items():
        paper = paper_figure(_comparable(results), results["benchmark"], measure, results["judge"])
        yield _line(results, "all", measure, figure) | {"paper": paper}
        for grouping, groups in figure["groups"].items():
            for name, part in groups.items():
                yield _line(results, f"{grouping}: {name}", measure, part)


def _comparable(results: Results) -> str | None:
    """The paper's setting, if the whole public file was asked."""
    rows = BENCHMARKS[results["benchmark"]].rows
    return results["setting"] if rows in (None, results["questions"]) else None


def _line(results: Results, group: str, measure: str, figure: Mapping[str, Any]) -> Line:
    factor = 100.0 if figure["top"] == 1 else 1.0
    scaled = {key: _times(figure.get(key), factor) for key in ("value", "low", "high")}
    return {
        "benchmark": results["benchmark"],
        "config": results["config"],
        "group": group,
        "measure": measure,
        **scaled,
        "questions": figure["questions"],
        "videos": figure["videos"],
        "coverage": 100 * results["coverage"] if group == "all" else None,
        "unanswered_as_wrong": _times(figure["counting_unanswered_as_wrong"], factor),
        "paper": None,
        "judge": results["judge"],
    }


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def vcgbench_mean(all_results: Sequence[Results]) -> Iterator[Line]:
    """The mean over VCGBench's five aspects, for every config that has all three of its question files."""
    for config in dict.fromkeys(results["config"] for results in all_results):
        parts = [r for r in all_results if r["config"] == config and r["benchmark"] in GROUPS["vcgbench"]]
        scores = {
            aspect: r["measures"][aspect]["value"] for r in parts for aspect in _VCG_ASPECTS if aspect in r["measures"]
        }
        if len(parts) != len(GROUPS["vcgbench"]) or None in scores.values() or len(scores) != len(_VCG_ASPECTS):
            continue
        setting = parts[0]["setting"] if all(map(_comparable, parts)) else None
        yield dict.fromkeys(COLUMNS) | {
            "benchmark": "vcgbench",
            "config": config,
            "group": "mean of five aspects",
            "measure": "score",
            "value": sum(scores.values()) / len(scores),
            "questions": sum(r["questions"] for r in parts),
            "paper": paper_figure(setting, "vcgbench", "score", parts[0]["judge"]),
            "judge": parts[0]["judge"],
        }


def table(all_results: Sequence[Results]) -> list[Line]:
    """All lines of all runs."""
    return [line for results in all_results for line in lines(results)] + list(vcgbench_mean(all_results))


def to_markdown(all_results: Sequence[Results]) -> str:
    """The report as Markdown: one table, then what a reader must know of each run."""
    rows = ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
    for line in table(all_results):
        cells = (
            *(line["benchmark"], line["config"], line["group"], line["measure"], interval_text(line)),
            f"{line['questions']} / {line['videos'] if line['videos'] is not None else '–'}",
            *(_number(line["coverage"], " %"), _number(line["unanswered_as_wrong"]), _number(line["paper"])),
        )
        rows.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    notes = [f"- {note}" for results in all_results for note in notes_of(results)]
    return "\n".join(["# Evaluation", "", *rows, "", "## Notes", "", *dict.fromkeys(notes), ""])


def interval_text(line: Line) -> str:
    """A value with its interval, as text.

    Example:
        >>> interval_text({"value": 65.7, "low": 64.1, "high": 67.2, "measure": "accuracy"})
        '65.7 [64.1, 67.2]'
    """
    if line["value"] is None:
        return "–"
    digits = 1 if line["measure"] == "accuracy" else 2
    if line["low"] is None:
        return f"{line['value']:.{digits}f}"
    return f"{line['value']:.{digits}f} [{line['low']:.{digits}f}, {line['high']:.{digits}f}]"


def _number(value: float | None, unit: str = "") -> str:
    return "–" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") + unit


def notes_of(results: Results) -> list[str]:
    """What a reader of a run's figures must know."""
    benchmark = BENCHMARKS[results["benchmark"]]
    run = f"{results['title']}, {results['config']}"
    notes = [f"{benchmark.title}: {benchmark.note}."] if benchmark.note else []
    if benchmark.rows not in (None, results["questions"]):
        notes.append(f"{run}: {results['questions']} questions, a part of the public file's {benchmark.rows}.")
    if results["unanswered"]:
        why = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in results["unanswered"].items())
        notes.append(f"{run}: not answered: {why}.")
    if results["unparsed"]:
        count = len(results["unparsed"])
        notes.append(f"{run}: {count} of the answers named no option and count{'s' * (count == 1)} as wrong.")
    if results["unscored"]:
        notes.append(f"{run}: {len(results['unscored'])} verdicts are missing; asked again by the same command.")
    if results["judge"]:
        paper_judge = paper_numbers()["judge"]
        differs = "" if results["judge"] == paper_judge else f"; the paper's was {paper_judge}, so do not compare"
        notes.append(f"{run}: judged by {results['judge']}{differs}.")
    elif benchmark.kind != "choice":
        notes.append(f"{run}: not judged yet.")
    if results["setting"]:
        notes.append(
            f"Paper: {paper_numbers()['source']}. Which preset produced which of its cells is not known. "
            + "Known conflicts: "
            + "; ".join(f"{k}: {v}" for k, v in paper_numbers()["conflicts"].items())
            + "."
        )
    return notes


def to_csv(all_results: Sequence[Results]) -> str:
    """The table as CSV, one line for every figure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table(all_results))
    return text.getvalue()


def write_report(all_results: Sequence[Results], folder: Path) -> list[Path]:
    """Write `report.md`, `report.csv` and `report.json`.

    Returns:
        The three paths.
    """
    contents = {
        "report.md": to_markdown(all_results),
        "report.csv": to_csv(all_results),
        "report.json": dump_json({"table": table(all_results), "runs": list(all_results)}),
    }
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]
