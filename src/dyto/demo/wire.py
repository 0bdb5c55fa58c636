"""Reading of requests and writing of responses, with limits on size and time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from dyto.demo.messages import FIELD_LETTERS, RequestError
from dyto.demo.uploads import RefusedError

MOST_BYTES = 65_536
BODY_SECONDS, DRAIN_SECONDS = 20, 2
DRAIN_BYTES = 16_000_000

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def read_headers(scope: Message) -> dict[str, str]:
    """Return the headers by name; important headers must not occur twice."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found and key in ("host", "origin", "cookie", "content-type"):
            raise RequestError(400, f"the header {key} came twice")
        found[key] = value.decode("latin-1")
    return found


def cookie_of(headers: dict[str, str], name: str) -> str | None:
    """Return the value of a cookie; None if it was not sent, or sent twice, because one is then somebody else's."""
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    values = [value for key, _, value in pairs if key == name]
    return values[0] if len(values) == 1 else None


async def chunks_of(receive: Receive) -> AsyncIterator[bytes]:
    """Iterate over the body as it arrives; a broken connection is an error."""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(400, "the connection broke off")
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def body_of(receive: Receive) -> bytes:
    """Read a short body completely.

    Raises:
        RequestError: The body is too long, or takes too long.
    """

    async def read() -> bytes:
        whole = b""
        async for chunk in chunks_of(receive):
            whole += chunk
            if len(whole) > MOST_BYTES:
                raise RequestError(413, f"the request is too long: a field takes {FIELD_LETTERS} letters")
        return whole

    try:
        return await asyncio.wait_for(read(), BODY_SECONDS)
    except (asyncio.TimeoutError, TimeoutError) as err:
        raise RequestError(408, "the request came too slowly") from err


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """Keep reading for a moment, so that a client that is still sending can read the answer."""

    async def read() -> None:
        left = DRAIN_BYTES
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                return

    with suppress(asyncio.TimeoutError, TimeoutError, RefusedError, RuntimeError):
        await asyncio.wait_for(read(), DRAIN_SECONDS)


async def say(send: Send, status: int, words: str) -> None:
    """Answer with an error, in the format that gradio's page reads."""
    await respond(send, status, json.dumps({"detail": words}).encode(), b"application/json")


async def respond(send: Send, status: int, body: bytes, kind: bytes, location: str | None = None) -> None:
    """Answer with a body of this media type, or with a redirect."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    headers += [(b"location", quote(location).encode())] if location else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
