"""Requests to an OpenAI-compatible endpoint, with a deadline, without refused parameters, safe against any reply."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeoutError
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dyto.errors import MissingExtraError
from dyto.models.endpoint.reading import (
    LARGEST,
    BrokenReplyError,
    EndpointReply,
    LateReplyError,
    encodable,
    read_reply,
    read_stream,
)

if TYPE_CHECKING:
    from openai import OpenAI

_THINKING_TOKENS = 4096
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|does not support|unrecogni[sz]ed|not permitted|extra inputs|"
    r"(?:unknown|unexpected|invalid) (?:parameter|argument|field|keyword)",
    re.IGNORECASE,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
Messages = Sequence[Mapping[str, Any]]
"""A chat: each message has a "role", and a "content" that is a text or a list of parts."""


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
        self._client = open_client(key, base_url, timeout, what, extra)
        weakref.finalize(self, self._client.close)
        self._settings: dict[str, Any] = {"temperature": 0, "max_tokens": most_tokens}
        self._refused: tuple[str, ...] = ()  # by the endpoint, in this order

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
        sent = encodable(messages)

        def send(settings: Mapping[str, Any]) -> bytes:
            return _within(self._timeout, lambda given_up: self._exchange(sent, settings, given_up))

        return read_reply(self._accepted(send, changes))

    def stream(
        self, messages: Messages, tell: Callable[[str], None], given_up: Callable[[], bool], **changes: Any
    ) -> EndpointReply:
        """Send a chat and tell the reply piece by piece as it arrives; only the silence between pieces is limited.

        Args:
            messages: The chat.
            tell: Called with each piece of text.
            given_up: Asked after each piece; True ends the request.
            **changes: Parameters of this request. They are not left out if the endpoint refuses them, other than in
                `complete`; only `max_tokens` may become `max_completion_tokens`.

        Returns:
            The whole reply; an endpoint that does not stream is told of in one piece.

        Raises:
            openai.APIError: The endpoint reports an error.
            BrokenReplyError: The reply breaks off, or is not JSON.
            OddReplyError: The reply is JSON of another shape.
        """
        create = cast("Any", self._client.chat.completions.with_streaming_response.create)
        sent = encodable(messages)

        def send(settings: Mapping[str, Any]) -> EndpointReply:
            asked = {**settings, "stream": True}
            with create(model=self._model, messages=sent, **asked) as response:
                return read_stream(response, tell, given_up)

        usage = {"stream_options": {"include_usage": True}}
        return self._accepted(send, usage | changes, wanted={*changes} - {"max_tokens"})

    def _accepted(
        self, send: Callable[[Mapping[str, Any]], T], changes: Mapping[str, Any], wanted: Collection[str] = ()
    ) -> T:
        """Send a request with the usual settings, changed, and without those that the endpoint refuses.

        Args:
            send: Sends it with these settings.
            changes: Settings of this request.
            wanted: Settings that are never left out.
        """
        import openai

        settings, refused_before = {**self._settings, **changes}, self._refused
        for name in refused_before:
            settings = settings if name in wanted else _without(name, settings)
        refused_now: list[str] = []
        while True:
            try:
                found = send(settings)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as err:
                refused = _refused(err, settings)
                if refused is None or refused in wanted:
                    raise
                logger.info("the endpoint refuses %s; asking without it", refused)
                settings = _without(refused, settings)
                refused_now.append(refused)
            else:
                # remember it only now: the refusal may have had another reason
                self._refused = (*refused_before, *refused_now)
                return found

    def _exchange(self, messages: Sequence[Any], settings: Mapping[str, Any], given_up: threading.Event) -> bytes:
        """Send one request and read the body of its reply, up to a limit."""
        create = cast("Any", self._client.chat.completions.with_streaming_response.create)
        body = bytearray()
        with create(model=self._model, messages=messages, **settings) as response:
            try:
                for chunk in response.iter_bytes():
                    body += chunk
                    if given_up.is_set() or len(body) > LARGEST:
                        raise BrokenReplyError(f"the reply has more than {LARGEST >> 20} MB")
            except Exception as err:
                if isinstance(err, BrokenReplyError):
                    raise
                raise BrokenReplyError(f"the reply broke off: {err or type(err).__name__}") from err
        return bytes(body)


def open_client(key: str, base_url: str | None, timeout: float, what: str, extra: str) -> OpenAI:
    """Return the official client; arguments and errors are those of `Endpoint`."""
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
        raise LateReplyError(f"no complete reply within {seconds:g} seconds") from err
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
    if refused != "max_tokens" or refused not in settings:
        return rest
    return rest | {"max_completion_tokens": max(_THINKING_TOKENS, settings[refused])}
