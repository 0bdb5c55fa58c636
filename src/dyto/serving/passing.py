"""Answers from elsewhere: questions to a model behind an endpoint do not wait for each other."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dyto.errors import DytoError
from dyto.models.endpoint.passing import Passed, PassedReply
from dyto.serving.events import Answered, EngineQuestion, EngineReply, Failed
from dyto.serving.tickets import Ticket

logger = logging.getLogger(__name__)


class Passing:
    """Threads that hand encoded questions to a model that answers elsewhere, each with one request.

    Args:
        most: Largest number of requests at a time.
    """

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="dyto-engine-pass")

    def add(self, ticket: Ticket) -> None:
        """Hand on a question whose video is encoded."""
        self._pool.submit(self._pass_on, ticket)

    def close(self) -> None:
        """Hand on nothing more; requests under way end with their next piece."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pass_on(self, ticket: Ticket) -> None:
        if ticket.ended:
            return
        try:
            assert ticket.tokens is not None
            begin = time.perf_counter()
            ticket.prepare()
            ticket.begin()
            model: Any = ticket.qa.model
            passed = Passed(_settings(ticket.asked), ticket.asked.messages, ticket.piece, ticket.left.is_set)
            reply = model.pass_on(ticket.tokens, ticket.prompt, passed)
            ticket.end(Answered(_told(ticket, reply, time.perf_counter() - begin)))
        except Exception as err:
            if not isinstance(err, DytoError):
                logger.exception("a question could not be passed on")
            ticket.end(Failed(err))


def _settings(asked: EngineQuestion) -> dict[str, Any]:
    """Return the parameters of a request that were asked for."""
    found: dict[str, Any] = {"max_tokens": asked.max_new_tokens}
    if asked.temperature:
        found["temperature"] = asked.temperature
    if asked.top_p < 1:
        found["top_p"] = asked.top_p
    if asked.seed is not None:
        found["seed"] = asked.seed
    if asked.stop:
        found["stop"] = list(asked.stop)
    return found


def _told(ticket: Ticket, reply: PassedReply, seconds: float) -> EngineReply:
    asked = ticket.asked
    stages = {"prefill": 0.0, "generate": seconds}
    return EngineReply(
        answer=ticket.qa.answer_of(ticket.question, reply.text.strip(), asked.question, asked.choices, stages),
        reason=reply.reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.reply_tokens,
        reused=ticket.reused,
    )
