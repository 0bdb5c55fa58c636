"""Progress for people: on a terminal a bar with rate and remaining time, elsewhere an occasional line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_SECONDS = 30.0


class Bars:
    """Progress bars for asking and for judging.

    Args:
        console: Where to print.
        title: The benchmark.
        transient: Leave no bar behind, so that something else may be printed while they are `paused`.
    """

    def __init__(self, console: Console, title: str, *, transient: bool = False) -> None:
        self._console, self._title = console, title
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
        )
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=transient, disable=not console.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}
        self._start: dict[str, tuple[float, int]] = {}
        self._printed = time.monotonic()
        self._finished: set[str] = set()

    def asking(self, done: int, total: int) -> None:
        """Show how many samples are recorded."""
        self._show("asking", done, total)

    def judging(self, done: int, total: int) -> None:
        """Show how many verdicts have arrived."""
        self._show("judging", done, total)

    def _show(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(f"{self._title}, {what}", total=total, rate="")
            self._start[what] = (time.monotonic(), done)
        began, at = self._start[what]
        rate = (done - at) / max(1e-9, time.monotonic() - began)
        speed = f"{rate:.2f} a second" if done > at else ""
        self._progress.update(self._tasks[what], completed=done, total=total, rate=speed)
        finished = done == total and what not in self._finished
        if finished:
            self._finished.add(what)
        if not self._console.is_terminal and (finished or time.monotonic() - self._printed > LINE_SECONDS):
            self._printed = time.monotonic()
            left = f", {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
            self._console.print(f"{self._title}, {what}: {done}/{total} {speed}{left}", markup=False)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the bars while the user is asked or told something."""
        self._progress.stop()
        yield
        self._progress.start()

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()
