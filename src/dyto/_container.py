"""A video file as a container: opening it, its packets, and whether it is whole.

Decoders conceal a missing tail, headers round durations, and sound may outlast the pictures; the sizes that
the outermost boxes declare are exact.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from dyto.errors import VideoError

log = logging.getLogger(__name__)

LOCAL = {"protocol_whitelist": "file"}
CARDS = ("cuda", "videotoolbox", "d3d11va", "vaapi")
EBML, SEGMENT = 0x1A45DFA3, 0x18538067
BOXES = tuple(b"ftyp moov mdat free skip wide moof mfra sidx styp udta uuid meta pnot".split())
TS_PACKET = 188
TEXT_FORMATS = ("hls", "dash", "concat", "sdp", "rtsp", "tty")  # text that FFmpeg would take for a video


@contextmanager
def opened(path: Path, hardware: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its main video stream; local files only, whatever a playlist may name.

    Args:
        path: The file.
        hardware: Decode with the graphics card where there is one that can.
    """
    try:
        container = _open(path, hardware)
    except av.FFmpegError as err:
        raise VideoError(
            f"{path.name} cannot be opened: {reason(err)}; expected mp4, mkv, mov, avi, webm or gif: "
            "check that it is one and was copied whole"
        ) from err
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams or container.format.name in TEXT_FORMATS:
            found = ", ".join(sorted({s.type for s in container.streams})) or "no stream"
            raise VideoError(
                f"{path.name} has no pictures: found {found} ({container.format.name}), expected a video "
                "stream: give another file"
            )
        stream = streams[0]
        if stream.codec_context is None:
            raise VideoError(
                f"{path.name}: no decoder for its video stream, expected H.264, HEVC, VP9, AV1 or the like: "
                "convert it with ffmpeg"
            )
        stream.thread_type = "AUTO"
        yield container, stream


def _open(path: Path, hardware: bool) -> InputContainer:
    here = set(hwdevices_available()) if hardware else set()
    for kind in (kind for kind in CARDS if kind in here):
        try:
            accelerator = HWAccel(kind, allow_software_fallback=True)
            return av.open(str(path.absolute()), "r", metadata_errors="ignore", options=LOCAL, hwaccel=accelerator)
        except av.FFmpegError as err:
            log.info("%s is not decoded by %s: %s", path.name, kind, reason(err))
    return av.open(str(path.absolute()), "r", metadata_errors="ignore", options=LOCAL)


def reason(err: av.FFmpegError) -> str:
    """What FFmpeg says, without its number and function."""
    return (err.strerror or type(err).__name__).lower()


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """The packets of a stream from here on, without the empty ones that mark its end or a dropped frame."""
    while True:
        try:
            yield from (packet for packet in container.demux(stream) if packet.size)
            return
        except IndexError:  # PyAV's, over a packet of a stream that appears in mid-file: go on after it
            continue


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
        if head[4:8] in BOXES:
            return max(0, _boxes_end(file, size) - size)
        if head[:4] == b"GIF8":
            return 0 if _gif_is_whole(file) else 1
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
        if length < 8 or kind not in BOXES:  # 0 means up to the end; what is no box is padding
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


def _gif_is_whole(file: BinaryIO) -> bool:
    """Whether the blocks of a GIF file go on up to its trailer."""

    def table(flags: int) -> None:  # a table of 2 ** (n + 1) colours, where there is one
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
