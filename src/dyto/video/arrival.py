"""Frames that arrive while they are already read: a thread decodes, readers wait for what they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dyto.errors import VideoError
from dyto.video.sampling import FrameBuffer, TargetSize


class FramesChanged(VideoError):
    """A file did not keep what its index promised, after some of its frames were handed out: read it plainly."""


class _Closed(Exception):
    """Nobody waits for the frames any more."""


class Arrival(FrameBuffer):
    """A buffer that a thread fills.

    Args:
        wanted: As in `FrameBuffer`.
        fit: As in `FrameBuffer`.
        name: As in `FrameBuffer`.
        read: Fills the buffer that it is given.

    Attributes:
        waited: Seconds that readers waited.
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
        except BaseException as err:  # noqa: BLE001 - told to whoever waits, below
            self._error = err
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def check(self) -> None:
        """See `FrameBuffer.check`."""
        if self._closed:
            raise _Closed

    def put(self, position: int, picture: NDArray[np.uint8], shape: tuple[int, int] | None = None) -> None:
        """See `FrameBuffer.put`; whoever waits for the frame is woken."""
        self.check()
        super().put(position, picture, shape)
        self._tell(position)

    def repeat(self, position: int, before: int) -> None:
        """See `FrameBuffer.repeat`; whoever waits for the frame is woken."""
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
        """The pictures of some rows, (n, H, W, 3), as soon as they are there.

        Raises:
            FramesChanged: They will not come.
        """
        self._wait(lambda: bool(self._there[rows].all()))
        return self.data[rows]

    def whole(self) -> NDArray[np.uint8]:
        """All pictures, once nothing can go wrong with them any more."""
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
        """End the thread and wait until it has ended."""
        self._closed = True
        if threading.current_thread() is not self._thread:  # which may be the one that collects garbage
            self._thread.join()
