"""Cutting a video file into clips: packets are copied where a clip begins anew, and encoded again where it does not.

A clip can be copied if its first frame is a picture that decoders start from, and if its packets are one stretch of the
file that depends on nothing outside it. Every clip that was copied is looked through again: if it does not announce the
frames that were asked for, at their times, it is encoded instead.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from dyto.errors import VideoError
from dyto.savings import Savings
from dyto.system.files import replacing
from dyto.video.container import reason
from dyto.video.encoding import encode_clip
from dyto.video.index import INDEXED_FORMATS, Index
from dyto.video.limits import Limits
from dyto.video.muxing import copy_clip
from dyto.video.sampling import FrameBuffer, FrameTimes, TargetSize
from dyto.video.stretches import IndexBroken
from dyto.video.through import unroll
from dyto.video.whole import missing_bytes

log = logging.getLogger(__name__)

CONTAINERS = {
    INDEXED_FORMATS[0]: (".mp4", ".mov", ".m4v"),
    INDEXED_FORMATS[1]: (".mkv", ".webm"),
}
"""Endings that a copied clip may have, by the format of the file; the first is the usual one."""

ENCODED = ".mp4"
"""Ending of a clip that is encoded again."""


@dataclass(frozen=True)
class VideoClip:
    """A part of a video, in a file of its own.

    Attributes:
        path: The file.
        start: Second of its first frame in the video.
        end: Second in the video at which its last frame ends, or at which the next clip starts.
        frames: Number of its frames.
        copied: Whether its pictures are those of the video, bit for bit; otherwise they were encoded again, as H.264.
        sound: Whether it has sound: True, False if its container takes none of the kind, None if there is none.

    Example:
        >>> VideoClip(Path("segment-001.mp4"), 0.0, 2.5, 60, copied=True, sound=None).copied
        True
    """

    path: Path
    start: float
    end: float
    frames: int
    copied: bool
    sound: bool | None


@dataclass(frozen=True)
class Span:
    """The frames of a clip, by number: `first` up to, but not including, `end`."""

    first: int
    end: int


def cut_clips(
    path: Path,
    bounds: Sequence[tuple[float, float]],
    places: Sequence[Path],
    *,
    allow_partial: bool = False,
    limits: Limits | None = None,
) -> list[VideoClip]:
    """Cut clips out of a video file, each with the frames that begin in its span, and with its first track of sound.

    Args:
        path: A video file.
        bounds: Start and end of each clip in seconds from the first frame of the video, ascending; a frame at the end
            belongs to the next clip.
        places: Where to write each, without an ending: the container decides.
        allow_partial: Use the readable part of a broken file.
        limits: Limits of the file.

    Returns:
        The clips, in order. Each begins with its first frame at 0 s.

    Raises:
        VideoError: The file is no video, is broken, or has no frame in one of the spans.
        OSError: A clip cannot be written.
    """
    try:
        index, missing = Index.scan(path, limits), missing_bytes(path)
        if missing and not allow_partial:
            raise VideoError(f"{path.name} is broken: {missing} bytes or more are missing, expected a whole file")
        trusted = index.trusted and not missing
        timeline = index.timeline if trusted else _decoded_timeline(path, index, missing, allow_partial)
        spans = [_span(timeline, start, end, path.name) for start, end in bounds]
        return [
            _cut(path, index if trusted else None, timeline, span, end, place, limits)
            for span, (_, end), place in zip(spans, bounds, places, strict=True)
        ]
    except av.FFmpegError as err:
        raise VideoError(f"{path.name} cannot be cut: {reason(err)}; expected a video: convert it first") from err


def _decoded_timeline(path: Path, index: Index, missing: int, allow_partial: bool) -> FrameTimes:
    buffer = FrameBuffer(np.empty(0, np.int64), TargetSize(), path.name)
    found = unroll(path, index, buffer, Savings.none(), missing > 0)
    if found.damage and not missing:
        found = unroll(path, index, buffer, Savings.none(), True)
    if found.damage and not allow_partial:
        raise VideoError(f"{path.name} is broken ({found.damage[0]}), expected a whole file: use allow_partial")
    return found.timeline


def _span(timeline: FrameTimes, start: float, end: float, name: str) -> Span:
    """Return the frames that begin from `start` on and before `end`, to half a tick."""
    first, last = (
        int(np.searchsorted(timeline.seconds, second - max(timeline.tick / 2, 1e-6))) for second in (start, end)
    )
    if last <= first:
        raise VideoError(f"{name}: no frame begins between {start:g} s and {end:g} s, expected at least one")
    return Span(first, last)


def _cut(
    path: Path, index: Index | None, timeline: FrameTimes, span: Span, end: float, place: Path, limits: Limits | None
) -> VideoClip:
    seconds = timeline.seconds
    stop = float(seconds[span.end]) if span.end < len(seconds) else timeline.stop
    told: dict[str, Any] = {"start": float(seconds[span.first]), "end": stop, "frames": span.end - span.first}
    stretch = None if index is None else _whole_stretch(index, span)
    if index is not None and stretch is not None:
        target = place.with_name(place.name + _ending(path))
        try:
            with replacing(target) as half:
                sound = copy_clip(path, half, index, stretch, (told["start"], stop), target.suffix)
                _check(half, index, timeline, span, limits)
            return VideoClip(target, **told, copied=True, sound=sound)
        except (VideoError, ValueError, av.FFmpegError) as err:
            log.info("%s: encoding the clip at %.2f s again: %s", path.name, told["start"], err)
    target = place.with_name(place.name + ENCODED)
    numbers, between = range(span.first, span.end), (float(seconds[span.first]), stop)
    with replacing(target) as half:
        try:
            sound = encode_clip(path, half, index, timeline, numbers, between, limits)
        except IndexBroken as err:
            log.info("%s: decoding from the beginning: %s", path.name, err)
            sound = encode_clip(path, half, None, timeline, numbers, between, limits)
    return VideoClip(target, **told, copied=False, sound=sound)


def _ending(path: Path) -> str:
    with path.open("rb") as file:
        kind = INDEXED_FORMATS[1] if file.read(4) == b"\x1a\x45\xdf\xa3" else INDEXED_FORMATS[0]
    own = path.suffix.lower()
    return own if own in CONTAINERS[kind] else CONTAINERS[kind][0]


def _whole_stretch(index: Index, span: Span) -> tuple[int, int] | None:
    """Return the first and the last packet of frames that depend on no others; None if there are no such packets."""
    packets = index.order[span.first : span.end]
    first, last = int(packets.min()), int(packets.max())
    if not index.key[first] or int(packets[0]) != first:
        return None
    shown = np.isin(np.arange(first, last + 1), index.order)
    return (first, last) if int(shown.sum()) == len(packets) else None


def _check(clip: Path, index: Index, timeline: FrameTimes, span: Span, limits: Limits | None) -> None:
    """Compare what a copied clip announces with what was asked for.

    Raises:
        VideoError: It differs.
    """
    found = Index.scan(clip, limits)
    wanted = timeline.seconds[span.first : span.end] - timeline.seconds[span.first]
    near = max(found.timeline.tick, timeline.tick)
    if len(found.timeline.seconds) != len(wanted) or _farthest(found.timeline.seconds - wanted) > near:
        raise VideoError(f"{len(found.timeline.seconds)} of {len(wanted)} frames can be shown at their times")
    if not _alike(found.matrix, index.matrix):
        raise VideoError("its display matrix was lost")


def _farthest(gaps: Iterable[float]) -> float:
    return max(map(abs, gaps), default=math.inf)


def _alike(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    unturned = (1 << 16, 0, 0, 1 << 16)
    return tuple(one or unturned) == tuple(other or unturned)
