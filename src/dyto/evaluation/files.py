"""The files of an evaluation: whole, or not there; JSON in one form."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dyto.files import cannot_write, replacing


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; what was there before stays until the new one is on disk.

    Raises:
        DatasetError: The disk is full, or the folder cannot be written.
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
    r"""Text as UTF-8; half a character, as a question file may hold it, as it is escaped in JSON.

    Example:
        >>> encoded("half \ud800")
        b'half \\ud800'
    """
    return text.encode(errors="backslashreplace")


def dump_json(value: Any) -> str:
    """JSON for a file that people read: indented, keys in the order given, text not escaped; dates as their text."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"


def dump_line(value: Any) -> str:
    """One line of a JSON lines file."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n"


def dump_lines(values: Iterable[Any]) -> str:
    """A JSON lines file."""
    return "".join(map(dump_line, values))
