"""What a visitor may send, and what is told of a file that is too much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dyto._container import opened, packets_of
from dyto._pictures import is_picture
from dyto.errors import VideoError
from dyto.video import existing


@dataclass(frozen=True)
class Limits:
    """Bounds on a video, and on what is kept of all of them.

    Attributes:
        megabytes: Most of the file.
        minutes: Longest duration.
        pixels: Most of a frame.
        visitor_megabytes: Most of one visitor's files together; None for twice `megabytes`.
        visitor_files: Most files of one visitor.
        all_megabytes: Most of all visitors' files together; None for ten times `megabytes`.
        all_files: Most files of all visitors.
        keep_minutes: How long a file stays that nobody uses.
    """

    megabytes: int = 200
    minutes: float = 20.0
    pixels: int = 8192 * 4320
    visitor_megabytes: int | None = None
    visitor_files: int = 4
    all_megabytes: int | None = None
    all_files: int = 100
    keep_minutes: float = 30.0

    @property
    def file_bytes(self) -> int:
        """Most of one file."""
        return self.megabytes * 1_000_000

    @property
    def visitor_bytes(self) -> int:
        """Most of one visitor's files together."""
        return 2 * self.file_bytes if self.visitor_megabytes is None else self.visitor_megabytes * 1_000_000

    @property
    def all_bytes(self) -> int:
        """Most of all visitors' files together."""
        return 10 * self.file_bytes if self.all_megabytes is None else self.all_megabytes * 1_000_000

    def check(self, path: str) -> Path:
        """Fail on a file that is too much, before it is decoded.

        Args:
            path: Of the file.

        Returns:
            The path.

        Raises:
            VideoError: It is no video, or over a limit.
        """
        file = existing(path)
        size = file.stat().st_size / 1e6
        if size > self.megabytes:
            raise VideoError(
                f"{file.name} has {size:.0f} MB, but {self.megabytes} MB are allowed here: cut it or lower its quality"
            )
        if is_picture(file):
            return file
        with opened(file) as (container, stream):
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > self.pixels:
                raise VideoError(f"{file.name} is {width} x {height}, larger than allowed here: scale it down")
            most, base = self.minutes * 60, float(stream.time_base or 0)
            first: float | None = None
            for packet in packets_of(container, stream):
                if packet.pts is None:
                    continue
                second = packet.pts * base
                first = second if first is None else min(first, second)
                if second - first > most:
                    raise VideoError(
                        f"{file.name} is longer than the {self.minutes:g} minutes allowed here: cut out a part"
                    )
        return file
