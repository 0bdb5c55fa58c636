"""Replies of an OpenAI-compatible endpoint, whole or in pieces, whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

LARGEST = 1 << 22
"""Bytes of the largest reply; more are not read."""


class BrokenReplyError(Exception):
    """Error for a reply that is late or not JSON: the endpoint may be down."""


class LateReplyError(BrokenReplyError):
    """Error for a reply that is late."""


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


def read_reply(body: bytes) -> EndpointReply:
    """Read a chat completion.

    Args:
        body: The body of a response.

    Raises:
        BrokenReplyError: It is not JSON.
        OddReplyError: It is JSON of another shape.
    """
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
    content = _joined(message.get("content"))
    if not isinstance(content, str | None):
        raise OddReplyError(f"sent {_start(body)}")
    ended, refusal = first.get("finish_reason"), message.get("refusal")
    reply = EndpointReply(
        text=encodable(content or ""),
        ended=ended if isinstance(ended, str) else "",
        refusal=encodable(refusal) if isinstance(refusal, str) else "",
    )
    return _counted(reply, completion)


def _joined(content: Any) -> Any:
    """Return the text of a content that may be a list of parts."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def read_stream(response: Any, tell: Callable[[str], None], given_up: Callable[[], bool]) -> EndpointReply:
    """Read a streamed chat completion, or a whole one from an endpoint that does not stream.

    Args:
        response: The response, as the official client gives it, with its body not read.
        tell: Called with each piece of text.
        given_up: Asked after each piece; True ends the reading.

    Raises:
        LateReplyError: Nothing came for too long.
        BrokenReplyError: It breaks off, is too large or not what it should be.
        OddReplyError: It is JSON of another shape.
    """
    pieces = _bytes_of(response)
    if "event-stream" not in response.headers.get("content-type", ""):
        reply = read_reply(b"".join(pieces))
        tell(reply.text)
        return reply
    reply, told = EndpointReply(""), False
    for data in _events(pieces):
        if data == b"[DONE]":
            return reply
        chunk = _chunk(data)
        reply, told = _counted(reply, chunk), True
        choices = chunk.get("choices")
        for choice in choices[:1] if isinstance(choices, list) else ():
            reply = _with_piece(reply, choice, tell)
        if given_up():
            return reply
    if not (told and reply.ended):
        raise BrokenReplyError("the reply broke off before its end")
    return reply


def _bytes_of(response: Any) -> Iterator[bytes]:
    import httpx

    held = 0
    try:
        for piece in response.iter_bytes():
            held += len(piece)
            if held > LARGEST:
                raise BrokenReplyError(f"the reply has more than {LARGEST >> 20} MB")
            yield piece
    except httpx.TimeoutException as err:
        raise LateReplyError("nothing more of the reply has come for too long") from err
    except httpx.HTTPError as err:
        raise BrokenReplyError(f"the reply broke off: {err or type(err).__name__}") from err


def _events(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the data of server-sent events; each of this protocol has one line of data."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line[5:].strip() for line in lines if line.startswith(b"data:"))
    if rest.startswith(b"data:"):
        yield rest[5:].strip()


def _chunk(data: bytes) -> Mapping[str, Any]:
    """Read a chunk of a streamed completion."""
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise BrokenReplyError(f"the endpoint did not send JSON, but {_start(data)}") from err
    if not isinstance(chunk, dict):
        raise OddReplyError(f"sent {_start(data)}")
    if chunk.get("error"):
        error = chunk["error"]
        said = error.get("message") if isinstance(error, dict) else error
        raise BrokenReplyError(f"the endpoint gave up: {encodable(str(said))[:160]}")
    return chunk


def _with_piece(reply: EndpointReply, choice: Any, tell: Callable[[str], None]) -> EndpointReply:
    """Return a reply with a further piece, which is told."""
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict):
        return reply
    text, refusal, ended = _joined(delta.get("content")), delta.get("refusal"), choice.get("finish_reason")
    if isinstance(text, str) and text:
        text = encodable(text)
        tell(text)
        reply = replace(reply, text=reply.text + text)
    if isinstance(refusal, str):
        reply = replace(reply, refusal=reply.refusal + encodable(refusal))
    return replace(reply, ended=ended) if isinstance(ended, str) else reply


def _counted(reply: EndpointReply, completion: Mapping[str, Any]) -> EndpointReply:
    """Add to a reply what its completion says of its tokens."""
    usage = completion.get("usage")
    told = usage if isinstance(usage, dict) else {}
    counts = [told.get(name) for name in ("prompt_tokens", "completion_tokens")]
    sent, received = (count if type(count) is int and count >= 0 else None for count in counts)
    return reply if sent is None and received is None else replace(reply, prompt_tokens=sent, reply_tokens=received)


def encodable(value: Any) -> Any:
    """Replace lone surrogates, which no file or request can hold, in a text or in all texts of a chat."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {name: encodable(part) for name, part in value.items()}
    return [encodable(part) for part in value] if isinstance(value, (list, tuple)) else value


def _start(body: bytes) -> str:
    return repr(body[:80].decode("utf-8", "replace"))
