"""Does a video file end before its container says it does? Read from the outermost structure alone.

Decoders conceal a missing tail, headers round durations, and sound may outlast the pictures; the sizes that
the outermost boxes declare are exact.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = 0x1A45DFA3, 0x18538067
TS_PACKET = 188


def missing_bytes(path: Path) -> int:
    """How many bytes a media file lacks of what its container declares.

    Args:
        path: MP4, MOV, Matroska, WebM, AVI, GIF or MPEG-TS file; any other kind declares nothing.

    Returns:
        The number of missing bytes (1 where all that is known is that some are); 0 if the file is whole.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == EBML.to_bytes(4, "big"):
            return max(0, _matroska_end(file) - size)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return max(0, _riff_end(file, size) - size)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return max(0, _boxes_end(file, size) - size)
        if head[:4] == b"GIF8":
            file.seek(max(0, size - 16))
            return int(b";" not in file.read())
        file.seek(TS_PACKET)
        if head[:1] == b"G" and file.read(1) == b"G":
            return -size % TS_PACKET
    return 0


def _boxes_end(file: BinaryIO, size: int) -> int:
    """The end of the last top-level box of an MP4 or MOV file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1 and at + 16 <= size:
            length = struct.unpack(">Q", file.read(8))[0]
        if length == 0 or not kind.isascii():  # 0: up to the end of the file; else: padding, no box
            return size
        if length < 8:
            return size
        at += length
    return at


def _riff_end(file: BinaryIO, size: int) -> int:
    """The end of the last RIFF chunk of an AVI file (large ones are a chain of several)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length == 0:  # 0: written live, never completed
            return size
        at += 8 + length
    return at


def _matroska_end(file: BinaryIO) -> int:
    """The end of the segment of a Matroska or WebM file; 0 where it is unknown, as in a live recording."""
    while True:
        identity = _vint(file, keep_marker=True)
        length = _vint(file, keep_marker=False)
        if identity is None or length is None:
            return 0
        if identity == SEGMENT:
            return file.tell() + length
        file.seek(length, 1)


def _vint(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """One variable-length integer of EBML; None at the end of the file or for the reserved "unknown size"."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big")
    if keep_marker:
        return value
    mask = (1 << (7 * width)) - 1
    return None if value & mask == mask else value & mask
