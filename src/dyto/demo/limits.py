"""Limits on visitors' files, and their messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dyto.errors import VideoError
from dyto.video import existing
from dyto.video.limits import Limits as Bounds


@dataclass(frozen=True)
class DemoLimits:
    """Limits on a video, and on the files of all visitors.

    Attributes:
        megabytes: Size limit of a file, in MB.
        minutes: Longest duration, in minutes.
        pixels: Largest number of pixels of a frame.
        visitor_megabytes: Size limit of one visitor's files, in MB; None for twice `megabytes`.
        visitor_files: Largest number of files of one visitor.
        all_megabytes: Size limit of all visitors' files, in MB; None for ten times `megabytes`.
        all_files: Largest number of files of all visitors.
        keep_minutes: Minutes after which an unused file is deleted.
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
        """Size limit of one file, in bytes."""
        return self.megabytes * 1_000_000

    @property
    def visitor_bytes(self) -> int:
        """Size limit of one visitor's files, in bytes."""
        return 2 * self.file_bytes if self.visitor_megabytes is None else self.visitor_megabytes * 1_000_000

    @property
    def all_bytes(self) -> int:
        """Size limit of all visitors' files, in bytes."""
        return 10 * self.file_bytes if self.all_megabytes is None else self.all_megabytes * 1_000_000

    @property
    def bounds(self) -> Bounds:
        """Limits on a video, as in `dyto.sample_frames`."""
        return Bounds(megapixels=self.pixels / 1e6, hours=self.minutes / 60, fixed=True)

    def check(self, path: str) -> Path:
        """Check the size of a file before it is opened.

        Args:
            path: Path of the file.

        Returns:
            The path.

        Raises:
            VideoError: The file does not exist or is too large.
        """
        file = existing(path)
        size = file.stat().st_size / 1e6
        if size > self.megabytes:
            raise VideoError(
                f"{file.name} has {size:.0f} MB, but {self.megabytes} MB are allowed here: cut it or lower its quality"
            )
        return file
