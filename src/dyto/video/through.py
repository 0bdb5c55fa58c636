"""Reading a whole video file: every frame is decoded, and the decoded frames define the timeline."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from dyto.errors import VideoError
from dyto.savings import Savings
from dyto.video.container import opened, packets_of, reason
from dyto.video.index import Index, timeline_of
from dyto.video.limits import Limits
from dyto.video.rgb import Filler
from dyto.video.sampling import FrameBuffer, FrameTimes, Request, TargetSize, fill_times


@dataclass
class Decoded:
    """The frames read from a file, their timeline, and notes about them."""

    buffer: FrameBuffer
    timeline: FrameTimes
    total: int
    warnings: tuple[str, ...] = ()


def read_through(
    path: Path, index: Index, request: Request, fit: TargetSize, missing: int, allow_partial: bool, savings: Savings
) -> Decoded:
    """Decode every frame. The packets only give a guess; if it was wrong, a second pass follows.

    Damaged files are read again by a single thread, because threads handle damage differently each time.
    """
    guess = np.empty(0, np.int64)
    with suppress(VideoError):
        guess, _ = request.choose(index.timeline, path.name)
    alone = missing > 0
    for _ in range(4):
        buffer = FrameBuffer(guess, fit, path.name)
        roll = unroll(path, index, buffer, savings, alone)
        if not alone and (roll.damage or roll.concealed):
            alone = True
            continue
        timeline, count = roll.timeline, len(roll.timeline.seconds)
        damage = roll.damage[0] if roll.damage else f"{missing} bytes or more are missing at its end" if missing else ""
        if not count:
            why = f" ({damage})" if damage else ""
            raise VideoError(f"{path.name}: found no frame that can be decoded{why}, expected some: get the file again")
        readable = f"{count} frames up to {timeline.seconds[-1]:.2f} s could be read ({damage})"
        if damage and not allow_partial:
            raise VideoError(
                f"{path.name} is broken: {readable}, expected a whole file: get it again, or "
                "use what there is with allow_partial (--allow-partial)"
            )
        wanted, total = request.choose(timeline, path.name)
        if np.array_equal(wanted, guess):
            notes, made_up = request.notes(timeline), roll.made_up
            if damage:
                notes = (f"{path.name} is broken: only {readable}{made_up and ', and '}{made_up}",)
            elif made_up:
                notes = (f"{path.name} is damaged: {made_up}", *notes)
            return Decoded(buffer, timeline, total, (*notes, *buffer.notes))
        guess = wanted
    raise VideoError(f"{path.name} decodes differently each time, expected the same frames: convert it")


@dataclass
class Roll:
    """A file decoded from beginning to end.

    Attributes:
        timeline: The decoded frames' times.
        damage: The part that could not be decoded.
        concealed: Frames that the decoder partly made up.
    """

    timeline: FrameTimes
    damage: list[str]
    concealed: list[int]

    @property
    def made_up(self) -> str:
        """Note about frames that came out damaged."""
        if not self.concealed:
            return ""
        count, first = len(self.concealed), self.timeline.seconds[self.concealed[0]]
        return f"the decoder made up parts of {count} of {len(self.timeline.seconds)} frames, from {first:.2f} s on"


def unroll(path: Path, index: Index, buffer: FrameBuffer, savings: Savings, alone: bool) -> Roll:
    """Decode a file from beginning to end, with one thread if `alone`, else with several."""
    times: list[int | None] = []
    intra: list[bool] = []
    damage: list[str] = []
    concealed: list[int] = []
    last = 0
    with opened(path, limits=index.limits, strict=not alone) as (container, stream):
        if alone:
            stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        filler = Filler(buffer, savings, index.matrix)
        begin = int(np.argmax(index.key)) if index.key.size else 0
        with closing(decoded_frames(container, stream, begin, damage, index.limits)) as frames:
            for frame in frames:
                index.limits.check_growth(f"{path.name}, frame {len(times)}", frame.height, frame.width, index.area)
                if frame.is_corrupt:
                    concealed.append(len(times))
                if len(times) in buffer.rows:
                    filler.put(len(times), frame)
                times.append(frame.pts)
                intra.append(bool(frame.key_frame))
                last = frame.duration or 0
        base = stream.time_base or Fraction(1, 1000)
        rate = stream.guessed_rate or stream.average_rate or Fraction(25)
    ticks = fill_times(times, float(1 / (rate * base)))
    return Roll(timeline_of(ticks - ticks[:1], last, base, np.array(intra, dtype=bool)), damage, concealed)


def decoded_frames(
    container: InputContainer, stream: VideoStream, begin: int, damage: list[str], limits: Limits
) -> Generator[av.VideoFrame, None, None]:
    """Decode all packets from `begin` on, and note in `damage` what cannot be decoded."""
    packets = packets_of(container, stream)
    for _ in range(begin):  # before the first key frame: the recording begins in mid-stream
        next(packets, None)
    packet: av.Packet | None
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as err:
            damage.append(reason(err))
            packet = None
        if packet is not None and packet.is_corrupt:
            damage.append("a packet is cut short")
            continue
        try:
            yield from stream.codec_context.decode(packet)
        except av.FFmpegError as err:
            most = f"{limits.megapixels:g} megapixels that are allowed (--raise-limit megapixels=NUMBER)"
            too_large = f"a frame without a size, or of more than the {most}"
            damage.append(too_large if err.errno == errno.EINVAL else reason(err))
        if packet is None:
            return
