"""The thread that owns an engine's model: it encodes videos and answers questions in batches, in turns."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dyto.errors import DytoError
from dyto.inspecting.evidence import find_evidence
from dyto.memory.remembered import Memory
from dyto.models.base import Prefix, VideoModel
from dyto.models.generation.keeping import KeptVideos
from dyto.models.generation.rows import Row
from dyto.serving.events import Answered, EngineReply, Failed
from dyto.serving.passing import Passing
from dyto.serving.tickets import Coming, Ticket
from dyto.system.memory import keep_freed_at_hand

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
"""Seconds to wait for the end of the thread; a step of a language model is shorter."""


class ModelThread:
    """A thread with a queue of encoded questions and a queue of videos to encode.

    Args:
        model: The model, which only this thread uses from now on.
        kept: Store of tokens and prefixes.
        most: Largest number of questions in one batch.
        compiled: Whether the saving `compiled` is on.
    """

    def __init__(self, model: VideoModel, kept: KeptVideos, most: int, compiled: bool) -> None:
        self._model, self._kept, self._most, self._compiled = model, kept, most, compiled
        self._ready: deque[Ticket] = deque()
        self._videos: deque[Coming] = deque()
        self._explaining: deque[tuple[Ticket, EngineReply]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._between = 0.0  # seconds of answers inside the encoding of a video
        self._prefill = 0.0  # seconds of reading the first prefix of a batch
        self._batch_seconds = 1.0
        self.on_batch: Callable[[int, float], None] = lambda questions, seconds: None
        self._passing = Passing(most) if model.answers_elsewhere else None
        self._hook: Any = None
        with suppress(AttributeError, NotImplementedError):  # an adapter of one's own may have another vision side
            self._hook = model.tower().register_forward_pre_hook(self._before_frames)
        self._thread = threading.Thread(target=self._run, name="dyto-engine", daemon=True)
        self._thread.start()

    def add(self, ticket: Ticket) -> None:
        """Queue a question whose video is encoded."""
        if self._passing is not None:
            self._passing.add(ticket)
            return
        with self._wake:
            self._ready.append(ticket)
            self._wake.notify()

    def add_video(self, coming: Coming) -> None:
        """Queue a video whose frames are there."""
        with self._wake:
            self._videos.append(coming)
            self._wake.notify()

    def seconds_for(self, questions: int) -> float:
        """Return about how many seconds the answers to some questions will take."""
        return max(1.0, round(self._batch_seconds * questions / self._most))

    def close(self, wait: bool) -> None:
        """End the thread after its current step.

        Args:
            wait: Whether to wait for it.
        """
        if self._passing is not None:
            self._passing.close()
        with self._wake:
            self._closed = True
            self._wake.notify()
        if wait and threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_SECONDS)
        if self._hook is not None:
            self._hook.remove()

    # --- in the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        keep_freed_at_hand()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._ready or self._videos or self._explaining)
                if self._closed:
                    break
            for turn in (self._answer_ready, self._encode_next, self._explain_next):
                try:
                    turn()
                except Exception:  # each turn tells its own questions about errors
                    logger.exception("the engine's thread goes on after an error")
        for coming in self._videos:
            coming.over.set()

    def _before_frames(self, *_: Any) -> None:
        """Answer waiting questions before the tower sees the next few frames of a new video."""
        if threading.current_thread() is self._thread and self._ready and not self._closed:
            begin = time.perf_counter()
            self._answer_ready()
            self._between += time.perf_counter() - begin

    def _encode_next(self) -> None:
        with self._wake:
            coming = self._videos.popleft() if self._videos else None
        if coming is None:
            return
        try:
            if coming.wanted:
                self._encode(coming)
        except Exception as err:
            if not isinstance(err, DytoError):
                logger.exception("a video could not be encoded")
            coming.close(coming)
            coming.fail(err)
        finally:
            coming.frames = None
            coming.over.set()
            for ticket in coming.close(coming):
                if not ticket.ended and ticket.tokens is None:
                    ticket.end(Failed(RuntimeError("a video was given up while somebody waited for it")))

    def _encode(self, coming: Coming) -> None:
        ticket, self._between = coming.first, 0.0
        assert coming.frames is not None
        ticket.qa.on_stage = ticket.stage
        own = ticket.qa.question_for_strategy(ticket.asked.question)
        tokens = ticket.qa.encode(coming.frames, question=own, subtitles=coming.subtitles)
        stages = {**tokens.stages, "decode": coming.seconds}
        stages["encode"] = max(0.0, stages.get("encode", 0.0) - self._between)
        tokens = replace(tokens, stages=stages)
        if coming.key is not None:
            self._kept.keep_tokens(coming.key, tokens)
        for number, ticket in enumerate(coming.close(coming)):
            ticket.tokens, ticket.reused = tokens, number > 0
            if ticket.asked.on_seen is not None and not ticket.ended:
                seen = coming.frames.frames if isinstance(coming.frames, Memory) else coming.frames
                ticket.asked.on_seen(seen, tokens)
            self.add(ticket)

    def _answer_ready(self) -> None:
        """Answer the first question that waits, and all others that can be in its batch."""
        batch = self._take_batch()
        if batch:
            begin = time.perf_counter()
            self._write(batch)
            seconds = time.perf_counter() - begin
            self._batch_seconds += 0.2 * (seconds - self._batch_seconds)
            self.on_batch(len(batch), seconds)

    def _take_batch(self) -> list[Ticket]:
        """Take questions from the queue whose prefixes are scaled alike and can stand in one batch."""
        with self._wake:
            waiting = [ticket for ticket in self._ready if not ticket.ended]
            self._ready.clear()
        batch: list[Ticket] = []
        rest: list[Ticket] = []
        first: Prefix | None = None
        for ticket in waiting:
            try:
                ticket.check_fit()
                if first is None:
                    begin = time.perf_counter()
                    first = self._prefix(ticket)
                    self._prefill = time.perf_counter() - begin
                    company = self._model.company(first, len(ticket.prompt.after))
                    most = min(self._most, self._model.batch_size(first))
                    batch.append(ticket)
                elif (
                    len(batch) < most
                    and ticket.scaled == batch[0].scaled
                    and self._model.company(first, len(ticket.prompt.after)) == company
                ):
                    batch.append(ticket)
                else:
                    rest.append(ticket)
            except Exception as err:  # noqa: BLE001 - told to the one who asked
                self._fail(ticket, err)
        with self._wake:
            self._ready.extendleft(reversed(rest))  # those who came in the meantime are behind them
        return batch

    def _prefix(self, ticket: Ticket) -> Prefix:
        assert ticket.tokens is not None
        return self._kept.prefix(ticket.tokens, ticket.prompt.before, ticket.scaled)

    def _write(self, batch: list[Ticket]) -> None:
        """Answer a batch; if it fails as a whole, each question alone, so that one cannot spoil the others."""
        rows: list[Row] = []
        try:
            begin = time.perf_counter()
            prefixes = [self._prefix(ticket) for ticket in batch]
            prefill = self._prefill + time.perf_counter() - begin
            rows = [ticket.row(prefill, self._finished) for ticket in batch]
            after = [ticket.prompt.after for ticket in batch]
            self._model.write(prefixes, after, rows, compiled=self._compiled)
        except Exception as err:  # noqa: BLE001 - told to the one whose question fails alone, too
            left = [ticket for ticket in batch if not ticket.ended and not ticket.explained]
            if len(batch) == 1:
                for ticket in left:
                    self._fail(ticket, err)
                return
            logger.warning("a batch of %d failed (%s): its questions are answered one by one", len(batch), err)
            for ticket in left:
                self._write([ticket])

    def _finished(self, ticket: Ticket, reply: EngineReply) -> None:
        if not ticket.asked.evidence or not reply.text:
            ticket.end(Answered(replace(reply, evidence=[] if ticket.asked.evidence else None)))
            return
        ticket.explained = True
        with self._wake:
            self._explaining.append((ticket, reply))

    def _explain_next(self) -> None:
        """Rank the key frames for one answer."""
        with self._wake:
            if not self._explaining:
                return
            ticket, reply = self._explaining.popleft()
        if ticket.ended or ticket.tokens is None:
            return
        asked = ticket.asked
        try:
            found = find_evidence(ticket.qa, ticket.tokens, asked.question, reply.text, choices=asked.choices)
            ticket.end(Answered(replace(reply, evidence=found)))
        except Exception as err:  # noqa: BLE001 - told to the one who asked
            self._fail(ticket, err)

    def _fail(self, ticket: Ticket, err: Exception) -> None:
        if not isinstance(err, DytoError):
            logger.error("a question failed", exc_info=err)
        ticket.end(Failed(err))
