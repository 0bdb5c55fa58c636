"""The queue of one model: videos are read in parallel, and questions are answered one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

READERS = 4
"""Number of videos that are being read, or wait for the model with frames in memory. A file that hangs its decoder
takes one of these places until its deadline, and blocks nobody else."""

T = TypeVar("T")


@dataclass(eq=False)
class Place:
    """A visitor's place in the queue.

    Attributes:
        left: Set when the visitor has left, or will not be answered any more.
        reads: Whether the video is being read now.
    """

    left: threading.Event = field(default_factory=threading.Event)
    reads: bool = False
    work: Future[None] | None = None
    turn: Future[Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether the visitor left before any work was done."""
        return self.work is not None and self.work.cancelled()


class Line:
    """The queue of visitors for one model.

    Args:
        name: Name of the model.
        most: Number of visitors who may wait, besides the one being answered.
    """

    def __init__(self, name: str, most: int) -> None:
        self.most = most
        self.places: list[Place] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"dyto-read-{name}")
        self._model = ThreadPoolExecutor(1, thread_name_prefix=f"dyto-{name}")  # a pipeline serves one thread
        self._lock = threading.Lock()

    def join(self, work: Callable[[Place], None]) -> Place | None:
        """Take a place; None if the queue is full.

        Args:
            work: Function to run in a reader thread; it calls `in_turn` for work on the model.
        """
        place = Place()
        with self._lock:
            if len(self.places) > self.most:
                return None
            self.places.append(place)
            place.work = self._readers.submit(work, place)
        place.work.add_done_callback(lambda _: self._remove(place))
        return place

    def in_turn(self, place: Place, work: Callable[..., T], *args: Any) -> T:
        """Run a function in the model's thread, after everyone before.

        Raises:
            CancelledError: The visitor left, or the demo ends.
        """
        with self._lock:
            place.reads = False
            if (
                place in self.places
            ):  # visitors waiting for the model come before those whose videos are still being read
                self.places.remove(place)
                self.places.insert(sum(other.turn is not None for other in self.places), place)
            place.turn = self._model.submit(work, *args)
        return place.turn.result()

    def in_model(self, work: Callable[..., T], *args: Any) -> T:
        """Run a function in the model's thread, outside the queue."""
        return self._model.submit(work, *args).result()

    def ahead(self, place: Place) -> int:
        """Return how many visitors come first; none while the video is still being read."""
        with self._lock:
            return self.places.index(place) if place in self.places and not place.reads else 0

    def leave(self, place: Place) -> None:
        """Remove a visitor: running work ends at its next step, and other work does not start."""
        place.left.set()
        begun = place.turn is not None and not place.turn.cancel()
        if place.work is not None and not place.work.cancel() and begun:
            return
        self._remove(place)

    def _remove(self, place: Place) -> None:
        with self._lock:
            if place in self.places:
                self.places.remove(place)

    def stop(self, wait: bool) -> None:
        """Start nothing more.

        Args:
            wait: Whether to wait for running work; otherwise it ends at its next step.
        """
        with self._lock:
            for place in [] if wait else self.places:
                place.left.set()
        for pool in (self._model, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._readers, self._model) if wait else ():
            pool.shutdown()
