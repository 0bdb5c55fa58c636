"""A video file as a container: opening it as what it may be, and its packets.

FFmpeg knows formats that are lists of other files, devices, addresses and patterns of names, and takes a file for one
of them by its content, whatever it is called. Here it is told which formats there are, and that files are all it may
open. This is the one place that opens a container.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from dyto.errors import VideoError
from dyto.video.limits import Limits

log = logging.getLogger(__name__)

CARDS = ("cuda", "videotoolbox", "d3d11va", "vaapi")

FORMATS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "ogg", "asf", "gif", "mxf", "rm", "dv", "nut", "wtv", "ivf",
    "obu", "av1", "h264", "hevc", "vvc", "m4v", "mpegvideo", "h261", "h263", "vc1", "mjpeg", "jpeg_pipe",
    "yuv4mpegpipe",
)  # fmt: skip
"""What a file may be to FFmpeg: formats that hold their pictures themselves and name no other file."""

KNOWN = "mp4, mov, mkv, webm, avi, ts, mpg, flv, ogv, wmv or gif"

LISTS = {
    b"#EXTM3U": "a playlist (m3u)",
    b"ffconcat": "a list of files (ffconcat)",
    b"<MPD": "a playlist (DASH)",
    b"<SmoothStreamingMedia": "a playlist (Smooth Streaming)",
    b"[playlist]": "a playlist (pls)",
    b"[Reference]": "a playlist (asx)",
    b"<asx": "a playlist (asx)",
    b"<smil": "a playlist (smil)",
    b"v=0": "a description of a stream (sdp)",
    b"rtsp://": "an address",
    b"http://": "an address",
    b"https://": "an address",
}
"""Beginnings of texts that name other files or addresses, to say what was found."""

ROOM = 2
"""A decoder itself refuses frames of so many times the pixels allowed; those in between are told by their size."""


ALONE = ("hevc", "vp8", "mjpeg")
"""Decoders that do not notice damage, and that give other pictures with several threads than with one."""

CONCEALING = ("h264",)
"""Decoders that may make up a part of a picture without a word, with several threads another part each time."""


@contextmanager
def opened(
    path: Path, hardware: bool = False, limits: Limits | None = None, strict: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its main video stream; nothing but this file, whatever it may name.

    Args:
        path: The file.
        hardware: Decode with the graphics card where there is one that can.
        limits: What it may hold; None for the usual.
        strict: The decoder fails where it would make up a part of a frame. Its note of that on the frame is not to be
            relied on where it has several threads: one may give the frame away before another one finds the damage.

    Raises:
        VideoError: It is no video of a format that is read here, or over a limit.
    """
    limits = limits or Limits()
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(FORMATS),
        "max_pixels": str(min(limits.pixels, 2**31 - 1)),
    }
    try:
        container = _open(path, hardware, options)
    except av.FFmpegError as err:
        raise _unopened(path, err) from err
    with container:
        limits.check_streams(path.name, len(container.streams))
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
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
        limits.check_size(path.name, stream.codec_context.height, stream.codec_context.width)
        strictly = {"err_detect": "explode"} if strict else {}
        most = limits.pixels_beside(stream.codec_context.height * stream.codec_context.width)
        stream.codec_context.options = {"max_pixels": str(min(most * ROOM, 2**31 - 1)), **strictly}
        stream.thread_type = "NONE" if stream.codec_context.name in (*ALONE, *CONCEALING) else "AUTO"
        yield container, stream


def _open(path: Path, hardware: bool, options: dict[str, str]) -> InputContainer:
    here = set(hwdevices_available()) if hardware else set()
    file = str(path.absolute())  # which begins with a slash or a drive: no protocol can be read into it
    with path.open("rb") as begin:
        known = "mjpeg" if begin.read(3) == b"\xff\xd8\xff" else None  # by its name it might be a series of files
    for kind in (kind for kind in CARDS if kind in here):
        try:
            accelerator = HWAccel(kind, allow_software_fallback=True)
            return av.open(file, "r", known, options, metadata_errors="ignore", hwaccel=accelerator)
        except av.FFmpegError as err:
            log.info("%s is not decoded by %s: %s", path.name, kind, reason(err))
    return av.open(file, "r", known, options, metadata_errors="ignore")


def _unopened(path: Path, err: av.FFmpegError) -> VideoError:
    """The error for a file that FFmpeg does not open."""
    with path.open("rb") as file:
        head = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    listed = next((what for start, what in LISTS.items() if head.lower().startswith(start.lower())), None)
    if listed is None and head.startswith(b"<") and b"<mpd" in head.lower():
        listed = LISTS[b"<MPD"]
    if listed:
        return VideoError(
            f"{path.name} is {listed}, which names other files, expected a video in one file ({KNOWN}): give the video "
            "itself, fetched to a file"
        )
    found = "its format is none of those that are read" if err.errno == errno.EINVAL else reason(err)
    return VideoError(
        f"{path.name} cannot be opened: {found}; expected {KNOWN}: check that it is one and was copied whole, or "
        "convert it"
    )


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
