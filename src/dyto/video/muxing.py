"""Writing clips: packets of pictures and of sound, in the order of time, with times that begin at 0."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from dyto.errors import VideoError
from dyto.video.container import opened, packets_of
from dyto.video.index import Index

MUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's writer for each ending."""

IDR = 5
"""Type of the part of an H.264 picture after which no picture refers to one before it."""


def copy_clip(
    path: Path, target: Path, index: Index, stretch: tuple[int, int], seconds: tuple[float, float], ending: str
) -> bool | None:
    """Copy a stretch of packets into a file of its own.

    Args:
        path: The video.
        target: The file to write.
        index: Its packets.
        stretch: First and last packet.
        seconds: Start and end in the video.
        ending: Of the file that it will be.

    Returns:
        As for `write_clip`.

    Raises:
        VideoError: The first packet is none that decoders start from, or a packet was not found again.
        ValueError, av.FFmpegError: The container does not take the stream.
    """
    first, last = stretch
    with opened(path) as (container, stream):
        start = int(index.pts[first])
        packets = _stretch(container, stream, index, first, last)
        head = next(packets)
        if stream.codec_context.name == "h264" and not _refreshes(head, stream.codec_context.extradata):
            raise VideoError("pictures after its first may refer to pictures before it")
        dts = decoding_times(index.pts[first : last + 1] - start)

        def moved() -> Iterator[av.Packet]:
            for packet, time in zip(chain([head], packets), dts.tolist(), strict=True):
                packet.pts, packet.dts = int(packet.pts) - start, time
                yield packet

        return write_clip(
            path,
            target,
            MUXERS[ending],
            lambda out: out.add_stream_from_template(stream),
            lambda _: moved(),
            seconds,
            first_second=float(index.ticks[0] * (stream.time_base or Fraction(1, 1000))),
        )


def _stretch(container: Any, stream: VideoStream, index: Index, first: int, last: int) -> Iterator[av.Packet]:
    """Iterate over the packets of a stretch."""
    if first:
        container.seek(int(index.pts[first]), stream=stream)
    at = first - 1
    for packet in packets_of(container, stream):
        found = index.position(packet.pts)
        if at < first and found < first:
            continue
        at += 1
        if found != at:
            raise VideoError(f"packet {at} was not found again")
        yield packet
        if at == last:
            return
    raise VideoError(f"packet {last} was not found again")


def decoding_times(pts: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return decoding times for presentation times in decoding order: ascending, and none after the presentation.

    Example:
        >>> decoding_times(np.array([0, 3, 1, 2])).tolist()
        [-1, 0, 1, 2]
    """
    ordered = np.sort(pts)
    return ordered - int(np.maximum(ordered - pts, 0).max(initial=0))


def _refreshes(packet: av.Packet, extradata: bytes | None) -> bool:
    """Return whether an H.264 packet holds an IDR picture; other key pictures may be referred across."""
    data = bytes(packet)
    if extradata and extradata[0] == 1:  # lengths before the parts
        width, at = (extradata[4] & 3) + 1, 0
        while at + width < len(data):
            if data[at + width] & 31 == IDR:
                return True
            at += width + int.from_bytes(data[at : at + width], "big")
        return False
    return any(part[:1] and part[0] & 31 == IDR for part in data.split(b"\0\0\1")[1:])


def write_clip(
    path: Path,
    target: Path,
    muxer: str,
    add_video: Callable[[OutputContainer], VideoStream],
    packets: Callable[[VideoStream], Iterator[av.Packet]],
    seconds: tuple[float, float],
    first_second: float,
) -> bool | None:
    """Write a clip.

    Args:
        path: The video, for its sound.
        target: The file to write.
        muxer: FFmpeg's name of the container.
        add_video: Adds the stream of pictures.
        packets: Makes the packets of that stream.
        seconds: Start and end in the video, from its first frame.
        first_second: Time of that frame on the clock of the file.

    Returns:
        Whether there is sound; None if the video has none there.
    """
    options = {"movflags": "+faststart", "fflags": "+bitexact"} if muxer in ("mp4", "mov") else {}
    with av.open(str(target), "w", format=muxer, options=options) as out:
        video = add_video(out)
        with _sound(path, seconds, first_second) as (template, heard):
            sound = None
            if template is not None:
                try:
                    sound = out.add_stream_from_template(template)
                except (ValueError, av.FFmpegError):  # the container takes no such sound
                    heard = iter(())
            parts = [((video, packet) for packet in packets(video))]
            if sound is not None:
                parts.append((sound, packet) for packet in heard)
            written = set()
            for stream, packet in heapq.merge(*parts, key=lambda pair: float(pair[1].dts * pair[1].time_base)):
                packet.stream = stream
                out.mux(packet)
                written.add(stream.index)
            if template is None or (sound is not None and sound.index not in written):
                return None
            return sound is not None


@contextmanager
def _sound(
    path: Path, seconds: tuple[float, float], first_second: float
) -> Iterator[tuple[av.AudioStream | None, Iterator[av.Packet]]]:
    """Open the first track of sound, and its packets between two seconds, with times from the first of them on."""
    with opened(path) as (container, _):
        stream = next(iter(container.streams.audio), None)
        if stream is None or stream.time_base is None:
            yield None, iter(())
            return
        base, (start, end) = stream.time_base, seconds
        begin, stop = (round((first_second + second) / base) for second in (start, end))
        if start > 0:
            container.seek(max(0, begin), stream=stream)
        yield stream, _between(container, stream, begin, stop)


def _between(container: Any, stream: av.AudioStream, begin: int, stop: int) -> Iterator[av.Packet]:
    before = -1
    try:
        for packet in container.demux(stream):
            time = packet.pts if packet.pts is not None else packet.dts
            if not packet.size or time is None or time < begin:
                continue
            if time >= stop:
                return
            time = max(time - begin, before + 1)
            packet.pts = packet.dts = before = time
            yield packet
    except (IndexError, av.FFmpegError):  # the sound ends early, or is damaged: the clip has what there is
        return
