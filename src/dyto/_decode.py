"""Reading chosen frames of a video file with PyAV.

One demuxing pass gives an index of all packets. Where it can be trusted to stand for the frames, only the
stretches from a key frame to a wanted frame are decoded. Where it cannot, or where what comes out is not what
it promised, a pass over everything says what the frames are.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dyto._arrival import Arrival, FramesChanged
from dyto._container import missing_bytes, opened, packets_of, reason
from dyto._rgb import Filler
from dyto._sampling import Fit, Reel, Request, Timeline, fill_times
from dyto._still import read_still
from dyto._stretches import IndexBroken, read_stretches
from dyto.errors import VideoError
from dyto.savings import Savings

log = logging.getLogger(__name__)

# Where one packet is one picture, carries its true presentation time and can be sought. AVI knows decoding
# times only, MPEG-TS may split a picture into two fields; older codecs pack several pictures into a packet or
# leave some out, and cost little to decode.
INDEXED_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
TRUSTED_CODECS = ("h264", "hevc", "av1", "vp8", "vp9", "mjpeg", "prores")
VP8_SHOWN = 0x10


@dataclass
class Take:
    """What was read of a file: the frames, where they lie, and what is to be said about them."""

    reel: Reel
    timeline: Timeline
    total: int
    warnings: tuple[str, ...] = ()


def read_video(path: Path, request: Request, fit: Fit, allow_partial: bool, savings: Savings) -> Take:
    """Read the frames of a video file that are asked for.

    Args:
        path: an existing file.
        request: which frames.
        fit: the size to keep them in.
        allow_partial: be content with what can be read of a broken file.
        savings: with `overlap` the reel is an `Arrival` where the index can be trusted and nothing is still.

    Raises:
        VideoError: it is no video, it is broken, or the clip does not lie in it.
    """
    try:
        missing = missing_bytes(path)
        index = Index.scan(path)
        if index.trusted and not missing:
            wanted, total = request.choose(index.timeline, path.name)
            notes, read = request.notes(index.timeline), partial(read_stretches, path, index, savings)
            try:
                if savings.still and (still := read_still(path.name, index, wanted, fit, read)):
                    return Take(still, index.timeline, total, notes)
                if savings.overlap and len(wanted) > 1:
                    arrival = Arrival(wanted, fit, path.name, read)
                    arrival.first()
                    return Take(arrival, index.timeline, total, notes)
                reel = Reel(wanted, fit, path.name)
                read(reel)
                return Take(reel, index.timeline, total, notes)
            except (IndexBroken, FramesChanged, av.FFmpegError) as err:
                log.info("%s: decoding every frame, since its index does not hold: %s", path.name, err)
        return _read_through(path, index, request, fit, missing, allow_partial, savings.repeats)
    except (av.FFmpegError, OSError, MemoryError) as err:
        raise VideoError(f"{path.name} cannot be read: {err}; expected a video: check or convert it") from err


@dataclass
class Index:
    """The packets of a video stream in decoding order, P in all, and the frames they stand for.

    Attributes:
        pts: (P,) int64 presentation time in ticks.
        key: (P,) bool, whether decoding can begin here.
        end: (P,) int64 bytes of video up to and with this packet.
        order: (F,) int64 positions of the shown packets in presentation order.
        timeline: the frames as the packets tell of them.
        trusted: whether that is what a decoder will give.
        area: pixels of a picture.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    end: NDArray[np.int64]
    order: NDArray[np.int64]
    timeline: Timeline
    trusted: bool
    area: int = 0

    @classmethod
    def scan(cls, path: Path) -> Index:
        """Demux a file once, decoding nothing."""
        rows = array("q")  # five numbers a packet: an hour has some hundred thousand
        with opened(path) as (container, stream):
            area = stream.codec_context.width * stream.codec_context.height
            codec, base = stream.codec_context.name, stream.time_base or Fraction(1, 1000)
            trusted = codec in TRUSTED_CODECS and container.format.name in INDEXED_FORMATS
            try:
                for packet in packets_of(container, stream):
                    trusted &= packet.pts is not None and not packet.is_corrupt
                    time = next((time for time in (packet.pts, packet.dts) if time is not None), len(rows) // 5)
                    hidden = packet.is_discard or (codec == "vp8" and not bytes(packet)[0] & VP8_SHOWN)
                    rows.extend((time, packet.duration or 0, packet.is_keyframe, not hidden, packet.size))
            except av.FFmpegError as err:
                log.info("%s: its packets end early: %s", path.name, err)
                trusted = False
        table = np.frombuffer(rows, np.int64).reshape(-1, 5) if rows else np.empty((0, 5), np.int64)
        pts, key, shown = table[:, 0].copy(), table[:, 2].astype(bool), table[:, 3].astype(bool)
        order = np.flatnonzero(shown)
        order = order[np.argsort(pts[order], kind="stable")]
        last = int(table[order[-1], 1]) if order.size else 0
        timeline = _timeline(pts[order] - pts[order[:1]], last, base, key[order])
        return cls(pts, key, np.cumsum(table[:, 4]), order, timeline, trusted and _orderly(pts, key, shown), area)

    @cached_property
    def _by_time(self) -> NDArray[np.int64]:
        return np.argsort(self.pts, kind="stable")

    def position(self, time: int | None) -> int:
        """The packet with a presentation time, -1 if there is none."""
        if time is None:
            return -1
        place = int(np.searchsorted(self.pts, time, sorter=self._by_time))
        packet = int(self._by_time[place]) if place < len(self.pts) else -1
        return packet if self.pts[packet] == time else -1

    def number(self, time: int | None) -> int:
        """The frame with a presentation time, -1 if there is none."""
        if time is None:
            return -1
        place = int(np.searchsorted(self.ticks, time))
        return place if place < len(self.ticks) and self.ticks[place] == time else -1

    @cached_property
    def ticks(self) -> NDArray[np.int64]:
        """(F,) presentation times of the frames."""
        return self.pts[self.order]

    def stretches(self, wanted: Iterable[int]) -> list[tuple[int, int, set[int]]]:
        """What to decode for frames: (first packet, last packet, wanted packets), in order and apart."""
        keys = np.flatnonzero(self.key)
        found: list[tuple[int, int, set[int]]] = []
        for packet in sorted(int(self.order[frame]) for frame in wanted):
            # A picture shown before the key frame it follows in the file leans on the group before, too.
            groups = np.searchsorted(keys, packet, "right")
            first = int(keys[min(groups, np.searchsorted(self.pts[keys], self.pts[packet], "right")) - 1])
            asked = {packet}
            while found and first <= found[-1][1]:
                first, asked = min(first, found[-1][0]), asked | found.pop()[2]
            found.append((first, packet, asked))
        return found


def _orderly(pts: NDArray[np.int64], key: NDArray[np.bool_], shown: NDArray[np.bool_]) -> bool:
    """Whether every packet has a time of its own, the first is a key frame, and key frames come in order."""
    if not pts.size or not key[0] or not shown.any() or np.unique(pts).size != pts.size:
        return False
    return bool((pts[shown] >= pts[0]).all() and (np.diff(pts[key]) > 0).all())


def _timeline(ticks: NDArray[np.int64], last: int, base: Fraction, intra: NDArray[np.bool_] | None = None) -> Timeline:
    """Seconds from ticks since the first frame; a last frame of unknown length lasts as long as most do."""
    seconds = ticks * base.numerator / base.denominator
    if last <= 0 and ticks.size > 1:
        last = int(np.median(np.diff(ticks)))
    return Timeline(seconds, float(seconds[-1] + last * base) if ticks.size else 0.0, float(base), intra)


def _read_through(
    path: Path, index: Index, request: Request, fit: Fit, missing: int, allow_partial: bool, repeats: bool
) -> Take:
    """Decode every frame. What the packets promise is a guess; where it was wrong, a second pass follows."""
    guess = np.empty(0, np.int64)
    with suppress(VideoError):
        guess, _ = request.choose(index.timeline, path.name)
    for _ in range(3):
        reel = Reel(guess, fit, path.name)
        timeline, found = _roll(path, index, reel, repeats)
        count = len(timeline.seconds)
        damage = found[0] if found else f"{missing} bytes or more are missing at its end" if missing else ""
        if not count:
            raise VideoError(f"{path.name}: found {damage or 'no frames'}, expected pictures: get the file again")
        readable = f"{count} frames up to {timeline.seconds[-1]:.2f} s could be read ({damage})"
        if damage and not allow_partial:
            raise VideoError(
                f"{path.name} is broken: {readable}, expected a whole file: get it again, or "
                "use what there is with allow_partial (--allow-partial)"
            )
        wanted, total = request.choose(timeline, path.name)
        if np.array_equal(wanted, guess):
            warnings = (f"{path.name} is broken: only {readable}",) if damage else request.notes(timeline)
            return Take(reel, timeline, total, warnings)
        guess = wanted
    raise VideoError(f"{path.name} decodes differently each time, expected the same frames: convert it")


def _roll(path: Path, index: Index, reel: Reel, repeats: bool) -> tuple[Timeline, list[str]]:
    """Decode a file from beginning to end: what the frames were, and what went wrong on the way."""
    times: list[int | None] = []
    intra: list[bool] = []
    damage: list[str] = []
    last = 0
    with opened(path) as (container, stream):
        filler = Filler(reel, repeats)
        for frame in _frames(container, stream, int(np.argmax(index.key)) if index.key.size else 0, damage):
            if len(times) in reel.rows:
                filler.put(len(times), frame)
            times.append(frame.pts)
            intra.append(bool(frame.key_frame))
            last = frame.duration or 0
        base = stream.time_base or Fraction(1, 1000)
        rate = stream.guessed_rate or stream.average_rate or Fraction(25)
    ticks = fill_times(times, float(1 / (rate * base)))
    return _timeline(ticks - ticks[:1], last, base, np.array(intra, dtype=bool)), damage


def _frames(container: InputContainer, stream: VideoStream, begin: int, damage: list[str]) -> Iterator[av.VideoFrame]:
    """Decode all packets from the one at `begin` on, noting in `damage` what cannot be."""
    packets = packets_of(container, stream)
    for _ in range(begin):  # before the first key frame: a recording that begins in the middle
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
            damage.append(reason(err))
        if packet is None:
            return
