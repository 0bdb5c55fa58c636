"""What a visitor may send, and what is told of a file that is too much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dyto.errors import VideoError
from dyto.video import existing
from dyto.video.limits import Limits as Bounds


@dataclass(frozen=True)
class DemoLimits:
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

    @property
    def bounds(self) -> Bounds:
        """What a video may hold, as `dyto.sample_frames` takes it."""
        return Bounds(megapixels=self.pixels / 1e6, hours=self.minutes / 60, fixed=True)

    def check(self, path: str) -> Path:
        """Fail on a file that is too much, before it is opened.

        Args:
            path: Of the file.

        Returns:
            The path.

        Raises:
            VideoError: It is not there, or too large.
        """
        file = existing(path)
        size = file.stat().st_size / 1e6
        if size > self.megabytes:
            raise VideoError(
                f"{file.name} has {size:.0f} MB, but {self.megabytes} MB are allowed here: cut it or lower its quality"
            )
        return file
