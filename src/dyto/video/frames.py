"""Video input: frames as pixels, with their numbers and times.

``sample_frames`` reads a video file, a folder of images, an array or a list of pictures and returns `Frames`.
"""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dyto.errors import ConfigError, VideoError
from dyto.savings import Savings
from dyto.video.animation import read_animation
from dyto.video.arrival import Arrival
from dyto.video.decode import read_video
from dyto.video.guarded import can_guard, read_guarded
from dyto.video.limits import Limits
from dyto.video.paths import existing
from dyto.video.pictures import Picture, check, gather, images_of, is_picture, readable
from dyto.video.sampling import FrameBuffer, FrameSize, FrameTimes, Request, TargetSize, uniform_indices
from dyto.video.through import Decoded

__all__ = ["FrameSize", "Frames", "VideoSource", "sample_frames", "uniform_indices"]


@dataclass(frozen=True, eq=False, repr=False)
class Frames:
    """Frames sampled from a video, with their numbers and times.

    Attributes:
        data: (T, H, W, 3) uint8 RGB.
        indices: (T,) int64 numbers of the frames in the source, counted from 0 in presentation order.
        seconds: (T,) float64 presentation times, measured from the first frame of the source.
        source_size: (height, width) in the source, upright.
        total: Number of frames to choose from; 0 means the number of frames here.
        source: Name of the source, if it has one.
        warnings: Notes for readers of the result, one line each.
        preview: (T, h, w, 3) uint8, the same frames in their own proportions, if requested.

    Raises:
        VideoError: The parts do not fit together.

    Example:
        >>> pixels = np.zeros((2, 4, 6, 3), np.uint8)
        >>> Frames(pixels, np.array([0, 5]), np.array([0.0, 0.2]), source_size=(480, 640), total=10)
        Frames(2 of 10, 4x6 from 480x640, 0.00 s to 0.20 s)
    """

    data: NDArray[np.uint8]
    indices: NDArray[np.int64]
    seconds: NDArray[np.float64]
    source_size: tuple[int, int]
    total: int = 0
    source: str | None = None
    warnings: tuple[str, ...] = ()
    preview: NDArray[np.uint8] | None = field(default_factory=lambda: None)  # not a class attribute

    def __post_init__(self) -> None:
        shape, count = self.data.shape, len(self.data)
        if self.data.dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3 or 0 in shape:
            raise VideoError(
                f"found frames {shape} of {self.data.dtype}, expected (T, H, W, 3) of uint8, none of them 0: "
                "convert them, and pass at least one frame"
            )
        object.__setattr__(self, "indices", np.asarray(self.indices, np.int64))
        object.__setattr__(self, "seconds", np.asarray(self.seconds, np.float64))
        object.__setattr__(self, "total", self.total or count)
        if self.indices.shape != (count,) or self.seconds.shape != (count,):
            raise VideoError(
                f"found {count} frames, indices {self.indices.shape} and seconds {self.seconds.shape}, "
                f"expected ({count},) of both: give one for each frame"
            )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, which: slice | Sequence[int] | NDArray[np.int64]) -> Frames:
        if isinstance(which, (int, np.integer)):
            raise TypeError(f"frames[{which}] needs a slice or a list; the picture is frames.data[{which}]")
        pick = which if isinstance(which, slice) else np.asarray(which)
        if isinstance(pick, np.ndarray) and not pick.size:
            pick = pick.astype(np.int64)  # numpy makes an empty list an array of floats
        return Frames(
            self.data[pick], self.indices[pick], self.seconds[pick],
            self.source_size, self.total, self.source, self.warnings,
            None if self.preview is None else self.preview[pick],
        )  # fmt: skip

    def __repr__(self) -> str:
        (count, height, width, _), (full_height, full_width) = self.data.shape, self.source_size
        source = f"{self.source}: " if self.source else ""
        return (
            f"Frames({source}{count} of {self.total}, {height}x{width} from {full_height}x{full_width}, "
            f"{self.seconds[0]:.2f} s to {self.seconds[-1]:.2f} s)"
        )

    @property
    def waited(self) -> float:
        """Seconds spent waiting for frames that were still being decoded."""
        return 0.0

    def close(self) -> None:
        """Stop decoding, even if frames are missing."""


class ArrivingFrames(Frames):
    """Frames that a thread is still decoding.

    They behave like `Frames`: `data` waits for all of them, `rows` for some. `close` stops the thread.
    """

    _arrival: Arrival

    @classmethod
    def of(
        cls, arrival: Arrival, seconds: NDArray[np.float64], total: int, source: str, warnings: tuple[str, ...]
    ) -> ArrivingFrames:
        """Make frames from a buffer that a thread fills; its size must be known."""
        self = cls.__new__(cls)
        vars(self).update(
            _arrival=arrival, indices=np.asarray(arrival.wanted, np.int64), seconds=np.asarray(seconds, np.float64),
            source_size=arrival.source_size, total=total, source=source, warnings=warnings,
        )  # fmt: skip
        weakref.finalize(self, arrival.close)
        return self

    def __getattr__(self, name: str) -> Any:
        if name not in ("data", "preview") or "_arrival" not in vars(self):
            raise AttributeError(name)
        vars(self).update(data=self._arrival.whole(), preview=self._arrival.preview)
        return vars(self)[name]

    def __len__(self) -> int:
        return len(self.indices)

    def __reduce__(self) -> tuple[Any, ...]:  # this is a copy of frames that have arrived
        return Frames, tuple(getattr(self, field.name) for field in dataclasses.fields(Frames))

    def rows(self, rows: slice) -> NDArray[np.uint8]:
        """Return some of the pictures, (n, H, W, 3), as soon as they are decoded."""
        return self.data[rows] if "data" in vars(self) else self._arrival.take(rows)

    @property
    def waited(self) -> float:
        """Seconds spent waiting for pictures."""
        return self._arrival.waited if "_arrival" in vars(self) else 0.0

    def close(self) -> None:
        """Stop the thread, even if pictures are missing."""
        if "_arrival" in vars(self):
            self._arrival.close()


READER = 5
"""Version of the reader. It rises when a file is read differently, so that cached results are not used again."""

VideoSource = str | os.PathLike[str] | NDArray[np.uint8] | Sequence[Image.Image | NDArray[np.uint8]] | Frames


def sample_frames(
    source: VideoSource,
    *,
    num_frames: int | None = None,
    fps: float | str | None = None,
    start: float | None = None,
    end: float | None = None,
    size: FrameSize | None = None,
    max_side: int | None = None,
    sampling: str = "uniform",
    allow_partial: bool = False,
    source_fps: float = 1.0,
    savings: Savings | None = None,
    limits: Limits | Mapping[str, float] | None = None,
    preview: int | None = None,
    guarded: bool = False,
    numbers: Sequence[int] | None = None,
) -> Frames:
    """Sample frames of a video, numbered as they decode, in presentation order.

    Args:
        source: A video file (mp4, mkv, mov, avi, webm, gif, ...), an animated picture (webp, png, avif), a picture of
            several pages (tiff), a folder of images (in natural order), an array (T, H, W, 3) of uint8 RGB, a list
            of PIL images or (H, W, 3) arrays, or `Frames` to sample again.
        num_frames: Number of frames to spread over the clip, 100 unless `fps` is given. A clip with fewer frames
            gives each once.
        fps: Take the frame shown at each of the instants start + k / fps, instead of `num_frames`; a frame shown at
            several of them is taken once. "auto" takes one frame a second, but at least 100 and at most 1000.
        start: Second at which the clip begins, counted from the first frame of the video.
        end: Second before which the clip ends.
        size: Side, or (height, width), to which every frame is resized, ignoring its aspect; or a function that takes
            the (height, width) of the source and returns the new one, such as `dyto.models.pixels.NativeSize`.
        max_side: Shrink every frame, keeping its aspect, so that neither side is longer than this.
        sampling: "uniform", or "iframes" for intra frames only, which are much faster to reach in a long video.
        allow_partial: Use the readable part of a broken file, and say so in `warnings`.
        source_fps: Frames per second of a folder, pages, an array or a list, which have no times of their own.
        savings: How to read a file, see `dyto.Savings`; None for the usual ones without `overlap`. With `overlap` the
            result is `ArrivingFrames`, in which a later row may turn out to be unreadable.
        limits: Limits on a file before it is decoded, see `dyto.video.limits`; or the changed ones by name, as in
            {"megapixels": 100}.
        preview: Keep a second copy of every frame in `Frames.preview`, with its aspect, no side longer than this.
        guarded: Read a file or folder in a child process, which is ended if it takes too long, takes too much memory
            or crashes, see `dyto.video.guarded`. Use it for files from strangers; it needs Linux.
        numbers: Take exactly the frames with these numbers, in ascending order, as in `Frames.indices`.

    Returns:
        Frames: (T, H, W, 3) uint8, resized one by one as they are decoded: with PIL's bicubic filter, or those of a
            video file with FFmpeg's scaler, which differs by at most two levels (see `quick_resize` of `dyto.Savings`).

    Raises:
        VideoError: The source cannot be read or is over a limit, or the clip is outside it.
        ConfigError: An argument is out of range, or two arguments exclude each other.

    Example:
        >>> video = np.zeros((10, 48, 64, 3), np.uint8)
        >>> frames = sample_frames(video, num_frames=4, max_side=32, source_fps=5)
        >>> frames.data.shape, frames.indices.tolist(), frames.seconds.tolist()
        ((4, 24, 32, 3), [1, 3, 5, 8], [0.2, 0.6, 1.0, 1.6])
    """
    exactly = None if numbers is None else tuple(int(number) for number in numbers)
    request, fit = Request(num_frames, fps, start, end, sampling, exactly), TargetSize(size, max_side, preview)
    bounds = Limits.of(limits)
    if isinstance(source, Frames):
        return _resample(source, request, fit)
    if not source_fps > 0:
        raise ConfigError(f"found source_fps={source_fps}, expected a number above 0: give e.g. source_fps=25")
    if not isinstance(source, (str, os.PathLike)):
        return _sample_pictures(_pictures_in(source), request, fit, source_fps, allow_partial, bounds)
    path = existing(source)
    if guarded and can_guard():
        options: dict[str, Any] = {
            "num_frames": num_frames, "fps": fps, "start": start, "end": end, "size": size, "max_side": max_side,
            "sampling": sampling, "allow_partial": allow_partial, "source_fps": source_fps, "preview": preview,
            "numbers": exactly,
        }  # fmt: skip
        told, pixels = read_guarded(str(path), {**options, "limits": bounds, "savings": savings or Savings()})
        return Frames(
            pixels[0], told["indices"], told["seconds"], tuple(told["source_size"]), told["total"], str(path),
            tuple(told["warnings"]), pixels[1] if told["preview"] else None,
        )  # fmt: skip
    if path.is_dir():
        images, notes = images_of(path)
        return _sample_pictures(images, request, fit, source_fps, allow_partial, bounds, str(path), notes)
    if is_picture(path):
        take = read_animation(path, request, fit, allow_partial, bounds, 1 / source_fps)
        if take is None:
            return _sample_pictures([path], request, fit, source_fps, allow_partial, bounds, str(path))
    else:
        take = read_video(path, request, fit, allow_partial, savings or Savings(overlap=False), bounds)
    return _frames_of(take, str(path))


def _frames_of(take: Decoded, source: str) -> Frames:
    buffer, seconds = take.buffer, take.timeline.seconds[take.buffer.wanted]
    if isinstance(buffer, Arrival):
        return ArrivingFrames.of(buffer, seconds, take.total, source, take.warnings)
    return Frames(
        buffer.data, buffer.wanted, seconds, buffer.source_size, take.total, source, take.warnings, buffer.preview
    )  # fmt: skip


def _pictures_in(source: NDArray[np.uint8] | Sequence[Image.Image | NDArray[np.uint8]]) -> Sequence[Picture]:
    if isinstance(source, np.ndarray):
        if source.ndim != 4:
            raise VideoError(f"found an array {source.shape}, expected (T, H, W, 3) of uint8: fit its axes")
        source = list(source)
    if not isinstance(source, Sequence) or not all(isinstance(p, (Image.Image, np.ndarray)) for p in source):
        raise VideoError(
            f"found {type(source).__name__}, expected a path, an array (T, H, W, 3) of uint8, a list of PIL "
            "images or arrays, or Frames: convert it to one of them"
        )
    if not source:
        raise VideoError("found no pictures, expected one or more: give a list or an array that is not empty")
    return source


def _sample_pictures(
    pictures: Sequence[Picture],
    request: Request,
    fit: TargetSize,
    fps: float,
    allow_partial: bool,
    limits: Limits,
    source: str | None = None,
    notes: Sequence[str] = (),
) -> Frames:
    name = source or "pictures"
    positions, errors = list(range(len(pictures))), list[str]()
    if allow_partial:
        positions, errors = readable(pictures, limits)
    else:
        notes = [*notes, *check(pictures, limits)]
    if not positions:
        raise VideoError(f"{name}: none of {len(pictures)} pictures can be read; the first: {errors[0]}")
    timeline = FrameTimes(np.asarray(positions) / fps, len(pictures) / fps)
    if request.numbers is not None:
        request = dataclasses.replace(request, numbers=_places(request.numbers, positions, name))
    wanted, total = request.choose(timeline, name)
    buffer = FrameBuffer(wanted, fit, name)
    gather(pictures, positions, buffer, limits)
    numbers, seconds = np.asarray(positions)[wanted], timeline.seconds[wanted]
    warnings = (*notes, *errors, *request.notes(timeline))
    return Frames(buffer.data, numbers, seconds, buffer.source_size, total, source, warnings, buffer.preview)


def _places(numbers: Sequence[int], among: Sequence[int], name: str) -> tuple[int, ...]:
    """Return where numbers of frames stand among those that there are."""
    place = {int(number): place for place, number in enumerate(among)}
    if lacking := [number for number in numbers if number not in place]:
        raise VideoError(f"{name} has no frame {lacking[0]}, expected one of {among[0]} to {among[-1]}: take another")
    return tuple(place[number] for number in numbers)


def _resample(frames: Frames, request: Request, fit: TargetSize) -> Frames:
    """Sample frames again; they keep the numbers and times of their source."""
    if request.numbers is not None:
        among = frames.indices.tolist()
        request = dataclasses.replace(request, numbers=_places(request.numbers, among, frames.source or "frames"))
    timeline = FrameTimes(frames.seconds, float(frames.seconds[-1]) + 1e-6)
    wanted, _ = request.choose(timeline, frames.source or "frames")
    buffer = FrameBuffer(wanted, fit, frames.source or "frames")
    gather(list(frames.data), range(len(frames)), buffer, Limits())
    return Frames(
        buffer.data, frames.indices[wanted], frames.seconds[wanted],
        frames.source_size, frames.total, frames.source, frames.warnings,
        frames.preview[wanted] if frames.preview is not None else buffer.preview,
    )  # fmt: skip
