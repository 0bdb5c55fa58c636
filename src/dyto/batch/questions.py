"""The table of questions: one sample for every row, valid or not."""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from dyto.benchmarks import Benchmark, Sample
from dyto.benchmarks.base import kind_of, text, text_or_none
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.questions import Questions
from dyto.evaluation.tables import NO_OBJECT, TOO_MANY_CELLS, Rows, read_rows

COLUMNS = ("video", "question")


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(
        video=text(row, "video"),
        questions=(text(row, "question"),),
        question_id=text_or_none(row, "key"),
        answer="",
        candidates=_choices(row.get("choices")),
        start=_seconds(row, "start"),
        end=_seconds(row, "end"),
    )


BATCH = Benchmark(
    name="batch", title="batch", kind="open", prepared=(), videos="", columns=COLUMNS, sample=_sample, source="yours"
)
"""The batch as a benchmark: questions without true answers."""


@dataclass(frozen=True)
class Table:
    """The rows of the table, and the sample made of each.

    Attributes:
        rows: The cells of each row.
        questions: The samples, in the same order; a row that cannot be asked says why in `broken`.
    """

    rows: Sequence[Mapping[str, Any]]
    questions: Questions


def read_table(path: Path, *, encoding: str | None = None) -> Table:
    """Read a table of questions (JSONL, JSON, CSV, TSV or Parquet).

    Args:
        path: The file. Each row has a `video` and a `question`, and may have `choices` (a list; in CSV a JSON list),
            `start` and `end` (seconds), and its own `key`. Other columns are copied to the output.
        encoding: Encoding of a text file, if it is not UTF-8 and has no byte-order mark.

    Raises:
        DatasetError: The file cannot be read, lacks a column, or has a key twice.
        MissingExtraError: The file is parquet, but pyarrow is not installed.
    """
    rows = read_rows(path, columns=COLUMNS, encoding=encoding)
    return _table(path, rows, sha256(path.read_bytes()).hexdigest())


def ask_each(pattern: str, questions: Sequence[str]) -> Table:
    """Ask the same questions about every file that matches a pattern.

    Args:
        pattern: A pattern for Python's `glob`, such as "videos/**/*.mp4".
        questions: The questions, in this order for every video.

    Raises:
        ConfigError: No file matches, or there is no question.
    """
    videos = sorted(glob.glob(pattern, recursive=True))
    if not videos:
        raise ConfigError(f"no file matches {pattern!r}: put the pattern in quotes, such as 'videos/**/*.mp4'")
    if not questions:
        raise ConfigError("found --videos without a question, expected one: --question 'what is shown ?'")
    cells = [{"video": video, "question": question} for video in videos for question in questions]
    told = json.dumps(cells, ensure_ascii=False).encode(errors="surrogatepass")
    return _table(Path(pattern), list(enumerate(cells, 1)), sha256(told).hexdigest())


def _table(path: Path, rows: Rows, digest: str) -> Table:
    samples = [replace(_converted(row), place=place, line=line) for place, (line, row) in enumerate(rows)]
    seen: dict[str, int] = {}
    for sample in samples:
        if sample.question_id and seen.setdefault(sample.question_id, sample.line) != sample.line:
            raise DatasetError(
                f"{path} has key {sample.question_id!r} in row {seen[sample.question_id]} and in row {sample.line}, "
                "expected each once: number them, or leave the column out"
            )
    return Table([row for _, row in rows], Questions(BATCH, tuple(samples), path, digest))


def _converted(row: Mapping[str, Any]) -> Sample:
    """Return the sample of a row, or one that says why the row is bad."""
    try:
        if NO_OBJECT in row:
            raise ValueError(row[NO_OBJECT])
        if TOO_MANY_CELLS in row:
            raise ValueError(f"the row has {row[TOO_MANY_CELLS]}")
        sample = _sample(row)
        if not sample.video.strip() or not sample.questions[0].strip():
            raise ValueError("the row has no video, or no question")
        if sample.start is not None and sample.end is not None and sample.end <= sample.start:
            raise ValueError(f"the clip ends at {sample.end:g} s, before it begins at {sample.start:g} s")
    except ValueError as err:
        video = row.get("video")
        key = row.get("key")
        told = str(key) if isinstance(key, (str, int)) and not isinstance(key, bool) else ""
        return Sample(video if isinstance(video, str) else "", ("",), told, "", broken=str(err))
    return sample


def blank(cell: Any) -> bool:
    """Return whether a cell is empty: null, no text, or NaN."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _choices(cell: Any) -> tuple[str, ...]:
    """Return the options of a question: a list, or one written as JSON."""
    if blank(cell):
        return ()
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError as err:
            raise ValueError(f'\'choices\' is {cell[:40]!r}, expected a list as JSON: ["a cat", "a dog"]') from err
    if not isinstance(cell, list) or len(cell) < 2:
        raise ValueError(f"'choices' is {kind_of(cell)}, expected a list of two or more")
    return tuple(text({"choices": option}, "choices") for option in cell)


def _seconds(row: Mapping[str, Any], column: str) -> float | None:
    cell: Any = row.get(column)
    if blank(cell):
        return None
    try:
        if isinstance(cell, bool):
            raise ValueError
        value = float(cell)
    except (TypeError, ValueError, OverflowError) as err:
        raise ValueError(f"{column!r} is {kind_of(cell)}, expected seconds") from err
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{column!r} is {value:g}, expected 0 seconds or more")
    return value
