"""The visitors of one model: their videos are read side by side, and they are answered one after another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

READERS = 4
"""Videos that are read, or wait for the model with their frames in memory, at a time. A file that hangs its decoder
takes one of these places until its deadline, and holds up nobody else."""

T = TypeVar("T")


@dataclass(eq=False)
class Place:
    """A visitor in the line.

    Attributes:
        left: Set when he has left, or is not to be answered any more.
        reads: Whether his video is being read just now.
    """

    left: threading.Event = field(default_factory=threading.Event)
    reads: bool = False
    work: Future[None] | None = None
    turn: Future[Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether he was sent away before anything was done for him."""
        return self.work is not None and self.work.cancelled()


class Line:
    """Who wants something of a model.

    Args:
        name: Of the model.
        most: Visitors who wait, beside the one who is answered.
    """

    def __init__(self, name: str, most: int) -> None:
        self.most = most
        self.places: list[Place] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"dyto-read-{name}")
        self._model = ThreadPoolExecutor(1, thread_name_prefix=f"dyto-{name}")  # a pipeline serves one thread
        self._lock = threading.Lock()

    def join(self, work: Callable[[Place], None]) -> Place | None:
        """Take a place; None if there is none left.

        Args:
            work: What is to be done, in a thread of a reader; it calls `in_turn` for what needs the model.
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
        """Do something in the thread of the model when those before are done.

        Raises:
            CancelledError: The visitor left meanwhile, or all of it ends.
        """
        with self._lock:
            place.reads = False
            if place in self.places:  # who waits for the model comes before those whose videos are still read
                self.places.remove(place)
                self.places.insert(sum(other.turn is not None for other in self.places), place)
            place.turn = self._model.submit(work, *args)
        return place.turn.result()

    def in_model(self, work: Callable[..., T], *args: Any) -> T:
        """Do something in the thread of the model for nobody in particular."""
        return self._model.submit(work, *args).result()

    def ahead(self, place: Place) -> int:
        """How many are before a visitor; none are while his video is read."""
        with self._lock:
            return self.places.index(place) if place in self.places and not place.reads else 0

    def leave(self, place: Place) -> None:
        """A visitor leaves: what has begun ends at its next step, and the rest is not begun."""
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
        """Begin nothing more.

        Args:
            wait: For what is under way; otherwise that ends at its next step.
        """
        with self._lock:
            for place in [] if wait else self.places:
                place.left.set()
        for pool in (self._model, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._readers, self._model) if wait else ():
            pool.shutdown()
