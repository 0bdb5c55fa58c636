"""From a request to its reply: waiting, streaming, and noticing that the client has left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from dyto.serving.asking import AskedRequest
from dyto.serving.engine import Engine
from dyto.serving.events import Answered, EngineReply, Event, Failed, Tell, TextPiece
from dyto.serving.refusing import Refusal, refusal_of
from dyto.serving.replies import Completion
from dyto.serving.storing import Media
from dyto.serving.tickets import Ticket

LOOK_SECONDS = 0.05
"""Seconds of an answer before anybody looks whether its client has left; most are there sooner."""


class ServedAnswer:
    """One question on its way, seen from the server's loop.

    Args:
        engine: The engine that answers.
        count: Called with the reply, and the seconds from the request to it.
        asked: The question.
        name: Name of the model.
        begin: When the request came, by `time.perf_counter`.
    """

    def __init__(
        self, engine: Engine, count: Callable[[EngineReply, float], None], asked: AskedRequest, name: str, begin: float
    ) -> None:
        self._engine, self._count, self._asked, self._begin = engine, count, asked, begin
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()  # None when the client has left
        self._handed: Future[None] | None = None
        self._ticket: Ticket | None = None
        self._media = asked.media if isinstance(asked.media, Media) else None
        self.completion = Completion(name, {})

    def submit(self, hands: Executor) -> None:
        """Find the video, and hand the question to the engine, in another thread: the loop waits for neither.

        Args:
            hands: Threads that may wait for a disk.
        """
        loop = asyncio.get_running_loop()

        def tell(event: Event) -> None:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        self._handed = hands.submit(self._submit, tell)

    def _submit(self, tell: Tell) -> None:
        try:
            media = self._media = self._asked.media if isinstance(self._asked.media, Media) else self._asked.media()
            hidden = {str(media.path): media.name, media.path.name: media.name}
            self.completion = replace(self.completion, hidden=hidden)
            self._ticket = self._engine.submit(self._asked.about(media), tell)
        except Exception as err:  # noqa: BLE001 - told to the client
            tell(Failed(err))

    async def first(self, request: Request) -> Event:
        """Wait for the first event, or for the client to leave.

        Raises:
            Refusal: The question failed, or the client has left.
        """
        gone: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        look = loop.call_later(LOOK_SECONDS, lambda: gone.append(loop.create_task(self._note_gone(request))))
        try:
            return self._checked(await self._events.get())
        finally:
            look.cancel()
            for task in gone:
                task.cancel()

    async def _note_gone(self, request: Request) -> None:
        await _gone(request)
        self._events.put_nowait(None)

    async def rest(self, event: Event, request: Request) -> Any:
        """Wait for the reply."""
        while not isinstance(event, Answered):
            event = await self.first(request)
        self._count(event.reply, time.perf_counter() - self._begin)
        return event.reply

    async def streamed(self, event: Event, usage: bool) -> AsyncIterator[str]:
        """Yield the events of a streamed answer."""
        first = True
        try:
            while True:
                if isinstance(event, Answered):
                    if first:
                        yield self.completion.piece("", True)
                    self._count(event.reply, time.perf_counter() - self._begin)
                    yield self.completion.last(event.reply, usage)
                    return
                if isinstance(event, TextPiece):
                    yield self.completion.piece(event.text, first)
                    first = False
                event = self._checked(await self._events.get())
        except Refusal as err:
            yield self.completion.failed(err)
        finally:
            self.over()

    def over(self) -> None:
        """Give up the answer, if it is not there, and release the video, as soon as they are handed over."""
        if self._handed is None:
            self._give_up()
        else:
            self._handed.add_done_callback(self._give_up)

    def _give_up(self, *_: object) -> None:
        if self._ticket is not None:
            self._ticket.leave()
        if self._media is not None:
            self._media.release()

    def _checked(self, event: Event | None) -> Event:
        if event is None:
            raise Refusal(499, "the client has left", code="client_left")
        if isinstance(event, Failed):
            raise refusal_of(event.error, self.completion.hidden) from event.error
        return event


async def _gone(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
