"""Reading a source in one thread and looking at its frames in another, while a command asks in the main one."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from dyto.errors import DytoError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dyto.memory.watching import Watch
    from dyto.video.live import LiveFrames

WAITING = 4
"""Frames of a camera or a pipe that may wait for the model; one that comes then is dropped."""
GAP = 1.0
"""Seconds by which a stream that is watched again comes after what was seen before: nobody knows how long it was."""
TURN = 0.1
"""Seconds between looks at whether to stop."""


class Feeding:
    """Threads that feed a watch.

    Args:
        watch: The watch.
        frames: Where frames come from.

    Attributes:
        error: What ended it before the end of the source.
    """

    def __init__(self, watch: Watch, frames: LiveFrames) -> None:
        self._watch, self._frames = watch, frames
        self._live = frames.source.live is not None
        self._known = watch.latest  # of a file these seconds were seen; a camera's own begin at 0 again
        self._waiting: queue.Queue[tuple[NDArray[np.uint8], float] | None] = queue.Queue(WAITING)
        self._stopping, self._first, self._ended = threading.Event(), threading.Event(), threading.Event()
        self.error: DytoError | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"dyto-{work.__name__.strip('_')}", daemon=True)
            for work in (self._read, self._look)
        ]

    @property
    def broken(self) -> int:
        """Parts of the source that could not be decoded."""
        return self._frames.broken

    def start(self) -> None:
        """Start reading."""
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Wait for the end of the source."""
        while not self._ended.wait(TURN):
            pass

    def wait_for_first(self) -> None:
        """Wait until a frame has been looked at, or the source has ended."""
        while not self._first.wait(TURN) and not self._ended.is_set():
            pass

    def stop(self) -> None:
        """Stop, without the frames that still wait."""
        self._stopping.set()
        self._threads[1].join(5)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except DytoError as error:
            self.error = self.error or error
            self._stopping.set()
            self._ended.set()

    def _read(self) -> None:
        try:
            for pixels, seconds in self._frames:
                if self._stopping.is_set():
                    return
                if pixels is None:
                    self._watch.drop()
                elif not self._live:
                    self._put((pixels, seconds))
                else:
                    try:
                        self._waiting.put_nowait((pixels, seconds))
                    except queue.Full:
                        self._watch.drop()
        finally:
            self._put(None)

    def _put(self, frame: tuple[NDArray[np.uint8], float] | None) -> None:
        while not self._stopping.is_set():
            try:
                return self._waiting.put(frame, timeout=TURN)
            except queue.Full:
                continue

    def _look(self) -> None:
        while not self._stopping.is_set():
            try:
                frame = self._waiting.get(timeout=TURN)
            except queue.Empty:
                continue
            if frame is None:
                break
            pixels, seconds = frame
            if math.isfinite(self._known):
                if not self._live and seconds <= self._known:
                    continue
                seconds += self._known + GAP if self._live else 0.0
            self._watch.feed(pixels, seconds)
            self._first.set()
        self._ended.set()
