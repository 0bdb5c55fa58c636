"""Requests to an OpenAI-compatible endpoint, with a deadline, without refused parameters, safe against any reply."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dyto.errors import MissingExtraError

if TYPE_CHECKING:
    from openai import OpenAI

_THINKING_TOKENS = 4096
_LARGEST = 1 << 22
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|does not support|unrecogni[sz]ed|not permitted|extra inputs|"
    r"(?:unknown|unexpected|invalid) (?:parameter|argument|field|keyword)",
    re.IGNORECASE,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
Messages = Sequence[Mapping[str, Any]]
"""A chat: each message has a "role", and a "content" that is a text or a list of parts."""


class BrokenReplyError(Exception):
    """Error for a reply that is late or not JSON: the endpoint may be down."""


class OddReplyError(Exception):
    """Error for JSON that is not a chat completion; the endpoint is up."""


@dataclass(frozen=True)
class EndpointReply:
    """A chat completion.

    Attributes:
        text: What the model said; empty if it said nothing.
        ended: Why it stopped, in the endpoint's words ("stop", "length", "content_filter"); "" if it does not say.
        refusal: What it said instead of an answer; "" for no refusal.
        prompt_tokens: Tokens of the request, as the endpoint counts them; None if it does not say.
        reply_tokens: Tokens of the reply, likewise.
    """

    text: str
    ended: str = ""
    refusal: str = ""
    prompt_tokens: int | None = None
    reply_tokens: int | None = None


class Endpoint:
    """A chat model at an endpoint.

    Args:
        model: Name of the model at the endpoint.
        key: The API key.
        base_url: The address; None for the client's default.
        timeout: Seconds for a whole request, from connecting to the last byte of the reply.
        most_tokens: Largest number of tokens in a reply.
        what: What needs the client, for an error.
        extra: The extra of `dyto` that installs it.

    Raises:
        MissingExtraError: The client is not installed.
    """

    def __init__(
        self,
        model: str,
        key: str,
        base_url: str | None,
        timeout: float,
        *,
        most_tokens: int,
        what: str,
        extra: str,
    ) -> None:
        self._model, self._timeout = model, timeout
        self._client = _client(key, base_url, timeout, what, extra)
        weakref.finalize(self, self._client.close)
        self._settings: dict[str, Any] = {"temperature": 0, "max_tokens": most_tokens}

    def complete(self, messages: Messages, **changes: Any) -> EndpointReply:
        """Send a chat and return the reply.

        A parameter that the endpoint refuses is left out from then on.

        Args:
            messages: The chat.
            **changes: Parameters of this request that differ from the usual ones, such as `max_tokens`.

        Raises:
            openai.APIError: The endpoint reports an error.
            BrokenReplyError: There is no complete reply before the deadline, or it is not JSON.
            OddReplyError: The reply is JSON of another shape.
        """
        import openai

        settings = self._settings | {name: value for name, value in changes.items() if name in self._settings}
        if "max_completion_tokens" in settings:
            settings["max_completion_tokens"] = max(_THINKING_TOKENS, changes.get("max_tokens", 0))
        settings |= {name: value for name, value in changes.items() if name not in ("max_tokens", *self._settings)}
        sent = _encodable(messages)
        while True:
            try:
                body = _within(self._timeout, lambda given_up: self._exchange(sent, settings, given_up))  # noqa: B023
            except (openai.BadRequestError, openai.UnprocessableEntityError) as err:
                refused = _refused(err, settings)
                if refused is None:
                    raise
                logger.info("the endpoint refuses %s; asking without it", refused)
                settings = _without(refused, settings)
            else:
                self._settings = settings  # remember it only now: the refusal may have had another reason
                return _reply(body)

    def _exchange(self, messages: Sequence[Any], settings: Mapping[str, Any], given_up: threading.Event) -> bytes:
        """Send one request and read the body of its reply, up to a limit."""
        create = cast("Any", self._client.chat.completions.with_streaming_response.create)
        body = bytearray()
        with create(model=self._model, messages=messages, **settings) as response:
            try:
                for chunk in response.iter_bytes():
                    body += chunk
                    if given_up.is_set() or len(body) > _LARGEST:
                        raise BrokenReplyError(f"the reply has more than {_LARGEST >> 20} MB")
            except Exception as err:
                if isinstance(err, BrokenReplyError):
                    raise
                raise BrokenReplyError(f"the reply broke off: {err or type(err).__name__}") from err
        return bytes(body)


def _client(key: str, base_url: str | None, timeout: float, what: str, extra: str) -> OpenAI:
    try:
        import openai
    except ImportError as err:
        raise MissingExtraError(what, "openai", extra) from err
    return openai.OpenAI(
        api_key=key,
        base_url=base_url,
        organization=os.environ.get("OPENAI_ORG") or None,
        timeout=timeout,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(follow_redirects=False),  # nothing goes to a place that nobody named
    )


def _within(seconds: float, work: Callable[[threading.Event], T]) -> T:
    """Run work that may never end, and wait for it only until a deadline.

    The client's own limit restarts with every byte. So the work runs in its own thread, which learns when nobody waits
    for it any longer, and which does not keep the program from ending.
    """
    done, given_up = Future[T](), threading.Event()

    def run() -> None:
        try:
            done.set_result(work(given_up))
        except BaseException as err:  # noqa: BLE001 - raised in the waiting thread
            done.set_exception(err)

    threading.Thread(target=run, name="dyto-endpoint", daemon=True).start()
    try:
        return done.result(seconds)
    except WaitTimeoutError as err:
        if done.done():
            raise
        raise BrokenReplyError(f"no complete reply within {seconds:g} seconds") from err
    finally:
        given_up.set()


def _refused(err: Any, settings: Mapping[str, Any]) -> str | None:
    """Return the setting that an endpoint refuses; None if it complains about something else."""
    body = err.body if isinstance(err.body, Mapping) else {}
    param = body.get("param")
    if isinstance(param, str) and param in settings:
        return param
    said = f"{json.dumps(err.body, default=str)} {err}"
    named = [(found.start(), name) for name in settings if (found := re.search(rf"(?<!\w){name}(?!\w)", said))]
    if named:
        return min(named)[1]
    return next(reversed(list(settings)), None) if _UNSUPPORTED.search(said) else None


def _without(refused: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without one of them; `max_tokens` is first replaced by its successor.

    The successor's limit is higher, because models that use it also count their thoughts.
    """
    rest = {name: value for name, value in settings.items() if name != refused}
    return rest | {"max_completion_tokens": _THINKING_TOKENS} if refused == "max_tokens" else rest


def _reply(body: bytes) -> EndpointReply:
    """Read a chat completion."""
    try:
        completion = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise BrokenReplyError(f"the endpoint did not send JSON, but {_start(body)}") from err
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if choices == []:
        return _counted(EndpointReply(""), completion)
    first = choices[0] if isinstance(choices, list) else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        raise OddReplyError(f"sent {_start(body)}")
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, str | None):
        raise OddReplyError(f"sent {_start(body)}")
    ended, refusal = first.get("finish_reason"), message.get("refusal")
    reply = EndpointReply(
        text=_encodable(content or ""),
        ended=ended if isinstance(ended, str) else "",
        refusal=_encodable(refusal) if isinstance(refusal, str) else "",
    )
    return _counted(reply, completion)


def _counted(reply: EndpointReply, completion: Mapping[str, Any]) -> EndpointReply:
    """Add to a reply what its completion says of its tokens."""
    usage = completion.get("usage")
    told = usage if isinstance(usage, dict) else {}
    sent, received = (
        count if type(count) is int and count >= 0 else None
        for count in (told.get("prompt_tokens"), told.get("completion_tokens"))
    )
    return replace(reply, prompt_tokens=sent, reply_tokens=received)


def _encodable(value: Any) -> Any:
    """Replace lone surrogates, which no file or request can hold, in a text or in all texts of a chat."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {name: _encodable(part) for name, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, (list, tuple)) else value


def _start(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace"))
