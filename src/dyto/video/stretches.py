"""Parallel decoding of stretches of a video file, each from a key frame to a wanted frame.

A multithreaded decoder gains little if it restarts every few frames. So there are several decoders, each with its own
open file, and each stretch goes to the next free one; the result is the same bit for bit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from dyto.savings import Savings
from dyto.video.container import ALONE, opened, packets_of
from dyto.video.index import Index
from dyto.video.rgb import Filler
from dyto.video.sampling import FrameBuffer

SEEK_BYTES, SEEK_PACKETS = 1 << 20, 100  # skipping fewer bytes than this is as fast as seeking

MOST_DECODERS = 8
"""Largest number of decoders, because each opens the file and holds its own pictures."""

DECODER_PICTURES, MOST_BYTES = 24, 1 << 30
"""Pictures that a decoder may hold, at 3 bytes for two pixels, and memory of all decoders together."""


class IndexBroken(Exception):
    """Error for decoded frames that contradict the packets."""


def read_stretches(path: Path, index: Index, savings: Savings, buffer: FrameBuffer) -> None:
    """Decode from key frames to wanted frames only.

    Args:
        path: The file.
        index: Packets of the file; they must be trusted.
        savings: With `parallel`, decode several stretches at the same time; with `hardware`, on the graphics card.
        buffer: Buffer to fill with its wanted frames.

    Raises:
        IndexBroken: The file contradicts its index.
    """
    work = _Work(path, index, savings, buffer)
    helpers = [threading.Thread(target=work.run, name="dyto-stretches", daemon=True) for _ in range(work.decoders - 1)]
    try:
        for helper in helpers:
            helper.start()
        work.run()
        for helper in helpers:
            helper.join()
    finally:
        work.end = -1
    if work.failed:
        raise work.failed[min(work.failed)]  # the error that a single decoder would have met first
    if buffer.left and work.unopened:  # if some decoders did not open, the others have done their work
        raise work.unopened
    if buffer.left:
        raise IndexBroken(f"{len(buffer.left)} of {len(buffer.rows)} frames did not come out")


def decoders_for(stretches: int, area: int) -> tuple[int, int]:
    """Return how many decoders are worthwhile, and the threads of each (0 for the decoder's default).

    Args:
        stretches: The stretches to decode.
        area: Number of pixels of a picture.
    """
    room = MOST_BYTES // (max(area, 1) * 3 // 2 * DECODER_PICTURES + 1)
    count = max(1, min(stretches, cores(), MOST_DECODERS, room))
    return (count, max(1, cores() // count)) if count > 1 else (1, 0)


def cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Work:
    """The stretches of a buffer, shared by decoders that run at the same time.

    Attributes:
        decoders: Number of decoders.
        end: The first stretch that is not decoded.
        failed: Errors by the number of their stretch; -1 for an interrupt.
        unopened: Why a decoder could not start.
    """

    def __init__(self, path: Path, index: Index, savings: Savings, buffer: FrameBuffer) -> None:
        self.failed: dict[int, BaseException] = {}
        self.unopened: Exception | None = None
        self._path, self._index, self._savings, self._buffer = path, index, savings, buffer
        self._stretches = index.stretches(buffer.wanted)
        alone = savings.hardware or not savings.parallel
        self.decoders, self._threads = (1, 0) if alone else decoders_for(len(self._stretches), index.area)
        # Decoding from a key frame, an open group lacks the references of its first pictures, which is not damage. A
        # decoder that must not fail there reports the same damage every time only with one thread.
        self._strict = not index.open_groups
        self._threads = self._threads if self._strict else 1
        self.end = len(self._stretches)
        self._taken = -1
        self._lock = threading.Lock()
        self._begun = threading.Event()  # the first frame has arrived and determined the size of the buffer

    def run(self) -> None:
        """Decode stretches until there are no more; an error ends the work on all later stretches."""
        try:
            while self._taken + 1 < self.end:
                hardware, limits = self._savings.hardware, self._index.limits
                with opened(self._path, hardware, limits, strict=self._strict) as (container, stream):
                    self._decode(container, stream, anew=stream.codec_context.name in ALONE)
        except Exception as err:  # noqa: BLE001 - raised by whoever asked for the frames
            self.unopened = err
        except BaseException as err:  # noqa: BLE001
            self._fail(-1, err)

    def _decode(self, container: InputContainer, stream: VideoStream, anew: bool) -> None:
        """Decode one or all stretches; parts missing from a damaged key frame are filled from earlier pictures."""
        index, at = self._index, 0
        packets, filler = packets_of(container, stream), Filler(self._buffer, self._savings, index.matrix)
        if self._threads:
            stream.codec_context.thread_count = self._threads
        while (number := self._take()) < self.end:
            first, last, wanted = self._stretches[number]
            try:
                if index.end[first] - index.end[at] > SEEK_BYTES or first - at > SEEK_PACKETS:
                    container.seek(int(index.pts[first]), stream=stream)
                    packets = packets_of(container, stream)
                self._fill(number, filler, decoded_stretch(stream, packets, index, first, last, wanted))
            except BaseException as err:  # noqa: BLE001 - raised by whoever asked for the frames
                self._fail(number, err)
                return
            finally:
                if number == 0:
                    self._begun.set()
            if anew:
                return
            at = last

    def _take(self) -> int:
        with self._lock:
            self._taken += 1
            return self._taken

    def _fail(self, number: int, err: BaseException) -> None:
        place = number if isinstance(err, Exception) else -1
        with self._lock:
            self.failed[place] = err
            self.end = min(self.end, place)

    def _fill(self, number: int, filler: Filler, frames: Iterator[av.VideoFrame]) -> None:
        before, size = -1, (0, 0)
        for frame in frames:
            self._buffer.check()
            if number > self.end:
                return
            position = self._index.number(frame.pts)
            if position <= before:
                raise IndexBroken(f"the frame at tick {frame.pts} comes out of turn")
            if frame.is_corrupt:
                raise IndexBroken(f"the frame at tick {frame.pts} is damaged")
            if size != (frame.height, frame.width):
                size = frame.height, frame.width
                self._index.limits.check_growth(f"{self._path.name}, frame {position}", *size, self._index.area)
            if position in self._buffer.left:
                if number:
                    self._begun.wait()
                filler.put(position, frame)
                self._begun.set()
            before = position


def decoded_stretch(
    stream: VideoStream, packets: Iterable[av.Packet], index: Index, first: int, last: int, wanted: set[int]
) -> Iterator[av.VideoFrame]:
    """Decode the packets from `first` to `last`, skipping earlier ones."""
    context, at = stream.codec_context, first - 1
    # In H.264, a picture that no other refers to need not be decoded for the others. (In HEVC the flag concerns
    # only one temporal layer.)
    skipped: Any = "NONREF" if context.name == "h264" else "DEFAULT"
    for packet in packets:
        time = packet.pts
        if time != index.pts[at + 1]:  # no two packets have the same time
            if at < first and index.position(time) < first:
                continue
            raise IndexBroken(f"packet {at + 1} was not found again")
        at += 1
        context.skip_frame = "DEFAULT" if at in wanted else skipped
        yield from context.decode(packet)
        if at == last:
            break
    yield from context.decode(None)
    context.flush_buffers()
