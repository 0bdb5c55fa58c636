"""Tracks of subtitles inside a video file, read from their packets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from dyto.errors import VideoError
from dyto.subtitles.parsing import Subtitle, plain
from dyto.subtitles.styled import styled_words
from dyto.video.container import opened, packets_of
from dyto.video.limits import Limits

log = logging.getLogger(__name__)

MOST_BYTES = 32 << 20
"""Bytes of one track."""

USUAL_SECONDS = 4.0
"""How long a line is shown if its packet does not say."""


@dataclass(frozen=True)
class Track:
    """A track of subtitles.

    Attributes:
        number: Its number among the tracks of subtitles, from 1.
        codec: FFmpeg's name of its kind.
        language: Its language as the file states it; "" if it does not.
        title: Its title; "" for none.
        forced: Whether it holds only what is not in the film's own language.
        usual: Whether the file marks it as the one to show.
    """

    number: int
    codec: str
    language: str
    title: str
    forced: bool
    usual: bool

    @property
    def is_text(self) -> bool:
        """Whether it holds words; others are pictures of words."""
        return self.codec in WORDS

    def __str__(self) -> str:
        told = ", ".join(part for part in (self.language, self.title) if part)
        return f"track {self.number}{f' ({told})' if told else ''}"


def _length_first(data: bytes) -> str:
    """Return the text of a packet of MP4: its length in two bytes, and after it styles."""
    return data[2 : 2 + int.from_bytes(data[:2], "big")].decode("utf-8", "replace")


def _last_field(data: bytes) -> str:
    """Return the words of a line of SubStation Alpha in Matroska, which has eight fields before them."""
    fields = data.decode("utf-8", "replace").split(",", 8)
    return styled_words(fields[8]) if len(fields) == 9 else ""


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", "replace")


WORDS: dict[str, Callable[[bytes], str]] = {
    "subrip": lambda data: plain(_utf8(data)),
    "srt": lambda data: plain(_utf8(data)),
    "text": lambda data: plain(_utf8(data)),
    "webvtt": lambda data: plain(_utf8(data)),
    "mov_text": lambda data: plain(_length_first(data)),
    "ass": _last_field,
    "ssa": _last_field,
}
"""The words of a packet, by the kind of its track."""


def tracks_of(path: Path, limits: Limits | None = None) -> list[Track]:
    """Return the tracks of subtitles of a video file, in their order.

    Raises:
        VideoError: The file is no video.
    """
    with opened(path, limits=limits) as (container, _):
        return [_track(number, stream) for number, stream in enumerate(container.streams.subtitles, start=1)]


def _track(number: int, stream: Any) -> Track:
    tags = stream.metadata
    codec = stream.codec_context.name if stream.codec_context is not None else ""
    return Track(
        number=number,
        codec=codec,
        language=str(tags.get("language", "")).replace("und", "")[:20],
        title=str(tags.get("title", ""))[:60],
        forced=bool(stream.disposition & Disposition.forced),
        usual=bool(stream.disposition & Disposition.default),
    )


def read_track(path: Path, number: int, limits: Limits | None = None) -> list[Subtitle]:
    """Read the lines of a track, with times from the first frame of the video.

    Args:
        path: The video file.
        number: Number of the track, from 1.
        limits: Limits of the file.

    Returns:
        The lines in the order of the file; those before a damaged place.

    Raises:
        VideoError: There is no such track, or it holds pictures instead of words.
    """
    with opened(path, limits=limits) as (container, _):
        streams = container.streams.subtitles
        if not 1 <= number <= len(streams):
            count = f"{len(streams)} track{'' if len(streams) == 1 else 's'}"
            raise VideoError(f"{path.name} has {count} of subtitles, found the number {number}: name another")
        stream = streams[number - 1]
        track = _track(number, stream)
        if not track.is_text:
            raise VideoError(f"{track} of {path.name} holds pictures ({track.codec}), expected words: name another")
        words, base = WORDS[track.codec], stream.time_base or Fraction(1, 1000)
        begin = _first_second(path, limits)
        lines: list[Subtitle] = []
        room = MOST_BYTES
        try:
            for packet in container.demux(stream):
                room -= packet.size
                if not packet.size or packet.pts is None or room < 0:
                    continue
                start = float(packet.pts * base) - begin
                lasts = float(packet.duration * base) if packet.duration else USUAL_SECONDS
                if text := words(bytes(packet)):
                    lines.append(Subtitle(start, start + lasts, text))
        except (av.FFmpegError, IndexError) as err:
            log.info("%s: its subtitles end early: %s", path.name, err)
        return lines


def _first_second(path: Path, limits: Limits | None) -> float:
    """Return the time of the first frame on the clock of the file."""
    with opened(path, limits=limits) as (container, video):
        first = None
        for number, packet in enumerate(packets_of(container, video)):
            if packet.pts is not None and not packet.is_discard:
                first = packet.pts if first is None else min(first, packet.pts)
            if number >= 32:  # pictures are stored in the order of decoding: the first to be shown is among these
                break
        return float((first or 0) * (video.time_base or Fraction(1, 1000)))
