"""Arithmetic of sampling, without any file: which frames to take, and how large to keep them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dyto.errors import ConfigError, VideoError, unknown

empty: Callable[..., NDArray[np.uint8]] = np.empty
"""Function that allocates the array for frames; a process that decodes for another one uses shared memory."""

SAMPLINGS = ("uniform", "iframes")
DEFAULT_NUM_FRAMES = 100
AUTO_FPS, AUTO_FEWEST, AUTO_MOST = 1.0, 100, 1000
"""`fps="auto"`: frames a second of the clip, and the bounds of their number."""


def uniform_indices(total: int, num: int) -> NDArray[np.int64]:
    """Spread `num` indices evenly over `total` frames, as DyTo's release does.

    Args:
        total: Number of frames in the video.
        num: Number of frames to take. If `total <= num`, every frame is taken once.

    Returns:
        (min(total, num),) int64, strictly increasing.

    Raises:
        ConfigError: `total` or `num` is below 1.

    Source:
        The frame sampling in the released code of DyTo (arXiv 2411.14401); rounding is half to even.

    Example:
        >>> uniform_indices(10, 4).tolist()
        [1, 3, 5, 8]
        >>> uniform_indices(3, 100).tolist()
        [0, 1, 2]
    """
    if total < 1 or num < 1:
        raise ConfigError(f"found {num} of {total} frames to sample: give at least 1 of at least 1")
    if total <= num:
        return np.arange(total, dtype=np.int64)
    segment = (total - 1) / num
    edges = np.array([round(segment * i) for i in range(num + 1)], dtype=np.int64)
    return (edges[:-1] + edges[1:]) // 2


def fill_times(times: Sequence[int | None], step: float) -> NDArray[np.int64]:
    """Fill in missing times of frames in presentation order; `step` is the usual gap.

    Known times are out of order if they are decoding times, as in AVI. The frames are in order, so sort the times.

    Example:
        >>> fill_times([None, 10, 30, None, 50, None], step=9.6).tolist()
        [0, 10, 30, 40, 50, 60]
    """
    places = np.array([place for place, time in enumerate(times) if time is not None], dtype=np.int64)
    known = np.sort([time for time in times if time is not None])
    every = np.arange(len(times))
    if not places.size:
        return np.rint(every * step).astype(np.int64)
    before, after = np.minimum(every - places[0], 0), np.maximum(every - places[-1], 0)
    return np.rint(np.interp(every, places, known) + (before + after) * step).astype(np.int64)


@dataclass(frozen=True)
class FrameTimes:
    """The presentation times of all frames of a source, in order.

    Attributes:
        seconds: (F,) float64, measured from the first frame.
        stop: The second at which the last frame ends.
        tick: The resolution of the source's clock in seconds.
        intra: (F,) bool, whether a frame is coded without reference to others; None if that has no meaning.
    """

    seconds: NDArray[np.float64]
    stop: float
    tick: float = 0.0
    intra: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Request:
    """A request for frames of a source: how many, or how many a second, from where to where, and of which kind.

    The rate "auto" means one frame a second, but at least 100 and at most 1000 frames, evenly spread. With `numbers`,
    exactly the frames with these numbers, in ascending order, are wanted.
    """

    num_frames: int | None = None
    fps: float | str | None = None
    start: float | None = None
    end: float | None = None
    sampling: str = "uniform"
    numbers: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise unknown("sampling", self.sampling, SAMPLINGS)
        if self.numbers is not None and (self.num_frames, self.fps, self.start, self.end) != (None,) * 4:
            raise ConfigError(
                "found numbers beside num_frames, fps, start or end, expected numbers alone: leave it out"
            )
        if self.num_frames is not None and self.fps is not None:
            rate = self.fps if isinstance(self.fps, str) else f"{self.fps:g}"
            raise ConfigError(f"found num_frames={self.num_frames} and fps={rate}, expected one: leave one out")
        if self.num_frames is not None and self.num_frames < 1:
            raise ConfigError(f"found num_frames={self.num_frames}, expected 1 or more: give e.g. num_frames=100")
        if isinstance(self.fps, str) and self.fps != "auto":
            raise ConfigError(f"found fps={self.fps!r}, expected a number above 0 or 'auto': give e.g. fps=2")
        if not isinstance(self.fps, str | None) and not (math.isfinite(self.fps) and self.fps > 0):
            raise ConfigError(f"found fps={self.fps}, expected a number above 0: give e.g. fps=2")
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"found {name}={value}, expected 0 or more: give seconds from the first frame")
        if self.end is not None and self.end <= (self.start or 0.0):
            raise ConfigError(
                f"found a clip from {self.start or 0:g} s to {self.end:g} s, expected start < end: swap or widen them"
            )

    def notes(self, timeline: FrameTimes) -> tuple[str, ...]:
        """Return a note if the clip ends more than a second after the end of the video."""
        if self.end is None or self.end <= timeline.stop + 1:
            return ()
        return (f"the clip should end at {self.end:g} s, but the video ends at {timeline.stop:.2f} s",)

    def choose(self, timeline: FrameTimes, name: str) -> tuple[NDArray[np.int64], int]:
        """Pick frames from a timeline.

        Returns:
            The chosen positions, (T,) int64 strictly increasing, and the number of frames in the clip.

        Raises:
            VideoError: The clip has no frame, or none of the requested kind.
        """
        if self.numbers is not None:
            return self._numbered(len(timeline.seconds), name)
        start, end = self.start or 0.0, math.inf if self.end is None else self.end
        inside = (timeline.seconds >= start) & (timeline.seconds < end)  # (F,)
        total = int(inside.sum())
        if total == 0:
            raise VideoError(
                f"{name}: no frame begins between {start:g} s and {end:g} s, expected a clip inside the "
                f"{len(timeline.seconds)} frames from 0 s to {timeline.stop:.2f} s: change start or end"
            )
        if self.sampling == "iframes":
            if timeline.intra is None:
                raise ConfigError(
                    f"{name}: found sampling='iframes' for pictures, expected a video file: use 'uniform'"
                )
            inside &= timeline.intra
        pool = np.flatnonzero(inside)  # (P,)
        if pool.size == 0:
            raise VideoError(
                f"{name}: found no intra frame between {start:g} s and {min(end, timeline.stop):g} s: "
                "widen the clip or use sampling='uniform'"
            )
        if self.fps is None:
            return pool[uniform_indices(pool.size, self.num_frames or DEFAULT_NUM_FRAMES)], total
        if isinstance(self.fps, str):
            return pool[uniform_indices(pool.size, frames_for(min(end, timeline.stop) - start))], total
        # The first instant start + k / fps at which each frame is on the screen. A coarse clock rounds to the nearest
        # tick, hence a tolerance of half a tick, and of one tick for the sum that ends the video.
        first = np.ceil((timeline.seconds[pool] - timeline.tick / 2 - start) * self.fps - 1e-6)
        first[0] = 0
        last = max(math.ceil((min(end, timeline.stop - timeline.tick) - start) * self.fps - 1e-6), 1)
        return pool[np.diff(first, append=last) > 0], total

    def _numbered(self, total: int, name: str) -> tuple[NDArray[np.int64], int]:
        numbers = np.asarray(self.numbers, np.int64)
        if not numbers.size or numbers[0] < 0 or numbers[-1] >= total or (np.diff(numbers) <= 0).any():
            shown = ", ".join(map(str, numbers[:3])) + (", ..." if len(numbers) > 3 else "")
            raise VideoError(
                f"{name} has {total} frames, found the numbers {shown}, expected ascending ones among them"
            )
        return numbers, total


def frames_for(seconds: float) -> int:
    """Return how many frames of a clip are sampled at the rate "auto".

    Example:
        >>> frames_for(20), frames_for(600), frames_for(3600)
        (100, 600, 1000)
    """
    return min(AUTO_MOST, max(AUTO_FEWEST, round(seconds * AUTO_FPS)))


FrameSize = int | tuple[int, int] | Callable[[int, int], tuple[int, int]]
"""Size in pixels: a side, (height, width), or a function from the (height, width) of the source to the wanted one."""


@dataclass(frozen=True)
class TargetSize:
    """The size in which frames are kept: exactly `size`, or no side above `max_side`, or unchanged.

    With `preview`, a second copy for viewing is kept with no side above `preview`.
    """

    size: FrameSize | None = None
    max_side: int | None = None
    preview: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.max_side is not None:
            raise ConfigError(f"found size={self.size}, max_side={self.max_side}, expected one: leave one out")
        if self.size is not None and not callable(self.size):
            sides = (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)
            if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
                raise ConfigError(f"found size={self.size}, expected pixels: give a side or (height, width)")
        for name, side in (("max_side", self.max_side), ("preview", self.preview)):
            if side is not None and side < 1:
                raise ConfigError(f"found {name}={side}, expected 1 or more: give e.g. {name}=336")

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) in which a picture of this size is kept."""
        if callable(self.size):
            return self.size(height, width)
        if self.size is not None:
            return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])
        return (height, width) if self.max_side is None else within(self.max_side, height, width)

    def shrinks(self, height: int, width: int) -> int:
        """Return the whole number by which a picture of this size can shrink and still have twice the kept size.

        Example:
            >>> TargetSize(336).shrinks(4320, 7680), TargetSize(336).shrinks(480, 640), TargetSize().shrinks(4320, 7680)
            (6, 1, 1)
        """
        kept = [self.shape(height, width)]
        if self.preview is not None:
            kept.append(within(self.preview, height, width))
        return max(1, min(min(height // (2 * tall), width // (2 * wide)) for tall, wide in kept))


def within(side: int, height: int, width: int) -> tuple[int, int]:
    """Shrink (height, width) in proportion so that neither is above `side`."""
    if max(height, width) <= side:
        return height, width
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


Resize = Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]]
"""Function that resizes a picture (H, W, 3) to a height and a width."""


@dataclass
class FrameBuffer:
    """A buffer for the chosen frames. Each is resized on arrival, so only one is ever held in full size.

    Attributes:
        wanted: (T,) numbers of the chosen frames.
        fit: The size to keep them in.
        name: Name of the source, for messages.
        source_size: (height, width) of the first frame to arrive.
        data: (T, H, W, 3) the frames.
        preview: (T, h, w, 3) small copies if the fit requests them, all with the size of the first frame to arrive.
        notes: Notes for readers of the result.
        turns: Angles of the pictures' display matrices, in degrees.
    """

    wanted: NDArray[np.int64]
    fit: TargetSize
    name: str
    source_size: tuple[int, int] = (0, 0)
    data: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 0, 3), np.uint8))
    preview: NDArray[np.uint8] | None = None
    notes: set[str] = field(default_factory=set)
    turns: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rows = {int(position): row for row, position in enumerate(self.wanted)}
        self.left = set(self.rows)

    def check(self) -> None:
        """Raise if nobody wants the frames any more; called between frames."""

    def put(
        self,
        position: int,
        picture: NDArray[np.uint8],
        shape: tuple[int, int] | None = None,
        resize: Resize | None = None,
    ) -> None:
        """Keep a frame.

        Args:
            position: Its number in the source.
            picture: (H, W, 3).
            shape: Its (height, width) in the source, if it was shrunk.
            resize: What resizes it; None for `resized`.
        """
        self.check()
        resize = resize or resized
        shape = shape or (picture.shape[0], picture.shape[1])
        height, width = self.fit.shape(*shape)
        if len(self.left) == len(self.rows):  # the first picture determines the size of the arrays
            self.source_size = shape
            self.data = self._room(height, width)
            if self.fit.preview is not None:
                self.preview = self._room(*within(self.fit.preview, *self.source_size))
        if self.data.shape[1:3] != (height, width):
            raise VideoError(
                f"{self.name}: frame {position} is {height}x{width}, expected {self.data.shape[1]}x"
                f"{self.data.shape[2]} like the frames before it: pass size=(height, width) to make all the same size"
            )
        row = self.rows[position]
        if self.preview is not None:
            self.preview[row] = resize(picture, *self.preview.shape[1:3])
        self.data[row] = resize(picture, height, width)
        self.left.discard(position)
        self.kept(position, picture)

    def kept(self, position: int, picture: NDArray[np.uint8]) -> None:
        """Take note of a frame that has been put, (H, W, 3) in full size."""

    def repeat(self, position: int, before: int) -> None:
        """Keep the frame at `position`, which equals the frame at `before`, if it is wanted."""
        row, known = self.rows[position], self.rows[before]
        self.data[row] = self.data[known]
        if self.preview is not None:
            self.preview[row] = self.preview[known]
        self.left.discard(position)

    def _room(self, height: int, width: int) -> NDArray[np.uint8]:
        try:
            return empty((len(self.rows), height, width, 3), np.uint8)
        except MemoryError as err:
            gigabytes = len(self.rows) * height * width * 3 / 1e9
            raise VideoError(
                f"{self.name}: {len(self.rows)} frames of {height}x{width} need {gigabytes:.1f} GB, expected "
                "less than the free memory: pass size, max_side or fewer frames"
            ) from err


def resized(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize a picture to (height, width, 3) with PIL's bicubic filter."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
