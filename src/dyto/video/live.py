"""Frames as they come: of a file, of a camera, or of a video that another program writes to a pipe."""

from __future__ import annotations

import math
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dyto.errors import VideoError
from dyto.video.container import CameraDevice, opened, opened_stream, packets_of, reason
from dyto.video.limits import Limits
from dyto.video.paths import existing
from dyto.video.rgb import matrix_of, to_rgb, upright
from dyto.video.sampling import TargetSize

if TYPE_CHECKING:
    from dyto.video.sampling import FrameSize

PIPE = "-"
CAMERA = "camera"


class Source(NamedTuple):
    """A video to watch.

    Attributes:
        name: What it is called.
        file: Its path, if it is a file.
        live: Bytes or a camera, if it is still filmed: frames that nobody takes in time are lost.
    """

    name: str
    file: Path | None = None
    live: BinaryIO | CameraDevice | None = None

    @classmethod
    def of(cls, text: str, pipe: BinaryIO | None = None) -> Source:
        """Return the source that a command names.

        Args:
            text: A file, "-" for standard input, "camera" or "camera:NUMBER", or the device of one.
            pipe: What "-" stands for; None for standard input.

        Raises:
            VideoError: There is no such file.
        """
        if text == PIPE:
            return cls("standard input", live=pipe or sys.stdin.buffer)
        if text == CAMERA or text.startswith(f"{CAMERA}:"):
            return cls(text, live=CameraDevice.of(text.partition(":")[2] or "0"))
        path = Path(text)
        if path.exists() and stat.S_ISCHR(path.stat().st_mode):
            return cls(text, live=CameraDevice.of(text))
        return cls(path.name, file=existing(text))

    def opened(self, limits: Limits) -> AbstractContextManager[tuple[InputContainer, VideoStream]]:
        """Open it."""
        if self.file is not None:
            return opened(self.file, limits=limits)
        assert self.live is not None
        return opened_stream(self.live, self.name, limits)


class LiveFrames:
    """The frames of a source, one after another.

    Attributes:
        source: The source.
        broken: Parts of it that could not be decoded.

    Example:
        >>> for pixels, seconds in LiveFrames(Source.of("clip.mp4"), 336):  # doctest: +SKIP
        ...     print(pixels.shape, seconds)
    """

    def __init__(self, source: Source, size: FrameSize, fps: float | None = None, limits: Limits | None = None) -> None:
        """Prepare to read.

        Args:
            source: The source.
            size: As for `dyto.sample_frames`; large frames are shrunk on their way to it.
            fps: Frames a second that will be wanted: others are not converted. None for all.
            limits: Limits of its frames; None for the defaults.
        """
        self.source, self.broken = source, 0
        self._fit, self._fps, self._limits = TargetSize(size), fps, limits or Limits()

    def __iter__(self) -> Iterator[tuple[NDArray[np.uint8] | None, float]]:
        """Yield (H, W, 3) uint8 pixels, or None for a frame that comes too early for `fps`, and its second.

        Raises:
            VideoError: The source cannot be opened, or a frame is too large.
        """
        taken: int | None = None
        reformatter, matrix, first = VideoReformatter(), None, None
        with self.source.opened(self._limits) as (container, stream):
            base = stream.time_base or Fraction(1, 1000)
            step = 1 / float(stream.guessed_rate or stream.average_rate or Fraction(25))
            seconds = -step
            for frame in self._decoded(container, stream):
                self._limits.check_growth(self.source.name, frame.height, frame.width, frame.height * frame.width)
                if first is None:
                    first, matrix = frame.pts or 0, matrix_of(frame)
                shown = seconds + step if frame.pts is None else float((frame.pts - first) * base)
                if not math.isfinite(shown) or shown <= seconds:
                    shown = seconds + step  # a clock that was set back
                seconds = shown
                slot = taken if self._fps is None else math.floor(seconds * self._fps + 1e-6)
                if self._fps is not None and slot == taken:
                    yield None, seconds
                    continue
                taken = slot
                pixels, _ = to_rgb(frame, reformatter, matrix, self._fit)
                yield np.ascontiguousarray(upright(pixels, matrix)), seconds

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """Decode, and go on after what cannot be decoded."""
        packets = packets_of(container, stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                self.broken += 1
                packet = None
            try:
                yield from stream.codec_context.decode(packet)
            except av.EOFError:
                return
            except av.FFmpegError as err:
                self.broken += 1
                if self.broken > MOST_BROKEN:
                    raise VideoError(
                        f"{self.source.name}: {self.broken} parts cannot be decoded (the last: {reason(err)}), "
                        "expected a whole video: check it with ffmpeg -i"
                    ) from err
            if packet is None:
                return


MOST_BROKEN = 1000
"""Parts that cannot be decoded, after which a source is given up."""
