"""Questions that are passed on as they come, for a service in front of an endpoint: one try, streamed back at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dyto.errors import EndpointBusyError, EndpointError, EndpointLateError, EndpointRefusedError
from dyto.models.endpoint.client import Endpoint, Messages
from dyto.models.endpoint.reading import BrokenReplyError, LateReplyError, OddReplyError
from dyto.models.endpoint.sending import retry_after, short
from dyto.models.endpoint.service import Spending, text_tokens

logger = logging.getLogger(__name__)

VIDEO = {"type": "video"}
"""Part of a message in whose place the pictures are sent."""


@dataclass(frozen=True)
class Passed:
    """What is passed on beside the pictures.

    Attributes:
        messages: A chat with `VIDEO` in it; None to ask by the prompt's template.
        settings: Parameters of the request that were asked for, in the endpoint's words.
        tell: Called with each piece of the answer as it arrives.
        left: Asked after each piece; True ends the request.
    """

    settings: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]] | None = None
    tell: Callable[[str], None] = field(default=lambda piece: None, repr=False)
    left: Callable[[], bool] = field(default=lambda: False, repr=False)


@dataclass(frozen=True)
class PassedReply:
    """An answer from elsewhere.

    Attributes:
        text: The text.
        reason: Why it ended, in the endpoint's words.
        prompt_tokens: Tokens of the request, as the endpoint counts them, or else as estimated.
        reply_tokens: Tokens of the answer, likewise.
        counted: Whether the endpoint counted them.
    """

    text: str
    reason: str
    prompt_tokens: int
    reply_tokens: int
    counted: bool


def with_pictures(
    messages: Sequence[Mapping[str, Any]], pictures: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return a chat with pictures in the place of its video.

    Args:
        messages: A chat with `VIDEO` in it.
        pictures: Parts of a message.

    Example:
        >>> with_pictures([{"role": "user", "content": [VIDEO]}], [{"type": "text", "text": "1.0 s:"}])
        [{'role': 'user', 'content': [{'type': 'text', 'text': '1.0 s:'}]}]
    """
    found: list[Mapping[str, Any]] = []
    for message in messages:
        content = message["content"]
        if not isinstance(content, str):
            content = [one for part in content for one in (pictures if part == VIDEO else [part])]
        found.append({**message, "content": content})
    return found


def pass_on(endpoint: Endpoint, spent: Spending, messages: Messages, passed: Passed, expected: int) -> PassedReply:
    """Send a chat once and tell the answer as it arrives.

    Args:
        endpoint: The endpoint.
        spent: What was spent there.
        messages: The chat, with pictures.
        passed: What else is passed on.
        expected: Tokens that the chat is expected to take.

    Raises:
        EndpointError: There is no answer; the message does not hold the endpoint's address.
    """
    most = expected + int(passed.settings["max_tokens"])
    spent.ask_for(most)
    try:
        reply = endpoint.stream(messages, passed.tell, passed.left, **passed.settings)
    except Exception as err:
        logger.warning("a question that was passed on failed: %s", short(err))
        raise _passed_error(err) from err
    text = reply.text or reply.refusal
    if text and not reply.text:
        passed.tell(text)
    counted = reply.prompt_tokens is not None and reply.reply_tokens is not None
    sent = expected if reply.prompt_tokens is None else reply.prompt_tokens
    wrote = text_tokens(text) if reply.reply_tokens is None else reply.reply_tokens
    spent.correct(most, sent + wrote)
    return PassedReply(text, reply.ended or "stop", sent, wrote, counted)


def _passed_error(err: Exception) -> EndpointError:
    """Return what whoever asked is told of a request that failed."""
    import openai

    who = "the server behind this one"
    if isinstance(err, openai.RateLimitError):
        busy = EndpointBusyError(f"{who} takes no more requests now: {short(err)}")
        wait = retry_after(err)
        busy.retry_after = busy.retry_after if wait is None else wait
        return busy
    if isinstance(err, (LateReplyError, openai.APITimeoutError)):
        return EndpointLateError(f"{who} does not answer in time: ask again, or for less")
    if isinstance(err, openai.APIConnectionError):
        return EndpointError(f"{who} cannot be reached: ask again later")
    if isinstance(err, openai.APIStatusError):
        if err.status_code in (400, 413, 422):
            return EndpointRefusedError(f"{who} refuses the request: {short(err)}")
        if err.status_code in (408, 504):
            return EndpointLateError(f"{who} does not answer in time: {short(err)}")
        if 300 <= err.status_code < 500:
            return EndpointError(f"{who} does not let this one ask (HTTP {err.status_code}): tell the operator")
    if isinstance(err, (BrokenReplyError, OddReplyError, openai.APIError)):
        return EndpointError(f"{who} failed: {short(err)}")
    return EndpointError(f"{who} failed: {type(err).__name__}")
