"""What a memory's file says of itself, read without torch: whether it is one, whole, and by which model.

A finished memory is a safetensors file whose metadata has the key `MARK`. One that still grows is a log: `MAGIC`, then
records, each of which is its length, the checksum of what follows, and a safetensors file.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dyto.errors import BadMemoryError, DatasetError

MARK = "dyto_memory"
FORMAT = 1
SUFFIX = ".dyto"
MAGIC = b"DYTO memory log\n"
RECORD = struct.Struct("<QI")
"""Bytes and checksum (CRC-32) of the record that follows."""
MOST_HEADER = 1 << 22
"""Bytes that the header of a memory may have; ours has some thousand."""
_LENGTH = struct.Struct("<Q")


def is_memory(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a memory, by its first bytes or by its name.

    Example:
        >>> is_memory("clip.mp4")
        False
    """
    where = Path(path)
    try:
        with where.open("rb") as file:
            begin = file.read(4096)
    except (OSError, ValueError):
        return False
    if where.suffix == SUFFIX or begin.startswith(MAGIC):
        return True
    return begin[8:9] == b"{" and f'"{MARK}"'.encode() in begin


def facts_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a memory says of itself, after checking that nothing of it is missing.

    Args:
        path: Its file, or the log of one that grows.

    Raises:
        DatasetError: It is no memory, is cut, or is of a newer version.
    """
    where = Path(path)
    try:
        str(where).encode()
    except UnicodeEncodeError as err:  # safetensors opens no such file
        raise DatasetError(f"the name of {where} is no UTF-8, expected a text: rename the file") from err
    try:
        with where.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                first = next(records_of(file), None)
                if first is None:
                    raise damaged(where, "is a log in which nothing was sealed", "watch the video again")
                return facts_in(_parsed(where, first[8 : 8 + _LENGTH.unpack(first[:8])[0]]), where)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(8)
            length = _LENGTH.unpack(head)[0] if len(head) == 8 else 0
            text = file.read(min(length, MOST_HEADER))
    except OSError as err:
        raise DatasetError(
            f"{where} cannot be read ({err.strerror or err}), expected a memory: check the path"
        ) from err
    if MAGIC.startswith(head[:8]) or len(head) < 8:
        raise damaged(where, f"has {size} bytes")
    if text and not text.startswith(b"{"):
        raise _no_memory(where)
    if len(text) < length:
        raise damaged(where, f"is cut within its header, after {size} bytes")
    header = _parsed(where, text)
    facts = facts_in(header, where)
    try:
        whole = 8 + length + max(int(one["data_offsets"][1]) for name, one in header.items() if name != "__metadata__")
    except (KeyError, IndexError, TypeError, ValueError) as err:
        raise damaged(where, "has a header without the places of its tensors") from err
    if size != whole:
        raise damaged(where, f"has {size} bytes and should have {whole}")
    return facts


def records_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the sealed records of a log, from where the file stands, until one is cut or damaged."""
    while True:
        head = file.read(RECORD.size)
        if len(head) < RECORD.size:
            return
        length, checksum = RECORD.unpack(head)
        here = file.tell()
        if length > file.seek(0, os.SEEK_END) - here:
            return
        file.seek(here)
        record = file.read(length)
        if zlib.crc32(record) != checksum or length < 8:
            return
        yield record


def facts_in(header: Any, where: Path) -> dict[str, Any]:
    """Return the facts in the header of a safetensors file."""
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or MARK not in metadata:
        raise _no_memory(where)
    facts = _parsed(where, str(metadata[MARK]).encode())
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise damaged(where, "does not say of which format it is")
    if facts["format"] > FORMAT:
        raise BadMemoryError(f"{where} is of format {facts['format']}, expected {FORMAT} at most: use a newer dyto")
    return facts


def damaged(where: Path, what: str, advice: str = "copy it again, or remember the video again") -> BadMemoryError:
    """Return the error for a memory that cannot be read."""
    return BadMemoryError(f"{where} {what}, expected a whole memory: {advice}")


def _no_memory(where: Path) -> BadMemoryError:
    made = "a file of `dyto remember` or `dyto watch`"
    return BadMemoryError(f"{where} is no memory, expected {made}: check the name")


def _parsed(where: Path, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        raise damaged(where, "has a header that is no JSON") from err
