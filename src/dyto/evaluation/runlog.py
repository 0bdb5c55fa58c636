"""The log of a run and its seconds, which rows do not contain, so that rows never vary."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from dyto.evaluation.files import dump_line
from dyto.evaluation.outcome import reason_of
from dyto.system.files import cannot_write


class RunLog:
    """A log with one line per clip (name, time, and seconds of each stage) and one per error.

    Args:
        folder: The log folder of the run; it is created with the first line.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{socket.gethostname()}-{os.getpid()}.jsonl"
        self._file: TextIO | None = None

    def write(self, line: dict[str, Any]) -> None:
        """Write a line that `LogLines` collected, perhaps in another process.

        Raises:
            DatasetError: The disk is full.
        """
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
            self._file.write(dump_line(line))
        except OSError as err:
            raise cannot_write(self._path, err) from err

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        if self._file is not None:
            with suppress(OSError):  # lines lost to a full disk, which has already been reported
                self._file.close()


class LogLines:
    """A collector of lines for the log of a run, which the driver writes.

    Example:
        >>> log = LogLines()
        >>> with log.clip("a.mp4") as seconds:
        ...     seconds["decode"] = 0.5
        >>> [line["video"] for line in log.take()], log.take()
        (['a.mp4'], [])
    """

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []

    @contextmanager
    def clip(self, video: str) -> Iterator[dict[str, float]]:
        """Log one clip; the block fills in the seconds of its stages."""
        seconds: dict[str, float] = {}
        start = time.perf_counter()
        yield seconds
        seconds["total"] = time.perf_counter() - start
        self._add({"video": video, **{stage: f"{value:.4f}" for stage, value in seconds.items()}})

    def error(self, video: str, err: Exception) -> None:
        """Log an error that cost an answer, with its traceback."""
        self._add({"video": video, "error": reason_of(err), "traceback": "".join(traceback.format_exception(err))})

    def take(self) -> list[dict[str, Any]]:
        """Return the lines collected since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def _add(self, line: dict[str, Any]) -> None:
        self._lines.append(line | {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
