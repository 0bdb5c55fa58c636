"""How long a child process may read a video, and how much memory it may take."""

from __future__ import annotations

import mmap
import os
import signal
import time
from pathlib import Path

from dyto.errors import VideoError

FIRST_SECONDS, SECONDS_A_MINUTE = 10.0, 2.0
"""Seconds allowed for reading, and additional seconds for each minute of video."""

BYTES_A_SECOND = 50e6
"""Bytes that add a second to the deadline until the duration is known, because the whole index must be read."""


class Allowance:
    """The deadline and memory limit of one request."""

    def __init__(self, pid: int, path: str, memory: int, longest: float, start: float) -> None:
        self._pid, self._path, self._memory, self._longest = pid, path, memory, longest
        self._start = time.monotonic() + start
        self._allowed = FIRST_SECONDS + (os.path.getsize(path) if os.path.isfile(path) else 0) / BYTES_A_SECOND

    def begin(self) -> None:
        """Start the clock, because the child is ready."""
        self._start = time.monotonic()

    def allow(self, lasts: float) -> None:
        """Set the deadline from the duration that the video declares."""
        self._allowed = FIRST_SECONDS + SECONDS_A_MINUTE * min(max(0.0, lasts), self._longest) / 60

    def check(self) -> None:
        """Fail if the child takes too long or too much memory.

        Raises:
            VideoError: A limit is exceeded.
        """
        name = Path(self._path).name
        if time.monotonic() - self._start > self._allowed:
            raise VideoError(
                f"{name} takes more than {self._allowed:.0f} s to read, expected {FIRST_SECONDS:.0f} s and "
                f"{SECONDS_A_MINUTE:.0f} s for each minute of video at most: convert it with ffmpeg"
            )
        if resident(self._pid) > self._memory:
            raise self._too_much()

    def died(self, status: int | None) -> VideoError:
        """Return the error for a child that ended while reading, or sent nonsense."""
        if status is not None and -status == signal.SIGKILL:
            return self._too_much()  # the system kills it if memory runs short
        ended = "it says what cannot be understood" if status is None else f"status {status}"
        if status is not None and status < 0:
            ended = f"signal {signal.Signals(-status).name}"
        return VideoError(
            f"{Path(self._path).name} broke the process that decodes it ({ended}), expected a video that can be read: "
            "convert it with ffmpeg"
        )

    def _too_much(self) -> VideoError:
        return VideoError(
            f"{Path(self._path).name} takes more than {self._memory / 2**30:.1f} GiB of memory to read, expected less: "
            "scale it down, or take fewer frames"
        )


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds, or 0 if that is unknown."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * mmap.PAGESIZE
    except (OSError, IndexError, ValueError):
        return 0
