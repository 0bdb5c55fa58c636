"""The log of what a run did and how long it took; rows hold none of it, so that they never vary."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from dyto.evaluation.files import cannot_write, dump_line


class Timings:
    """Writes one line for every clip: which one, when, and the seconds of each stage.

    Args:
        folder: The log folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / f"{socket.gethostname()}-{os.getpid()}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", buffering=1)
        except OSError as err:
            raise cannot_write(path, err) from err
        self._path = path

    @contextmanager
    def clip(self, video: str) -> Iterator[dict[str, float]]:
        """Log one clip; the block fills in the seconds of its stages."""
        seconds: dict[str, float] = {}
        start = time.perf_counter()
        yield seconds
        seconds["total"] = time.perf_counter() - start
        line = {"video": video, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        line |= {stage: f"{value:.4f}" for stage, value in seconds.items()}
        try:
            self._file.write(dump_line(line))
        except OSError as err:
            raise cannot_write(self._path, err) from err

    def __enter__(self) -> Timings:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()
