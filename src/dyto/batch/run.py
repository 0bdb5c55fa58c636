"""A whole batch: ask, record, and write every row of the table with its answer, in the table's order."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dyto.batch.questions import Table, blank
from dyto.batch.settings import BatchSettings
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.files import encoded
from dyto.evaluation.rows import FORMAT, Row
from dyto.evaluation.runner import answered
from dyto.evaluation.tables import NO_OBJECT, TOO_MANY_CELLS
from dyto.evaluation.workers import ask_all, nothing_open
from dyto.system.files import cannot_write, replacing


def run_batch(
    settings: BatchSettings, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, int]:
    """Answer a table of questions, from where an earlier run into the same file stopped.

    Args:
        settings: Questions, videos and model.
        progress: Called with the number of rows recorded, and of all.

    Returns:
        The number of rows by status.

    Raises:
        DatasetError: The table cannot be read, or the output belongs to something else.
        DytoError: The run failed; everything recorded before is safe.
    """
    table = settings.table()
    _check_columns(table, settings)
    _check_out(settings)
    folders = settings.run_folders()
    questions = table.questions
    settings.check_cache()
    if not (folders.check(settings.config(questions), questions) and nothing_open(settings, questions)):
        ask_all(settings, questions, progress)
    with folders.journal() as journal:
        journal.refresh()
        keys = [sample.key for sample in questions.samples]
        settings.error_limit.check(lambda: answered(journal, keys))
        found = journal.rows()
    machines = {row["machine"] for row in found.values() if row.get("machine")}
    statuses = Counter(found[key]["status"] for key in keys)
    columns = [name for name in settings.task.columns if name != "machine" or len(machines) > 1]
    _write(settings, _lines(table, found, settings.prefix, columns))
    return dict(statuses)


def _check_out(settings: BatchSettings) -> None:
    out, table = settings.out, settings.qa_file
    if out.is_dir():
        raise DatasetError(f"--out {out} is a folder, expected a file: name one in it, such as {out / 'answers.jsonl'}")
    if table is not None and out.exists() and out.samefile(table):
        raise DatasetError(f"--out {out} is the table of questions, which the answers would replace: name another file")
    if out.exists() and not settings.run_folders().artifacts.is_dir():
        raise DatasetError(f"{out} exists and was not written by dyto batch: name another --out, or move it away")


def _check_columns(table: Table, settings: BatchSettings) -> None:
    there = {column for row in table.rows for column in row}
    taken = sorted(there & {settings.prefix + column for column in settings.task.columns})
    if taken:
        raise ConfigError(
            f"the table has the columns {', '.join(map(repr, taken))}, which dyto writes itself: rename them, or give "
            "ours a --prefix such as dyto_"
        )


def _lines(table: Table, found: Mapping[str, Row], prefix: str, columns: Sequence[str]) -> Iterator[str]:
    for cells, sample in zip(table.rows, table.questions.samples, strict=True):
        row = found[sample.key]
        given = {name: cell for name, cell in cells.items() if name not in (NO_OBJECT, TOO_MANY_CELLS)}
        if blank(given.get("key")):
            given.pop("key", None)  # ours takes its place
        ours = {prefix + name: row[name] for name in columns if name in row}
        yield _line({"key": sample.key, **given, **ours})


def _line(row: Mapping[str, Any]) -> str:
    """Return a row as JSON, which has no NaN and no infinity: they become null."""
    try:
        return json.dumps(row, ensure_ascii=False, default=str, allow_nan=False) + "\n"
    except ValueError:
        return _line({name: _finite(cell) for name, cell in row.items()})


def _finite(cell: Any) -> Any:
    if isinstance(cell, Mapping):
        return {name: _finite(value) for name, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_finite(value) for value in cell]
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _write(settings: BatchSettings, lines: Iterator[str]) -> None:
    try:
        settings.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(settings.out) as half, half.open("xb") as file:
            for line in lines:
                file.write(encoded(line))
    except OSError as err:
        raise cannot_write(settings.out, err) from err


def summary(statuses: Mapping[str, int]) -> dict[str, Any]:
    """Count the rows by status, JSON-ready."""
    return {"format": FORMAT, "rows": sum(statuses.values()), "statuses": dict(sorted(statuses.items()))}
