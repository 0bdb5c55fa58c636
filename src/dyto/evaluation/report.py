"""The report: accuracy over answered questions, its interval, coverage, breakdowns, and the paper's number."""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dyto.benchmarks import BENCHMARKS, GROUPS
from dyto.errors import DatasetError
from dyto.evaluation.files import dump_json, write_atomic
from dyto.evaluation.folders import read_json
from dyto.evaluation.journal import Journal
from dyto.evaluation.paper import paper_figure, paper_numbers, setting_of
from dyto.evaluation.rows import ANSWERED, Row, rank_of_row
from dyto.evaluation.scoring import results

COLUMNS = (
    *("benchmark", "config", "group", "measure", "value", "low", "high", "questions", "videos"),
    *("coverage", "unanswered_as_wrong", "paper", "judge"),
)
_HEAD = (
    *("benchmark", "config", "group", "measure", "value [95 %]", "questions / videos"),
    *("coverage", "unanswered as wrong", "paper"),
)
_VCG_ASPECTS = ("correctness", "detail", "context", "temporal", "consistency")

logger = logging.getLogger(__name__)

Results = Mapping[str, Any]
Line = dict[str, Any]


def find_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the results of all runs in or below some folders.

    Raises:
        DatasetError: There are no results.
    """
    found = [results for folder in _folders(paths) if (results := _results(folder)) is not None]
    if not found:
        raise DatasetError(f"no run below {', '.join(map(str, paths))} can be reported: see the warnings above")
    return found


def find_unanswered(paths: Sequence[Path]) -> list[Row]:
    """Return the rows without an answer of all runs in or below some folders, with the `config` that they are of.

    Raises:
        DatasetError: There are no results.
    """
    found = []
    for folder in _folders(paths):
        with Journal(folder / "rows", rank=rank_of_row) as journal:
            journal.refresh()
            rows = [row for row in journal.rows().values() if row["status"] != ANSWERED]
        found += [row | {"config": folder.name} for row in sorted(rows, key=lambda row: int(row["place"]))]
    return found


def _folders(paths: Sequence[Path]) -> list[Path]:
    folders = sorted({file.parent for path in paths for file in path.rglob("manifest.json")})
    if not folders:
        raise DatasetError(
            f"no run below {', '.join(map(str, paths))}: run `dyto eval BENCHMARK` first, or name its --out"
        )
    return folders


def _results(folder: Path) -> dict[str, Any] | None:
    """Return the results of a run; for an unfinished run, from the recorded rows, unjudged.

    None for an unfinished run of somebody's own benchmark, whose declaration is code: a report runs no code that a
    folder of results names.
    """
    if (folder / "results.json").exists():
        return read_json(folder / "results.json")
    config, manifest = read_json(folder / "config.json"), read_json(folder / "manifest.json")
    if config["benchmark"] not in BENCHMARKS:
        logger.warning(
            "%s is left out: the run is not finished, and its benchmark %r is not one of ours: finish it with the "
            "command that began it",
            *(folder, config["benchmark"]),
        )
        return None
    with Journal(folder / "rows", rank=rank_of_row) as journal:
        journal.refresh()
        rows = list(journal.rows().values())
    found = results(BENCHMARKS[config["benchmark"]], rows, manifest["question_file"]["rows"])
    return found | {"config": folder.name, "setting": setting_of(config), "complete": False}


def lines(run: Results) -> Iterator[Line]:
    """Return one line for every measure of a run, overall and by group; accuracy in per cent."""
    for measure, figure in run["measures"].items():
        paper = paper_figure(_comparable(run), run["benchmark"], measure, run["judge"])
        yield _line(run, "all", measure, figure) | {"paper": paper}
        for grouping, groups in figure["groups"].items():
            for name, part in groups.items():
                yield _line(run, f"{grouping}: {name}", measure, part)


def _comparable(run: Results) -> str | None:
    """Return the paper's setting if the whole public file was asked; None for another program's benchmark."""
    benchmark = BENCHMARKS.get(run["benchmark"])
    return run["setting"] if benchmark and benchmark.rows in (None, run["questions"]) else None


def _line(run: Results, group: str, measure: str, figure: Mapping[str, Any]) -> Line:
    factor = 100.0 if figure["top"] == 1 else 1.0
    scaled = {key: _times(figure.get(key), factor) for key in ("value", "low", "high")}
    return {
        "benchmark": run["benchmark"],
        "config": run["config"],
        "group": group,
        "measure": measure,
        **scaled,
        "questions": figure["questions"],
        "videos": figure["videos"],
        "coverage": 100 * run["coverage"] if group == "all" else None,
        "unanswered_as_wrong": _times(figure["counting_unanswered_as_wrong"], factor),
        "paper": None,
        "judge": run["judge"],
    }


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def vcgbench_mean(all_results: Sequence[Results]) -> Iterator[Line]:
    """Return the mean over VCGBench's five aspects, for every config with all three question files."""
    for config in dict.fromkeys(run["config"] for run in all_results):
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
    """Return all lines of all runs."""
    return [line for run in all_results for line in lines(run)] + list(vcgbench_mean(all_results))


def to_markdown(all_results: Sequence[Results]) -> str:
    """Return the report as Markdown: one table, then notes for the reader about each run."""
    rows = ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
    for line in table(all_results):
        cells = (
            *(line["benchmark"], line["config"], line["group"], line["measure"], interval_text(line)),
            f"{line['questions']} / {line['videos'] if line['videos'] is not None else '–'}",
            *(_number(line["coverage"], " %"), _number(line["unanswered_as_wrong"]), _number(line["paper"])),
        )
        rows.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    notes = [f"- {note}" for run in all_results for note in notes_of(run)]
    return "\n".join(["# Evaluation", "", *rows, "", "## Notes", "", *dict.fromkeys(notes), ""])


def interval_text(line: Line) -> str:
    """Return a value with its interval, as text.

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


def notes_of(run: Results) -> list[str]:
    """Return notes that a reader of a run's figures must know."""
    benchmark = BENCHMARKS.get(run["benchmark"])  # None for another program's benchmark
    name = f"{run['title']}, {run['config']}"
    notes = [f"{benchmark.title}: {benchmark.note}."] if benchmark and benchmark.note else []
    if benchmark and benchmark.rows not in (None, run["questions"]):
        notes.append(f"{name}: {run['questions']} of the public file's {benchmark.rows} questions.")
    if not run["complete"]:
        notes.append(f"{name}: not finished; these are the figures so far.")
    if run["unanswered"]:
        why = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in run["unanswered"].items())
        notes.append(f"{name}: not answered: {why}; `dyto report --unanswered` lists them with their reasons.")
    if run["unparsed"]:
        count = len(run["unparsed"])
        notes.append(f"{name}: {count} of the answers named no option and count{'s' * (count == 1)} as wrong.")
    if run["unscored"]:
        kinds = Counter(reason.partition(":")[0] for reason in run["unscored"].values())
        why = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        notes.append(f"{name}: {len(run['unscored'])} verdicts are missing ({why}); run the same command to ask again.")
    if run["judge"]:
        paper_judge = paper_numbers()["judge"]
        # The paper has no benchmark without a public file.
        same = run["judge"] == paper_judge or benchmark is None or benchmark.rows is None
        differs = "" if same else f"; the paper's was {paper_judge}, so do not compare"
        notes.append(f"{name}: judged by {run['judge']}{differs}.")
    elif benchmark and benchmark.kind != "choice":
        notes.append(f"{name}: not judged yet.")
    if run["setting"]:
        notes.append(
            f"Paper: {paper_numbers()['source']}. It is not known which preset produced which cell. "
            + "Known conflicts: "
            + "; ".join(f"{k}: {v}" for k, v in paper_numbers()["conflicts"].items())
            + "."
        )
    return notes


def to_csv(all_results: Sequence[Results]) -> str:
    """Return the table as CSV, one line per figure."""
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
