"""Detection of truncated media files from the length that the container declares, without decoding.

Decoders conceal a missing tail, headers round durations, and sound may outlast the pictures; but the sizes declared by
boxes, chunks, pages and packets are exact. In formats without an end mark (MPEG-TS and MPEG-PS, live recordings), a
file cut between two packets looks complete.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = 0x1A45DFA3, 0x18538067
BOXES = tuple(b"ftyp moov mdat free skip wide moof mfra sidx styp udta uuid meta pnot".split())
ASF_HEADER, ASF_FILE = (
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"),
)
MXF_HEADER = bytes.fromhex("060e2b34020501010d0102010102")
TAIL = 1 << 20
"""Bytes at the end of a file that contain the beginning of a pack or page."""


def missing_bytes(path: Path) -> int:
    """Return how many bytes are missing from a media file, by the length that its container declares.

    Args:
        path: A file; formats that declare no length count as complete.

    Returns:
        The number of missing bytes (1 if the number is unknown); 0 if the file is complete.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        end = _end_for(head, file)
        file.seek(0)
        return max(0, end(file, size) - size) if end else 0


def _end_for(head: bytes, file: BinaryIO) -> Callable[[BinaryIO, int], int] | None:
    """Return the function that finds the declared end of a file that begins like this."""
    if head[4:8] in BOXES:
        return _boxes_end
    if head[:4] == b"RIFF" and head[8:12] != b"AVI ":
        return None
    for start, end in ENDS.items():
        if head.startswith(start):
            return end
    for packet, first in ((188, 0), (192, 4), (204, 0)):
        file.seek(first)
        if file.read(1) == b"G" and file.seek(packet + first) and file.read(1) == b"G":
            return lambda _, size: size + -size % packet
    return None


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last top-level box of an MP4 or MOV file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1 and at + 16 <= size:
            length = struct.unpack(">Q", file.read(8))[0]
        if length < 8 or kind not in BOXES:  # 0 means up to the end; anything else is padding
            return size
        at += length
    return at


def _riff_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last RIFF chunk of an AVI file (large files have several)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF" or length == 0:  # 0: written live, never completed
            return size
        at += 8 + length
    return at


def _gif_is_whole(file: BinaryIO) -> bool:
    """Return whether the blocks of a GIF file reach its trailer."""

    def table(flags: int) -> None:  # a table of 2 ** (n + 1) colours, if there is one
        file.seek(3 << ((flags & 7) + 1) if flags & 0x80 else 0, 1)

    head = file.read(13)
    table(head[10] if len(head) == 13 else 0)
    while kind := file.read(1):
        if kind == b";":
            return True
        if kind == b",":  # a picture: place and size, colours, code size
            place = file.read(9)
            table(place[8] if len(place) == 9 else 0)
        file.seek(1, 1)  # the code size of a picture, the label of an extension
        while (length := file.read(1)) not in (b"", b"\0"):
            file.seek(length[0], 1)
    return False


def _matroska_end(file: BinaryIO) -> int:
    """Return the end of the segment of a Matroska or WebM file; 0 if it is unknown, as in a live recording."""
    while True:
        identity = _vint(file, keep_marker=True)
        length = _vint(file, keep_marker=False)
        if identity is None or length is None:
            return 0
        if identity == SEGMENT:
            return file.tell() + length
        file.seek(length, 1)


def _vint(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """Read a variable-length EBML integer; None at the end of the file or for the reserved "unknown size"."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big")
    if keep_marker:
        return value
    mask = (1 << (7 * width)) - 1
    return None if value & mask == mask else value & mask


def _gif_end(file: BinaryIO, size: int) -> int:
    return size + (not _gif_is_whole(file))


def _flv_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last tag of an FLV file, or the end in its metadata; each tag is followed by its length."""
    start = file.read(4096)
    key = start.find(b"filesize\0")  # an AMF number
    declared = struct.unpack(">d", start[key + 9 : key + 17])[0] if 0 <= key <= len(start) - 17 else 0.0
    if size < declared < 1 << 50:
        return int(declared)
    at = int.from_bytes(start[5:9], "big") + 4
    file.seek(max(0, size - 4))
    before = int.from_bytes(file.read(4), "big")
    if 11 <= before <= size - at:  # the last tag is where it should be: no need to walk over all of them
        file.seek(size - 4 - before)
        if int.from_bytes(file.read(4)[1:], "big") == before - 11:
            return size
    while at < size:
        file.seek(at)
        tag = file.read(4)
        if tag[0] & 0x1F not in (8, 9, 18):  # anything that is not a tag is padding
            return size
        at += 11 + int.from_bytes(tag[1:], "big") + 4 if len(tag) == 4 else 15
    return at


def _ogg_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last page of an Ogg file, plus one if that page is not marked as the last."""
    file.seek(max(0, size - TAIL))
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return size + 1
    missing = max(0, 27 + page[26] + sum(page[27 : 27 + page[26]]) - len(page))
    return size + (missing or not page[5] & 4)


def _asf_end(file: BinaryIO, size: int) -> int:
    """Return the size that an ASF (WMV) file declares, or the actual size if it was written live."""
    head = file.read(64 << 10)
    at = head.find(ASF_FILE)
    if at < 0 or len(head) < at + 92:
        return size
    live = int.from_bytes(head[at + 88 : at + 92], "little") & 1
    return size if live else int.from_bytes(head[at + 40 : at + 48], "little")


def _mxf_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last part of an MXF file, from its footer on, or the actual size if none is named."""
    head = file.read(64)
    footer = _klv_value(head, 0) + 24
    at = int.from_bytes(head[footer : footer + 8], "big")
    if at == 0:
        return size
    while at < size:
        file.seek(at)
        part = file.read(25)
        if len(part) < 17 or not part.startswith(MXF_HEADER[:4]):
            return size + (len(part) < 17)
        value = _klv_value(part, 0)
        at += value + int.from_bytes(part[17:value] if value > 17 else part[16:17], "big")
    return max(at, size + (at > size))


def _klv_value(data: bytes, at: int) -> int:
    """Return where the value begins of a part whose key is at `at`: after the 16-byte key and the length."""
    length = data[at + 16] if len(data) > at + 16 else 0
    return at + 17 + (length & 0x7F if length & 0x80 else 0)


def _rm_end(file: BinaryIO, size: int) -> int:
    """Return the approximate end of the last chunk of a RealMedia file; some writers count a header twice."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        kind, length = struct.unpack(">4sI", file.read(8))
        if length < 8 or kind not in (b".RMF", b"PROP", b"CONT", b"MDPR", b"DATA", b"INDX"):
            return size
        at += length
    return at - 64


def _ivf_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last frame of an IVF file."""
    at = 32
    while at < size:
        file.seek(at)
        at += 12 + int.from_bytes(file.read(4), "little")
    return at


def _dv_end(_: BinaryIO, size: int) -> int:
    return size + -size % 12000  # a frame has ten sequences of that size, or twelve


def _jpegs_end(file: BinaryIO, size: int) -> int:
    """Return the end of a chain of JPEG pictures (mjpeg), plus one if the last picture has no end."""
    file.seek(max(0, size - 4096))
    return size + (not file.read().rstrip(b"\0").endswith(b"\xff\xd9"))


def _packs_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last packet of an MPEG program stream (mpg, vob)."""
    start = max(0, size - TAIL)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"\0\0\1\xba")
    while 0 <= at < len(tail):
        head = tail[at : at + 14]
        if len(head) >= 4 and not head.startswith(b"\0\0\1"):
            return size  # padding
        if len(head) < 4:
            return size + bool(head.strip(b"\0"))
        if head[3] == 0xB9:
            at += 4
        elif head[3] == 0xBA:
            at += 12 if len(head) < 14 or head[4] >> 6 != 1 else 14 + (head[13] & 7)
        else:
            at += 6 + int.from_bytes(head[4:6], "big") if len(head) >= 6 else 7
    return max(size, start + at)


def _y4m_end(file: BinaryIO, size: int) -> int:
    """Return the end of the last frame of a YUV4MPEG2 file: a line, then samples of the size in the first line."""
    head = file.readline(4096)
    told = {word[:1]: word[1:] for word in head.split()[1:]}
    width, height, chroma = told.get(b"W", b""), told.get(b"H", b""), told.get(b"C", b"420")
    layout = re.match(rb"(420|422|444alpha|444|411|mono)\w*?(?:p(\d+)|(\d\d))?\Z", chroma)
    if not (layout and width.isdigit() and height.isdigit()):
        return size
    across, down, planes = {b"420": (2, 2, 2), b"422": (2, 1, 2), b"411": (4, 1, 2), b"mono": (1, 1, 0)}.get(
        layout[1], (1, 1, 3 if layout[1] == b"444alpha" else 2)
    )
    samples = int(width) * int(height) + planes * -(-int(width) // across) * -(-int(height) // down)
    width_of = 1 if int(layout[2] or layout[3] or 8) <= 8 else 2
    at = len(head)
    while at < size:
        file.seek(at)
        line = file.readline(4096)
        if not line.startswith(b"FRAME"[: len(line)]):
            return size
        at += len(line) + samples * width_of
    return at


ENDS: dict[bytes, Callable[[BinaryIO, int], int]] = {
    EBML.to_bytes(4, "big"): lambda file, _: _matroska_end(file),
    b"RIFF": _riff_end,
    b"GIF8": _gif_end,
    b"FLV": _flv_end,
    b"OggS": _ogg_end,
    ASF_HEADER: _asf_end,
    MXF_HEADER: _mxf_end,
    b".RMF": _rm_end,
    b"DKIF": _ivf_end,
    b"\x1f\x07\0": _dv_end,
    b"\0\0\1\xba": _packs_end,
    b"\xff\xd8\xff": _jpegs_end,
    b"YUV4MPEG2 ": _y4m_end,
}
"""Functions that find the declared end, by the beginning of a file."""
