"""Tables on disk (CSV, TSV, JSON, JSON lines, parquet) as lists of rows, with the line each came from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dyto.errors import ConfigError, DatasetError, MissingExtraError

Rows = list[tuple[int, dict[str, Any]]]
TOO_MANY_CELLS = "surplus cells"


def read_rows(path: Path, *, columns: Sequence[str] = (), encoding: str | None = None) -> Rows:
    """Read a table.

    Args:
        path: A `.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet` file.
        columns: Columns that must be there.
        encoding: Of a text file; by default UTF-8, or UTF-16 where a byte-order mark says so.

    Returns:
        For every row its line (CSV, TSV, JSON lines) or record number (JSON, parquet), from 1, and its cells.

    Raises:
        DatasetError: The file is missing, empty, damaged or differently encoded, or lacks a column.
        MissingExtraError: A parquet file, and pyarrow is not installed.
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
    require_columns(path, rows[0][1], columns)
    return rows


def read_text(path: Path, encoding: str | None = None) -> str:
    """A text file, decoded; a byte-order mark is honoured and removed.

    Raises:
        DatasetError: The bytes are no text in that encoding; the message says where.
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
    """Raise a `DatasetError` that names the columns a row lacks and those it has."""
    missing = [column for column in columns if column not in row]
    if missing:
        found = ", ".join(repr(column) for column in row if column and column != TOO_MANY_CELLS)
        raise DatasetError(
            f"{path} has no column {', '.join(map(repr, missing))}: found {found}; "
            "is this the file of another benchmark?"
        )


def _csv(path: Path, text: str, delimiter: str, columns: Sequence[str]) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: Rows = []
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if header is None:
                header = [cell.strip() for cell in cells]
                require_columns(path, dict.fromkeys(header), columns)
            elif any(cells):
                row: dict[str, Any] = dict(zip(header, cells, strict=False))
                row.update(dict.fromkeys(header[len(cells) :], ""))
                if len(cells) != len(header):
                    row[TOO_MANY_CELLS] = f"{len(cells)} cells, expected {len(header)}"
                rows.append((line, row))
            line = reader.line_num + 1
    except csv.Error as err:
        raise DatasetError(f"{path}, line {line}: {err}; a quote is open, or the file was cut off") from err
    return rows


def _json(path: Path, text: str) -> Rows:
    try:
        if path.suffix.lower() == ".jsonl":
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            records = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as err:
        raise DatasetError(f"{path} is no valid JSON at line {err.lineno}: {err.msg}; was it cut off?") from err
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DatasetError(f"{path} holds {type(records).__name__}, expected a list of objects, one per question")
    return list(enumerate(records, 1))


def _parquet(path: Path) -> Rows:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import read_table
    except ImportError as err:
        raise MissingExtraError("Reading a parquet file", "pyarrow", "parquet") from err
    try:
        return list(enumerate(read_table(path).to_pylist(), 1))
    except (ArrowException, OSError) as err:
        raise DatasetError(f"{path} cannot be read as parquet: {err}; download it again") from err
