"""Encoding of clips that cannot be copied, as H.264 that differs from the source by hardly visible noise."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
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
from dyto.video.limits import Limits
from dyto.video.muxing import write_clip
from dyto.video.rgb import Matrix, quarter_turned, upright
from dyto.video.sampling import FrameTimes, resized
from dyto.video.stretches import IndexBroken, decoded_stretch
from dyto.video.through import decoded_frames

CODING = {"crf": "12", "preset": "fast"}
"""Quality of encoded clips; at this rate factor the noise is about 1 gray level of 255."""

CLOCK = 90_000
"""Ticks a second of encoded clips."""


def encode_clip(
    path: Path,
    target: Path,
    index: Index | None,
    timeline: FrameTimes,
    numbers: range,
    seconds: tuple[float, float],
    limits: Limits | None,
) -> bool | None:
    """Decode frames and encode them again.

    Args:
        path: The video.
        target: The file to write, an MP4.
        index: Its packets, if they can be trusted; otherwise the file is decoded from its beginning.
        timeline: Times of all frames.
        numbers: Numbers of the frames.
        seconds: Start and end in the video.
        limits: Limits of the file.

    Returns:
        As for `write_clip`.

    Raises:
        IndexBroken: The frames did not come out as the index says.
        VideoError: The frames did not come out again from the beginning.
    """
    with opened(path, limits=limits) as (container, stream):
        scan = Index.scan(path, limits) if index is None else index
        frames = _every(container, stream, scan, numbers) if index is None else _some(container, stream, scan, numbers)
        failed = VideoError if index is None else IndexBroken
        head = next(frames, None)
        if head is None:
            raise failed(f"{path.name}: frame {numbers.start} did not come out again: convert it first")
        times = np.rint((timeline.seconds[numbers.start : numbers.stop] - seconds[0]) * CLOCK).astype(np.int64)
        pixels = _Pixels(head, scan.matrix)

        def encoded(out: VideoStream) -> Iterator[av.Packet]:
            count = 0
            for count, frame in enumerate(chain([head], frames), start=1):
                made = pixels.of(frame)
                made.pts, made.time_base = int(times[count - 1]), Fraction(1, CLOCK)
                yield from _timed(out.encode(made))
            if count != len(numbers):
                raise failed(f"{path.name}: {count} of {len(numbers)} frames came out again: convert it first")
            yield from _timed(out.encode(None))

        base = stream.time_base or Fraction(1, 1000)
        origin = float(scan.ticks[0] * base) if len(scan.ticks) else 0.0
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        with closing(frames):
            return write_clip(path, target, "mp4", lambda out: pixels.add_to(out, rate), encoded, seconds, origin)


def _timed(packets: Sequence[av.Packet]) -> Iterator[av.Packet]:
    return (packet for packet in packets if packet.dts is not None)


def _some(container: Any, stream: VideoStream, index: Index, numbers: range) -> Generator[av.VideoFrame, None, None]:
    """Decode frames from the key frame that they depend on."""
    (first, last, wanted), *others = index.stretches(numbers)
    for begin, end, more in others:
        first, last, wanted = min(first, begin), max(last, end), wanted | more
    if first:
        container.seek(int(index.pts[first]), stream=stream)
    for frame in decoded_stretch(stream, packets_of(container, stream), index, first, last, wanted):
        if frame.is_corrupt:
            raise IndexBroken(f"the frame at tick {frame.pts} is damaged")
        if index.number(frame.pts) in numbers:
            yield frame


def _every(container: Any, stream: VideoStream, index: Index, numbers: range) -> Generator[av.VideoFrame, None, None]:
    """Decode a file from its beginning, as its timeline was found."""
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    begin = int(np.argmax(index.key)) if index.key.size else 0
    with closing(decoded_frames(container, stream, begin, [], index.limits)) as frames:
        for number, frame in enumerate(frames):
            if number >= numbers.stop:
                return
            if number in numbers:
                yield frame


class _Pixels:
    """The form in which the frames of a clip are encoded, taken from its first frame."""

    def __init__(self, head: av.VideoFrame, matrix: Matrix | None) -> None:
        self._matrix = matrix if matrix is not None and tuple(matrix) != (1 << 16, 0, 0, 1 << 16) else None
        turned = quarter_turned(self._matrix)
        self.width, self.height = (head.height, head.width) if turned else (head.width, head.height)
        known = {form.name for form in av.Codec("libx264", "w").video_formats or ()}
        even = self.width % 2 == 0 and self.height % 2 == 0
        usual = "yuv420p" if even else "yuv444p"
        own = head.format.name
        fits = own in known and (even or "444" in own)
        self.form = own if fits and self._matrix is None else usual

    def add_to(self, out: OutputContainer, rate: Fraction) -> VideoStream:
        """Add a stream of these pictures."""
        stream: VideoStream = out.add_stream("libx264", rate=rate, options=CODING)
        stream.width, stream.height, stream.pix_fmt = self.width, self.height, self.form
        stream.codec_context.time_base = stream.time_base = Fraction(1, CLOCK)
        return stream

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame in this form, upright."""
        if self._matrix is not None:
            pixels = np.ascontiguousarray(upright(frame.to_ndarray(format="rgb24"), self._matrix))
            frame = av.VideoFrame.from_ndarray(resized(pixels, self.height, self.width), format="rgb24")
        made = frame
        if (frame.format.name, frame.width, frame.height) != (self.form, self.width, self.height):
            made = frame.reformat(self.width, self.height, self.form)
        made.pict_type = av.video.frame.PictureType.NONE
        return made
