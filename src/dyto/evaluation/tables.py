"""Reading tables (CSV, TSV, JSON, JSON lines, parquet) as lists of rows with line numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dyto.benchmarks.base import HugeNumber, kind_of
from dyto.errors import ConfigError, DatasetError, MissingExtraError

Rows = list[tuple[int, dict[str, Any]]]
TOO_MANY_CELLS = "surplus cells"
NO_OBJECT = "no object"
"""Key of the reason why a record is not an object; such a record still counts as a row."""

MOST_DIGITS = 100
"""A whole number of more is a `HugeNumber`."""


def read_rows(path: Path, *, columns: Sequence[str] = (), encoding: str | None = None) -> Rows:
    """Read a table.

    Args:
        path: A `.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet` file.
        columns: Required columns.
        encoding: Encoding of a text file; by default UTF-8, or UTF-16 by its byte-order mark.

    Returns:
        For every row its line (CSV, TSV, JSON lines) or record number (JSON, parquet), from 1, and its cells. A record
        that is not an object has a single cell, `NO_OBJECT`, with the reason.

    Raises:
        DatasetError: The file is missing, empty, damaged or differently encoded, or lacks a column.
        MissingExtraError: The file is parquet, and pyarrow is not installed.
    """
    if not path.is_file():
        raise DatasetError(f"no question file at {path}: give the path of the file as downloaded, or prepare it")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        rows = _parquet(path)
    elif suffix in (".csv", ".tsv"):
        rows = _csv(path, read_text(path, encoding), "\t" if suffix == ".tsv" else ",", columns)
    elif suffix in (".json", ".jsonl"):
        rows = _json(path, read_text(path, encoding))
    else:
        raise ConfigError(f"{path.name} ends in {suffix!r}, expected .csv, .tsv, .json, .jsonl or .parquet")
    if not rows:
        raise DatasetError(f"{path} holds no question: it is empty, or was cut off after its header")
    known = [row for _, row in rows if NO_OBJECT not in row]
    if not known:
        raise DatasetError(f"{path} holds no question: {rows[0][1][NO_OBJECT]}")
    require_columns(path, {column: "" for row in known for column in row}, columns)
    return rows


def read_text(path: Path, encoding: str | None = None) -> str:
    """Read and decode a text file; a byte-order mark is honoured and removed.

    Raises:
        DatasetError: The bytes are not text in that encoding; the message says where.
    """
    raw = path.read_bytes()
    if encoding is None:
        utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
        encoding = "utf-16" if utf16 else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except LookupError as err:
        raise ConfigError(f"unknown encoding {encoding!r}: utf-8, latin-1 and cp1252 are common ones") from err
    except UnicodeDecodeError as err:
        at = f"byte {raw[err.start]:#04x} in line {raw.count(10, 0, err.start) + 1}"
        raise DatasetError(
            f"{path} is not {encoding.removesuffix('-sig')} text ({at}): say which encoding it has "
            "with --encoding, e.g. latin-1, or convert it to UTF-8"
        ) from err


def require_columns(path: Path, row: dict[str, Any], columns: Sequence[str]) -> None:
    """Raise a `DatasetError` that names missing and present columns, if a row lacks one."""
    missing = [column for column in columns if column not in row]
    if missing:
        found = ", ".join(repr(column) for column in row if column and column != TOO_MANY_CELLS)
        raise DatasetError(
            f"{path} has no column {', '.join(map(repr, missing))}: found {found}; "
            "rename its columns, or give the right file"
        )


def _csv(path: Path, text: str, delimiter: str, columns: Sequence[str]) -> Rows:
    limit = csv.field_size_limit(max(len(text), 1))  # a cell may be as long as the file
    try:
        return _csv_rows(path, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), columns)
    finally:
        csv.field_size_limit(limit)


def _csv_rows(path: Path, reader: Any, columns: Sequence[str]) -> Rows:
    rows: Rows = []
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return rows
        except csv.Error as err:
            if header is not None and "end of data" not in str(err):
                rows.append((line, {NO_OBJECT: f"it is not valid CSV: {err}"}))
                continue
            raise DatasetError(f"{path}, line {line}: {err}; a quote is open, or the file was cut off") from err
        if header is None:
            header = [cell.strip() for cell in cells]
            require_columns(path, dict.fromkeys(header), columns)
            twice = sorted({name for name in header if name and header.count(name) > 1})
            if twice:
                raise DatasetError(f"{path} has the column {', '.join(map(repr, twice))} twice: rename one of them")
        elif any(cells):
            row: dict[str, Any] = dict(zip(header, cells, strict=False))
            row.update(dict.fromkeys(header[len(cells) :], ""))
            if len(cells) != len(header):
                row[TOO_MANY_CELLS] = f"{len(cells)} cells, expected {len(header)}"
            rows.append((line, row))


def _json(path: Path, content: str) -> Rows:
    try:
        if path.suffix.lower() == ".jsonl":
            lines = [(number, line) for number, line in enumerate(content.split("\n"), 1) if line.strip()]
            return [(number, _record(line)) for number, line in lines]
        records = _parse(content) if content.strip() else []
    except RecursionError:  # some record is nested too deeply, which costs only that record
        return [(number, _record(part)) for number, part in enumerate(_parts(content), 1)]
    except ValueError as err:
        where = f" at line {err.lineno}: {err.msg}" if isinstance(err, json.JSONDecodeError) else f": {err}"
        raise DatasetError(f"{path} is not valid JSON{where}; was it cut off?") from err
    if not isinstance(records, list):
        raise DatasetError(f"{path} holds {type(records).__name__}, expected a list of objects, one per question")
    return [(number, _object(record)) for number, record in enumerate(records, 1)]


def _parse(content: str) -> Any:
    return json.loads(content, parse_int=lambda digits: (int if len(digits) <= MOST_DIGITS else HugeNumber)(digits))


def _record(content: str) -> dict[str, Any]:
    """Parse one record by itself, or say why it is not an object."""
    try:
        return _object(_parse(content))
    except RecursionError:
        return {NO_OBJECT: "it is nested too deeply to be read"}
    except ValueError as err:
        return {NO_OBJECT: f"it is not valid JSON: {err}"}


def _object(record: Any) -> dict[str, Any]:
    return record if isinstance(record, dict) else {NO_OBJECT: f"it is {kind_of(record)}, expected an object"}


def _parts(content: str) -> Iterator[str]:
    """Split a JSON list into the text of its elements, by brackets alone."""
    depth, start = 0, 0
    for mark in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', content, re.DOTALL):
        closes = mark[0] in ("]", "}")
        if depth == 1 and (mark[0] == "," or closes):
            yield content[start : mark.start()]
            start = mark.end()
        depth += (mark[0] in ("[", "{")) - closes
        if depth == 1 and mark[0] == "[" and start == 0:
            start = mark.end()


def _parquet(path: Path) -> Rows:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError as err:
        raise MissingExtraError("Reading a parquet file", "pyarrow", "parquet") from err
    try:
        return list(enumerate(read_table(path).to_pylist(), 1))
    except (ArrowException, OSError, ValueError) as err:
        raise DatasetError(f"{path} cannot be read as parquet: {err}; download it again") from err
