"""Frames that are read while a thread still decodes; readers wait only for the frames they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dyto.errors import VideoError
from dyto.video.sampling import FrameBuffer, TargetSize


class FramesChanged(VideoError):
    """Error for a file that breaks the promise of its index after frames were handed out: read it without overlap."""


class _Closed(Exception):
    """Signal that nobody waits for the frames any more."""


class Arrival(FrameBuffer):
    """A frame buffer that a thread fills.

    Args:
        wanted: As in `FrameBuffer`.
        fit: As in `FrameBuffer`.
        name: As in `FrameBuffer`.
        read: Function that fills the buffer passed to it.

    Attributes:
        waited: Seconds that readers have waited.
    """

    def __init__(
        self, wanted: NDArray[np.int64], fit: TargetSize, name: str, read: Callable[[FrameBuffer], None]
    ) -> None:
        super().__init__(wanted, fit, name)
        self.waited = 0.0
        self._read = read
        self._there = np.zeros(len(wanted), np.bool_)
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="dyto-decode", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._read(self)
        except BaseException as err:  # noqa: BLE001 - passed on to waiting readers, below
            self._error = err
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def check(self) -> None:
        """Override `FrameBuffer.check`: also stop when nobody waits any more."""
        if self._closed:
            raise _Closed

    def kept(self, position: int, picture: NDArray[np.uint8]) -> None:
        """Override `FrameBuffer.kept`: wake readers that wait for the frame."""
        self._tell(position)

    def repeat(self, position: int, before: int) -> None:
        """Override `FrameBuffer.repeat`: also wake readers that wait for the frame."""
        self.check()
        super().repeat(position, before)
        self._tell(position)

    def _tell(self, position: int) -> None:
        with self._changed:
            self._there[self.rows[position]] = True
            self._changed.notify_all()

    def first(self) -> None:
        """Wait until the size of the frames is known."""
        self._wait(lambda: bool(self._there.any()))

    def take(self, rows: slice) -> NDArray[np.uint8]:
        """Return the pictures of some rows, (n, H, W, 3), as soon as they are decoded.

        Raises:
            FramesChanged: They will never arrive.
        """
        self._wait(lambda: bool(self._there[rows].all()))
        return self.data[rows]

    def whole(self) -> NDArray[np.uint8]:
        """Return all pictures, once decoding has finished."""
        self._wait(lambda: self._ended)
        if self._error is not None:
            self._fail()
        return self.take(slice(None))

    def _wait(self, ready: Callable[[], bool]) -> None:
        start = time.perf_counter()
        with self._changed:
            self._changed.wait_for(lambda: self._ended or ready())
        self.waited += time.perf_counter() - start
        if not ready():
            self._fail()

    def _fail(self) -> None:
        raise FramesChanged(
            f"{self.name} is not what its index promises ({self._error}), expected the frames that it lists: read it "
            "with the saving 'overlap' off"
        ) from self._error

    def close(self) -> None:
        """Stop the thread and wait until it has ended."""
        self._closed = True
        if threading.current_thread() is not self._thread:  # the garbage collector may run in the thread itself
            self._thread.join()
