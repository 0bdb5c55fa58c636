"""Video files as containers: opening them only in allowed formats, and reading their packets.

Some FFmpeg formats are lists of other files, devices, addresses and name patterns, and FFmpeg recognises them by
content, whatever the file's name. This module restricts FFmpeg to a list of formats and to local files. It is the only
place that opens a container.
"""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

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
"""Allowed FFmpeg formats: they contain their own pictures and name no other file."""

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
"""Beginnings of text formats that name other files or addresses, used in error messages."""

ROOM = 2
"""Factor on the allowed pixels above which a decoder itself refuses frames; smaller ones are refused by size."""


ALONE = ("hevc", "vp8", "mjpeg")
"""Decoders that do not notice damage, and give different pictures with several threads than with one."""

CONCEALING = ("h264",)
"""Decoders that may silently make up part of a picture, and with several threads a different part each time."""


@contextmanager
def opened(
    path: Path, hardware: bool = False, limits: Limits | None = None, strict: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its main video stream, and no other file that it may name.

    Args:
        path: The file.
        hardware: Decode with the graphics card if it can.
        limits: Limits of the file; None for the defaults.
        strict: Make the decoder fail instead of making up parts of a frame. With several threads, the decoder's own
            mark on such a frame is unreliable: one thread may output the frame before another finds the damage.

    Raises:
        VideoError: The file is not a video in an allowed format, or over a limit.
    """
    limits = limits or Limits()
    try:
        container = _open(path, hardware, {"protocol_whitelist": "file", **_options(limits)})
    except av.FFmpegError as err:
        raise _unopened(path, err) from err
    with _pictures_of(container, path.name, limits, strict) as stream:
        yield container, stream


@contextmanager
def opened_stream(
    source: BinaryIO | CameraDevice, name: str, limits: Limits
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open what is still being filmed.

    Args:
        source: Bytes of a video in an allowed format, such as those of a pipe; or a camera.
        name: What messages call it.
        limits: Limits of its frames.

    Raises:
        VideoError: It is no video in an allowed format, there is no such camera, or a limit is passed.
    """
    try:
        if isinstance(source, CameraDevice):
            container = av.open(source.device, "r", source.format, {"max_pixels": str(limits.pixels)})
        else:
            container = av.open(source, "r", None, _options(limits), metadata_errors="ignore")
    except (av.FFmpegError, ValueError) as err:
        found = reason(err) if isinstance(err, av.FFmpegError) else str(err)
        expected = (
            "a camera that is plugged in and free" if isinstance(source, CameraDevice) else f"a stream as of {KNOWN}"
        )
        raise VideoError(
            f"{name} cannot be opened ({found}), expected {expected}: check it with ffmpeg -i, or pass its pictures on "
            "by ffmpeg -i SOURCE -f matroska -"
        ) from err
    with _pictures_of(container, name, limits, False) as stream:
        yield container, stream


class CameraDevice(NamedTuple):
    """A camera, as FFmpeg names it.

    Attributes:
        device: Its name.
        format: FFmpeg's input format for such devices.
    """

    device: str
    format: str

    @classmethod
    def of(cls, number: str) -> CameraDevice:
        """Return the camera with a number or a name on this system."""
        if sys.platform == "darwin":
            return cls(number, "avfoundation")
        if sys.platform == "win32":
            return cls(f"video={number}", "dshow")
        return cls(f"/dev/video{number}" if number.isdigit() else number, "v4l2")


def _options(limits: Limits) -> dict[str, str]:
    return {"format_whitelist": ",".join(FORMATS), "max_pixels": str(min(limits.pixels, 2**31 - 1))}


@contextmanager
def _pictures_of(container: InputContainer, name: str, limits: Limits, strict: bool) -> Iterator[VideoStream]:
    """Find the stream of pictures in an open container, and close the container at the end.

    Raises:
        VideoError: There is none, or it is over a limit.
    """
    with container:
        limits.check_streams(name, len(container.streams))
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            found = ", ".join(sorted({s.type for s in container.streams})) or "no stream"
            raise VideoError(
                f"{name} has no pictures: found {found} ({container.format.name}), expected a video "
                "stream: give another file"
            )
        stream = streams[0]
        if stream.codec_context is None:
            raise VideoError(
                f"{name}: no decoder for its video stream, expected H.264, HEVC, VP9, AV1 or the like: "
                "convert it with ffmpeg"
            )
        limits.check_size(name, stream.codec_context.height, stream.codec_context.width)
        strictly = {"err_detect": "explode"} if strict else {}
        most = limits.pixels_beside(stream.codec_context.height * stream.codec_context.width)
        stream.codec_context.options = {"max_pixels": str(min(most * ROOM, 2**31 - 1)), **strictly}
        stream.thread_type = "NONE" if stream.codec_context.name in (*ALONE, *CONCEALING) else "AUTO"
        yield stream


def _open(path: Path, hardware: bool, options: dict[str, str]) -> InputContainer:
    here = set(hwdevices_available()) if hardware else set()
    file = str(path.absolute())  # it begins with a slash or a drive, so it cannot be taken for a protocol
    with path.open("rb") as begin:
        known = "mjpeg" if begin.read(3) == b"\xff\xd8\xff" else None  # its name might look like a series of files
    for kind in (kind for kind in CARDS if kind in here):
        try:
            accelerator = HWAccel(kind, allow_software_fallback=True)
            return av.open(file, "r", known, options, metadata_errors="ignore", hwaccel=accelerator)
        except av.FFmpegError as err:
            log.info("%s is not decoded by %s: %s", path.name, kind, reason(err))
    return av.open(file, "r", known, options, metadata_errors="ignore")


def _unopened(path: Path, err: av.FFmpegError) -> VideoError:
    """Return the error for a file that FFmpeg does not open."""
    with path.open("rb") as file:
        head = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    listed = next((what for start, what in LISTS.items() if head.lower().startswith(start.lower())), None)
    if listed is None and head.startswith(b"<") and b"<mpd" in head.lower():
        listed = LISTS[b"<MPD"]
    if listed:
        return VideoError(
            f"{path.name} is {listed}, which names other files, expected a video in one file ({KNOWN}): download the "
            "video itself and give its path"
        )
    found = "its format is not supported" if err.errno == errno.EINVAL else reason(err)
    return VideoError(
        f"{path.name} cannot be opened: {found}; expected {KNOWN}: check that it is a complete video, or convert it"
    )


def reason(err: av.FFmpegError) -> str:
    """Return FFmpeg's message without its number and function."""
    return (err.strerror or type(err).__name__).lower()


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """Iterate over the packets of a stream from here on, without empty packets (end of stream, dropped frames)."""
    while True:
        try:
            yield from (packet for packet in container.demux(stream) if packet.size)
            return
        except IndexError:  # PyAV raises it for a packet of a stream that appears in mid-file: continue after it
            continue
