"""The packets of a video file, and the frames that they announce."""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from dyto.errors import VideoError
from dyto.video.container import opened, packets_of
from dyto.video.limits import ALWAYS, Limits
from dyto.video.rgb import Matrix, matrix_of
from dyto.video.sampling import FrameTimes

log = logging.getLogger(__name__)

# Containers and codecs in which one packet is one picture, carries its true presentation time and can be sought.
# AVI has decoding times only, and MPEG-TS may split a picture into two fields; older codecs pack several pictures
# into a packet or omit some, and decode quickly anyway.
INDEXED_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
TRUSTED_CODECS = ("h264", "hevc", "av1", "vp8", "vp9", "mjpeg", "prores")
VP8_SHOWN = 0x10
LOOKS = 8
"""Number of key frames to try for a display matrix."""

EVERY_BLOCK = ("flv", "h263", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2")
"""Codecs that spend bits on every block of an intra picture, even if it is black."""

PIXELS_A_BYTE = 1000
"""Pixels per byte that these codecs never reach; even a tenth of this is rare."""


@dataclass
class Index:
    """The P packets of a video stream in decoding order, and the frames that they announce.

    Attributes:
        pts: (P,) int64 presentation time in ticks.
        key: (P,) bool, whether decoding can begin here.
        end: (P,) int64 bytes of video up to and including this packet.
        order: (F,) int64 positions of the shown packets in presentation order.
        timeline: The frames as announced by the packets.
        trusted: Whether a decoder will give exactly these frames.
        area: Number of pixels of a picture.
        limits: Limits of the file.
        matrix: Display matrix of the first picture that has one.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]
    end: NDArray[np.int64]
    order: NDArray[np.int64]
    timeline: FrameTimes
    trusted: bool
    area: int = 0
    limits: Limits = field(default_factory=Limits)
    matrix: Matrix | None = None

    @classmethod
    def scan(cls, path: Path, limits: Limits | None = None) -> Index:
        """Demux a file once, decoding nothing.

        Raises:
            VideoError: The file is not a video, or over a limit.
        """
        limits = limits or Limits()
        matrix, looks = None, 0
        rows = array("q")  # five numbers per packet; an hour has about a hundred thousand packets
        with opened(path, limits=limits) as (container, stream):
            area = stream.codec_context.width * stream.codec_context.height
            codec, base = stream.codec_context.name, stream.time_base or Fraction(1, 1000)
            trusted = codec in TRUSTED_CODECS and container.format.name in INDEXED_FORMATS
            try:
                for packet in packets_of(container, stream):
                    time = packet.pts
                    trusted &= time is not None and not packet.is_corrupt
                    if time is None:
                        time = len(rows) // 5 if packet.dts is None else packet.dts
                    hidden = packet.is_discard or (codec == "vp8" and not bytes(packet)[0] & VP8_SHOWN)
                    rows.extend((time, packet.duration or 0, packet.is_keyframe, not hidden, packet.size))
                    if packet.is_keyframe and looks < LOOKS:
                        looks, matrix = _look(stream, packet, looks)
            except av.FFmpegError as err:
                log.info("%s: its packets end early: %s", path.name, err)
                trusted = False
        largest = max(rows[4::5], default=0)
        if codec in EVERY_BLOCK and area > max(ALWAYS, largest * PIXELS_A_BYTE):
            raise VideoError(
                f"{path.name} is broken: it claims pictures of {area / 1e6:.0f} megapixels in {largest} bytes or less: "
                "get the file again"
            )
        table = np.frombuffer(rows, np.int64).reshape(-1, 5) if rows else np.empty((0, 5), np.int64)
        pts, key, shown = table[:, 0].copy(), table[:, 2].astype(bool), table[:, 3].astype(bool)
        order = np.flatnonzero(shown)
        order = order[np.argsort(pts[order], kind="stable")]
        last = int(table[order[-1], 1]) if order.size else 0
        timeline = timeline_of(pts[order] - pts[order[:1]], last, base, key[order])
        limits.check_duration(path.name, timeline.stop)
        orderly = trusted and _orderly(pts, key, shown)
        return cls(pts, key, np.cumsum(table[:, 4]), order, timeline, orderly, area, limits, matrix)

    @cached_property
    def open_groups(self) -> bool:
        """Whether a picture is shown before the key frame that it follows, and depends on the previous group too."""
        latest = np.maximum.accumulate(np.where(self.key, self.pts, np.iinfo(np.int64).min))
        return bool((self.pts < latest).any())

    @cached_property
    def _by_time(self) -> NDArray[np.int64]:
        return np.argsort(self.pts, kind="stable")

    def position(self, time: int | None) -> int:
        """Return the packet with a presentation time, or -1 if there is none."""
        if time is None:
            return -1
        place = int(np.searchsorted(self.pts, time, sorter=self._by_time))
        packet = int(self._by_time[place]) if place < len(self.pts) else -1
        return packet if self.pts[packet] == time else -1

    def number(self, time: int | None) -> int:
        """Return the frame with a presentation time, or -1 if there is none."""
        if time is None:
            return -1
        place = bisect_left(self._ticks, time)
        return place if place < len(self._ticks) and self._ticks[place] == time else -1

    @cached_property
    def ticks(self) -> NDArray[np.int64]:
        """(F,) presentation times of the frames."""
        return self.pts[self.order]

    @cached_property
    def _ticks(self) -> memoryview:
        return self.ticks.data  # NumPy takes ten times as long for a single number

    def stretches(self, wanted: Iterable[int]) -> list[tuple[int, int, set[int]]]:
        """Return the disjoint stretches to decode for frames, in order: (first packet, last packet, wanted packets)."""
        keys = np.flatnonzero(self.key)
        found: list[tuple[int, int, set[int]]] = []
        for packet in sorted(int(self.order[frame]) for frame in wanted):
            # A picture shown before the key frame that it follows in the file also depends on the previous group.
            groups = np.searchsorted(keys, packet, "right")
            first = int(keys[min(groups, np.searchsorted(self.pts[keys], self.pts[packet], "right")) - 1])
            asked = {packet}
            while found and first <= found[-1][1]:
                first, asked = min(first, found[-1][0]), asked | found.pop()[2]
            found.append((first, packet, asked))
        return found


def _look(stream: VideoStream, packet: av.Packet, looks: int) -> tuple[int, Matrix | None]:
    """Decode one key frame alone; return the number of tries (`LOOKS` when done) and its display matrix."""
    context = stream.codec_context
    try:
        frames = [*context.decode(packet), *context.decode(None)]
    except av.FFmpegError:
        frames = []
    context.flush_buffers()
    return (LOOKS, matrix_of(frames[0])) if frames else (looks + 1, None)


def _orderly(pts: NDArray[np.int64], key: NDArray[np.bool_], shown: NDArray[np.bool_]) -> bool:
    """Return whether all packets have distinct times, the first is a key frame, and key frames are in order."""
    if not pts.size or not key[0] or not shown.any() or not np.diff(np.sort(pts)).all():
        return False
    return bool((pts[shown] >= pts[0]).all() and (np.diff(pts[key]) > 0).all())


def timeline_of(
    ticks: NDArray[np.int64], last: int, base: Fraction, intra: NDArray[np.bool_] | None = None
) -> FrameTimes:
    """Convert ticks to seconds since the first frame; a last frame without a duration gets the most common one."""
    seconds = ticks * base.numerator / base.denominator
    if last <= 0 and ticks.size > 1:
        last = int(np.median(np.diff(ticks)))
    return FrameTimes(seconds, float(seconds[-1] + last * base) if ticks.size else 0.0, float(base), intra)
