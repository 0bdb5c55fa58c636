"""Files of an evaluation: written atomically, with JSON in one format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dyto.system.files import cannot_write, replacing


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file atomically; the old content stays until the new file is on disk.

    Raises:
        DatasetError: The disk is full, or the folder is not writable.
    """
    data = encoded(content) if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as half, half.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as err:
        raise cannot_write(path, err) from err


def encoded(text: str) -> bytes:
    r"""Encode text as UTF-8; lone surrogates from a question file are escaped as in JSON.

    Example:
        >>> encoded("half \ud800")
        b'half \\ud800'
    """
    return text.encode(errors="backslashreplace")


def dump_json(value: Any) -> str:
    """Return JSON for people: indented, keys in the given order, text not escaped, dates as text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def dump_line(value: Any) -> str:
    """Return one line of a JSON lines file."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n"


def dump_lines(values: Iterable[Any]) -> str:
    """Return the text of a JSON lines file."""
    return "".join(map(dump_line, values))
