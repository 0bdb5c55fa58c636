"""Reading of videos for an engine, in child processes and beside the model's work."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dyto.errors import ClosedError
from dyto.memory.remembered import Memory
from dyto.memory.remembering import is_remembered, opened
from dyto.models.base import VideoModel
from dyto.models.generation.preparing import said_in
from dyto.savings import Savings
from dyto.serving.tickets import Coming, Ticket
from dyto.subtitles.finding import Subtitles
from dyto.video import Frames, sample_frames
from dyto.video.limits import Limits

logger = logging.getLogger(__name__)

READERS = 4
"""Number of videos that are being read, or wait for the model with frames in memory. A file that hangs its decoder
takes one of these places until its deadline, and blocks nobody else."""


class Reading:
    """The videos that are on their way; questions about the same one share its reading.

    Args:
        model: The model, for the size of the frames, and whether it reads subtitles.
        savings: The savings to use.
        limits: Limits on videos.
        arrived: Called with each video whose frames are there.
    """

    def __init__(self, model: VideoModel, savings: Savings, limits: Limits, arrived: Callable[[Coming], None]) -> None:
        self._model, self._limits, self._arrived = model, limits, arrived
        self._savings = dataclasses.replace(savings, overlap=False)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="dyto-engine-read")
        self._coming: dict[Hashable, Coming] = {}
        self._begun: dict[int, Coming] = {}  # by identity: those without a key, too
        self._lock = threading.Lock()
        self._closed = False

    def add(self, key: Hashable, ticket: Ticket) -> None:
        """Read the video of a question, unless somebody waits for the same one already.

        Args:
            key: What determines its tokens; None if nothing is known to.
            ticket: The question.
        """
        with self._lock:
            coming = self._coming.get(key) if key is not None else None
            if coming is not None:
                coming.tickets.append(ticket)
                if coming.frames is not None:
                    ticket.wait()
                return
            coming = Coming(key, [ticket], self.done)
            if self._closed:
                coming.fail(ClosedError("the engine stops, expected a running one: ask another one"))
                return
            if key is not None:
                self._coming[key] = coming
            self._begun[id(coming)] = coming
            self._pool.submit(self._read, coming)

    def close(self) -> None:
        """Read nothing more; videos that are being read are given up when they are there."""
        with self._lock:
            self._closed = True
            coming = list(self._begun.values())
        for one in coming:
            one.over.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def done(self, coming: Coming) -> list[Ticket]:
        """Close the list of questions that wait for a video, and return it."""
        with self._lock:
            if coming.key is not None and self._coming.get(coming.key) is coming:
                del self._coming[coming.key]
            return coming.tickets

    def _read(self, coming: Coming) -> None:
        try:
            self._read_and_wait(coming)
        finally:
            with self._lock:
                del self._begun[id(coming)]

    def _read_and_wait(self, coming: Coming) -> None:
        try:
            read = self._read_all(coming) if coming.wanted and not self._closed else None
        except Exception as err:  # noqa: BLE001 - told to everybody who waits for this video
            self.done(coming)
            coming.fail(err)
            return
        if read is None:  # everybody has left, but somebody may have come in the meantime
            for ticket in self.done(coming):
                if not ticket.ended:
                    self.add(coming.key, ticket)
            return
        with self._lock:
            coming.frames, coming.subtitles = read
            for ticket in coming.tickets:
                ticket.wait()
        self._arrived(coming)
        coming.over.wait()  # so that no more frames are in memory than there are readers

    def _read_all(self, coming: Coming) -> tuple[Frames | Memory, Subtitles | None]:
        """Return the frames of a video and what is said in it, or a memory."""
        asked, begin = coming.first.asked, time.perf_counter()
        video: Any = asked.video
        coming.first.stage("decode")
        if is_remembered(video):
            memory = opened(video, asked.sampling)
            coming.seconds = time.perf_counter() - begin
            return memory, None
        said = said_in(video, asked.subtitles, self._model, {"limits": self._limits, "guarded": True})
        if isinstance(video, Frames) and not asked.sampling:
            return video, said
        options = {"limits": self._limits, "guarded": True, **asked.sampling}
        frames = sample_frames(video, size=self._model.image_size, savings=self._savings, **options)
        coming.seconds = time.perf_counter() - begin
        return frames, said
