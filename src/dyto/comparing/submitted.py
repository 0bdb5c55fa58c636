"""Submitted predictions: the required contents of a folder, and every score computed again from its rows.

A submission is what `dyto eval` or `dyto compare` has written about one benchmark: configuration, manifest, rows
and results. Everything that follows from other parts of it is computed again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyto.benchmarks import BENCHMARKS, Benchmark, Sample
from dyto.choices import parse_choice
from dyto.comparing.cells import recorded_cells
from dyto.comparing.tally import comparisons, mean_of, standings
from dyto.errors import DatasetError
from dyto.evaluation.evaluate import OFFLINE
from dyto.evaluation.files import dump_json, write_atomic
from dyto.evaluation.folders import read_json
from dyto.evaluation.rows import ANSWERED, Row, rank_of_row
from dyto.evaluation.scoring import cases, results
from dyto.evaluation.verdicts import Verdict, exact_match

CONFIG = ("benchmark", "questions", "model", "weights", "dtype", "prompt", "scoring", "max_new_tokens", "sampling")
"""Required keys of a configuration."""
FIGURES = ("value", "low", "high", "questions", "videos")
TESTED = ("against", "value", "low", "high", "p", "p_holm", "questions", "videos")
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Submission:
    """The contents of one folder.

    Attributes:
        folder: The folder.
        config: What determined the rows.
        manifest: What you need to repeat the run.
        rows: The rows.
        said: The results as submitted.
    """

    folder: Path
    config: Mapping[str, Any]
    manifest: Mapping[str, Any]
    rows: Sequence[Row]
    said: Mapping[str, Any]

    @property
    def compared(self) -> bool:
        """Whether it is a comparison, not the run of one strategy."""
        return "cells" in self.said

    @property
    def benchmark(self) -> Benchmark:
        """Its benchmark."""
        return BENCHMARKS[self.config["benchmark"]]


def find_submissions(root: Path) -> list[Path]:
    """Return the folders of all submissions in or below a folder.

    Raises:
        DatasetError: There is none.
    """
    found = sorted({path.parent for path in root.rglob("manifest.json")})
    if not found:
        raise DatasetError(f"no submission below {root}: add one with dyto results add RUN --to {root}/YOUR-NAME")
    return found


def read_submission(folder: Path) -> Submission:
    """Read a submission.

    Raises:
        DatasetError: A file is missing or damaged; the message names it.
    """
    config, manifest = read_json(folder / "config.json"), read_json(folder / "manifest.json")
    name = "compare.json" if (folder / "compare.json").exists() else "results.json"
    return Submission(folder, config, manifest, read_rows(folder), read_json(folder / name))


def read_rows(folder: Path, name: str = "predictions.jsonl") -> list[Row]:
    """Read the lines of a file of rows, gzipped or not.

    Raises:
        DatasetError: The file is missing, or a line is not a JSON object.
    """
    packed = folder / f"{name}.gz"
    path = packed if packed.exists() else folder / name
    try:
        text = (gzip.decompress(path.read_bytes()) if path == packed else path.read_bytes()).decode("utf-8")
        rows = [json.loads(line) for line in text.split("\n") if line]
    except (OSError, ValueError, EOFError) as err:
        raise DatasetError(
            f"{path} cannot be read ({err}): submit the file as dyto eval or dyto compare wrote it"
        ) from err
    if not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{path} contains lines that are not JSON objects: submit the file as it was written")
    return rows


def check_submission(folder: Path) -> list[str]:
    """Check one submission and compute its scores again.

    Returns:
        The problems found, one line each; empty if there are none.
    """
    try:
        sent = read_submission(folder)
        problems = [*_configuration(sent)] or [*_rows(sent)]
        return [f"{folder}: {problem}" for problem in problems or [*_scores(sent)]]
    except DatasetError as err:
        return [str(err)]
    except (LookupError, TypeError, ValueError, AttributeError) as err:
        return [f"{folder}: a field is missing or has the wrong type: {type(err).__name__}: {err}"]


def _configuration(sent: Submission) -> Iterator[str]:
    missing = [name for name in CONFIG if name not in sent.config]
    if not sent.compared:
        missing += [name for name in ("strategy",) if name not in sent.config]
    if missing:
        yield f"config.json lacks {', '.join(missing)}"
        return
    if sent.config["benchmark"] not in BENCHMARKS:
        yield f"benchmark {sent.config['benchmark']!r} is not one of ours"
    if sent.manifest["config"] != sent.config:
        yield "manifest.json and config.json have different configurations"
    if not re.fullmatch(r"[0-9a-f]{64}", str(sent.manifest["question_file"]["sha256"])):
        yield "manifest.json lacks the SHA-256 of the question file"
    if not sent.manifest["versions"].get("dyto"):
        yield "manifest.json lacks the version of dyto"


def _rows(sent: Submission) -> Iterator[str]:
    """Check that every row is complete, none is missing or doubled, and all come from the stated question file."""
    if not sent.rows:
        yield "there are no rows"
        return
    keys: set[str] = set()
    asked: dict[str, dict[tuple[int, int], str]] = defaultdict(dict)
    for number, row in enumerate(sent.rows, 1):
        try:
            rank_of_row(row, {"sample": str, "rotation": int, "strategy": str} if sent.compared else None)
        except (LookupError, TypeError, ValueError) as err:
            yield f"row {number}: {type(err).__name__}: {err}"
            return
        if row["key"] in keys:
            yield f"row {number}: the key {row['key']} occurs twice"
        keys.add(row["key"])
        sample = row["sample"] if sent.compared else row["key"]
        if not re.fullmatch(rf"{row['place']:06d}-[0-9a-f]{{16}}", sample):
            yield f"row {number}: key {sample} does not belong to place {row['place']}"
        if wrong := _of_question(sent, row, sample):
            yield f"row {number}: {wrong}"
        cell = row["key"].split("-", 3)[3] if sent.compared else ""
        asked[cell][row["place"], row.get("rotation", 0)] = sample
    everything = {place: sample for one in asked.values() for (place, _), sample in one.items()}
    for cell, one in asked.items():
        if one.keys() != set().union(*(other.keys() for other in asked.values())):
            yield f"rows are missing{' of ' + cell if cell else ''}: it has {len(one)}, others have more"
    if sent.config.get("sample_seed") is None and sorted(everything) != list(range(len(everything))):
        gap = next(place for place in range(len(everything)) if place not in everything)
        yield f"the row of question {gap} is missing"
    total = sent.manifest["question_file"]["rows"]
    if len(everything) > total:
        yield f"rows of {len(everything)} questions, but the question file has {total}"
    if len(everything) == total:
        told = "\n".join(everything[place] for place in range(total)).encode()
        if hashlib.sha256(told).hexdigest()[:16] != sent.config["questions"]:
            yield "the rows do not match the hash of the question file in config.json"


def _of_question(sent: Submission, row: Row, sample: str) -> str:
    """Say what in a row contradicts its question; "" for nothing."""
    if row["status"] != ANSWERED or sent.benchmark.kind != "choice":
        return ""
    candidates = row["candidates"]
    if not 0 <= row["answer_number"] < len(candidates):
        return f"answer_number is {row['answer_number']}, but there are {len(candidates)} options"
    if sent.config["scoring"] == "letter" and parse_choice(row["pred"], candidates) != row["choice"]:
        return f"{row['pred']!r} names option {parse_choice(row['pred'], candidates)}, not {row['choice']}"
    if row.get("rotation", 0) == 0 and not sent.benchmark.clips:  # the times of clips are not in the rows
        questions = (row["question"],) if isinstance(row["question"], str) else tuple(row["question"])
        parts = row["video_name"], questions, row["question_id"], row["answer"], tuple(candidates)
        said = Sample(*parts, row["answer_number"], place=row["place"])
        if said.key != sample:
            return f"the question does not match key {sample}"
    return ""


def _scores(sent: Submission) -> Iterator[str]:
    """Find submitted figures that differ from what the rows say."""
    yield from _comparison_scores(sent) if sent.compared else _run_scores(sent)


def _run_scores(sent: Submission) -> Iterator[str]:
    verdicts = {}
    judge = sent.said["judge"]
    if sent.benchmark.kind != "choice" and judge == OFFLINE:
        verdicts = {(case.sample, case.aspect): exact_match(case) for case in cases(sent.benchmark, sent.rows)}
    elif sent.benchmark.kind != "choice":
        fields = ("pred", "score", "reason")
        for line in read_rows(sent.folder, "verdicts.jsonl"):
            verdicts[line["key"], line["aspect"]] = Verdict(**{name: line[name] for name in fields if name in line})
    found = results(sent.benchmark, sent.rows, len(sent.rows), verdicts=verdicts, judge=judge)
    for name in ("questions", "answered", "coverage", "unanswered", "unparsed", "measures"):
        yield from _differ(name, sent.said[name], found[name])


def _comparison_scores(sent: Submission) -> Iterator[str]:
    rows = sorted(sent.rows, key=lambda row: (row["place"], row["rotation"], row["strategy"], row["budget"] or 0))
    scored, questions = standings(recorded_cells(rows), rows, sent.benchmark.kind)
    order = {(cell["strategy"], cell["budget"]): place for place, cell in enumerate(sent.said["cells"])}
    scored.sort(key=lambda standing: order.get((standing.cell.strategy, standing.cell.budget), len(order)))
    tests = comparisons(scored, questions, sent.said["rivals"], sent.said["margin"])
    found = {(s.cell.strategy, s.cell.budget): s for s in scored}
    if found.keys() != order.keys() or len(scored) != len(order):
        yield "compare.json and the rows have different strategies or budgets"
        return
    for cell in sent.said["cells"]:
        standing = found[cell["strategy"], cell["budget"]]
        name = str(standing.cell)
        figures = mean_of(standing, questions)
        yield from _differ(f"{name}: accuracy", _part(cell["accuracy"], FIGURES), _part(figures, FIGURES))
        said, lines = cell["vs"], tests.get(standing.cell.key, {})
        two = ({role: _part(line, TESTED) for role, line in both.items()} for both in (said, lines))
        yield from _differ(f"{name}: vs", *two)


def _part(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _differ(name: str, said: Any, found: Any) -> Iterator[str]:
    """Find where two JSON values differ; numbers may differ by rounding."""
    if isinstance(said, dict) and isinstance(found, dict):
        for key in {**said, **found}:
            yield from _differ(f"{name}.{key}", said.get(key), found.get(key))
    elif isinstance(said, (int, float)) and isinstance(found, (int, float)):
        if not math.isclose(said, found, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            yield f"{name} is stated as {said}, but the rows give {found}"
    elif said != found:
        yield f"{name} is stated as {said!r}, but the rows give {found!r}"


def add_submission(run: Path, to: Path) -> Path:
    """Check the folder of a run or a comparison, and copy what a submission needs.

    Args:
        run: A folder with `manifest.json`, of `dyto eval` or `dyto compare`.
        to: The folder for submissions; subfolders are named after the benchmark and the configuration.

    Returns:
        The folder of the submission.

    Raises:
        DatasetError: The run is incomplete or a check failed; nothing is written.
    """
    if problems := check_submission(run):
        told = "; ".join(problems[:5])
        raise DatasetError(f"not added: {told}: finish the run with the same command, then add it")
    sent = read_submission(run)
    if sent.said.get("complete") is False:
        raise DatasetError(f"not added: {run} is not finished: run the same command again, then add it")
    name = re.sub(r"[^\w.-]+", "_", sent.config["model"].rpartition("/")[2] if sent.compared else run.name)
    folder = to / sent.config["benchmark"] / name
    for part in ("config.json", "manifest.json"):
        write_atomic(folder / part, (run / part).read_text(encoding="utf-8"))
    said = dict(sent.said)
    if sent.compared:  # its breakdowns follow from the rows, and are long
        said["cells"] = [{name: value for name, value in cell.items() if name != "groups"} for cell in said["cells"]]
    write_atomic(folder / ("compare.json" if sent.compared else "results.json"), dump_json(said))
    for part in ("predictions.jsonl", "verdicts.jsonl"):
        if (run / part).exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{part}.gz").write_bytes(gzip.compress((run / part).read_bytes(), mtime=0))
    return folder


def table_of(folders: Sequence[Path]) -> tuple[list[str], list[list[str]]]:
    """Make a table of all submissions from their rows, ready to paste.

    Returns:
        Headings, and rows of cells.
    """
    from dyto.comparing.tables import percent, points, short

    rows = []
    for folder in folders:
        sent = read_submission(folder)
        about = [sent.benchmark.title, str(sent.config["model"])]
        total = sent.manifest["question_file"]["rows"]
        if not sent.compared:
            for measure, figure in sent.said["measures"].items():
                said = f"{percent(figure)}" if measure == "accuracy" else f"{figure['value']:.2f} {measure}"
                asked = f"{figure['questions']} of {total}"
                strategy = sent.config["strategy"]
                budget = str(strategy.get("token_budget") or "–")
                rows.append([*about, str(strategy["name"]), budget, said, "–", asked])
            continue
        for cell in sent.said["cells"]:
            against = cell["vs"].get("rival") or cell["vs"].get("baseline")
            told = f"{points(against)} {short(against['against'])}" if against else "–"
            budget = "–" if cell["budget"] is None else str(cell["budget"])
            asked = f"{cell['accuracy']['questions']} of {total}"
            rows.append([*about, short(cell["strategy"]), budget, percent(cell["accuracy"]), told, asked])
    head = ["benchmark", "model", "strategy", "budget", "accuracy [95 %]", "minus best rival", "questions"]
    return head, rows
