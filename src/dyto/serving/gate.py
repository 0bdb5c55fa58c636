"""The gate in front of the service: who is let in, from where, and how much may be sent."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import anyio

from dyto.demo.addresses import Addresses
from dyto.demo.messages import RequestError
from dyto.demo.wire import Message, Receive, Send, read_headers
from dyto.errors import ClosedError
from dyto.serving.keys import Keys
from dyto.serving.refusing import Refusal, refusal_of

logger = logging.getLogger(__name__)

OPEN = frozenset({"/health", "/docs", "/openapi.json"})
"""Paths that need no key."""

IDLE_SECONDS, BODY_SECONDS, LEAST_RATE = 20.0, 60.0, 50_000
"""Seconds to wait for the next piece of a body; and for all of it, besides a second for so many bytes."""

SMALL_BYTES = 1_000_000
"""Bytes of a body that count towards no limit but its own."""

MOST_MARKS = 100_000
"""Largest number of commas, colons and brackets in a body of JSON. They limit the number of its values, and so the
memory and the time that reading it takes; its bytes do not."""

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
]


class ServiceGate:
    """An ASGI application that lets checked requests through to another one.

    Args:
        site: The application.
        addresses: The service's own addresses; requests for other names are refused.
        keys: Keys of clients.
        most_bytes: Largest body of a request.
        count: Called with the owner (empty for one without a key), the route and the status of each response.
        bodies: Number of bodies of that size that may be in memory together.
    """

    def __init__(
        self,
        site: Any,
        addresses: Addresses,
        keys: Keys,
        most_bytes: int,
        *,
        count: Callable[[str, str, int], None],
        bodies: int = 4,
    ) -> None:
        self._site, self._addresses, self._keys, self._count = site, addresses, keys, count
        self._most_bytes, self._room = most_bytes, most_bytes * bodies
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._site(scope, receive, send)
            return
        begun, owner = False, ""
        body = _Body(self, receive)

        async def sending(message: Message) -> None:
            nonlocal begun
            if begun and body.error is not None:
                return  # the application answers to a body that was refused here
            if message["type"] == "http.response.start":
                begun = True
                self._count(owner, getattr(scope.get("route"), "path", "other"), message["status"])
                if body.error is not None:
                    await _refuse(send, body.error)
                    return
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            owner = self._check(scope)
            body.check_head(scope)
            scope.setdefault("state", {})["owner"] = owner
            await self._site(scope, body.receive, sending)
        except (Exception, asyncio.CancelledError) as err:  # told to the client, and logged there
            stops = ClosedError("the service stops before it could answer: ask another one")
            refusal = refusal_of(body.error or (err if isinstance(err, Exception) else stops))
            if not begun:
                self._count(owner, "refused", refusal.status)
                await _refuse(send, refusal)
            if not isinstance(err, Exception):
                raise
        finally:
            body.close()

    def _check(self, scope: Message) -> str:
        """Return who sends a request.

        Raises:
            Refusal: It is for another name, from a page elsewhere, or has no key.
        """
        try:
            headers = read_headers(scope)
        except RequestError as err:
            raise Refusal(err.status, str(err)) from err
        host = headers.get("host")
        if host is None or not self._addresses.knows(host):
            raise Refusal(
                403, "this server does not have that name; its operator can set its address with --public-url",
                code="wrong_host",
            )  # fmt: skip
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") or (
            origin is not None and not self._addresses.same(origin, host)
        ):
            raise Refusal(403, "requests from pages of other origins are not answered", code="wrong_origin")
        owner = self._keys.owner(headers.get("authorization"))
        if owner is None and scope["path"] not in OPEN:
            raise Refusal(
                401, "found no valid key, expected the header 'Authorization: Bearer KEY'", code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )  # fmt: skip
        return owner or ""

    def take(self, count: int, held: int) -> int:
        """Count bytes of a body; small bodies count towards no common limit.

        Returns:
            The bytes of this body so far.

        Raises:
            Refusal: The body is too large, or too many large ones are being received.
        """
        if held + count > self._most_bytes:
            raise Refusal(413, f"the request has more than {self._most_bytes / 1e6:.0f} MB", code="too_large")
        if held + count > SMALL_BYTES:
            fresh = count if held > SMALL_BYTES else held + count
            if self._held + fresh > self._room:
                raise Refusal(
                    503, "too many large requests are being received: send it again in a moment", code="no_room",
                    headers={"retry-after": "5"},
                )  # fmt: skip
            self._held += fresh
        return held + count

    def give(self, held: int) -> None:
        """Free the bytes of a body."""
        if held > SMALL_BYTES:
            self._held -= held


class _Body:
    """The body of one request, counted and timed as it arrives."""

    def __init__(self, gate: ServiceGate, receive: Receive) -> None:
        self._gate, self._receive = gate, receive
        self._held, self._marks, self._whole, self._form = 0, 0, False, False
        self._begin = time.monotonic()
        self.error: Refusal | None = None

    def check_head(self, scope: Message) -> None:
        """Refuse a body that says it is too large, before it is received."""
        headers = dict(scope["headers"])
        self._form = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        said = headers.get(b"content-length", b"0")
        if said.isdigit() and int(said) > self._gate._most_bytes:
            raise Refusal(413, f"the request has more than {self._gate._most_bytes / 1e6:.0f} MB", code="too_large")

    async def receive(self) -> Message:
        """Return the next message of the connection."""
        if self._whole:
            return await self._receive()
        try:
            left = self._begin + BODY_SECONDS + self._held / LEAST_RATE - time.monotonic()
            with anyio.fail_after(max(0.001, min(IDLE_SECONDS, left))):
                message = await self._receive()
            if message["type"] == "http.request":
                self._held = self._gate.take(len(message.get("body", b"")), self._held)
                self._count_marks(message.get("body", b""))
                self._whole = not message.get("more_body", False)
        except TimeoutError as err:
            self.error = Refusal(408, "the request came too slowly", code="too_slow")
            raise self.error from err
        except Refusal as err:
            self.error = err
            raise
        return message

    def _count_marks(self, piece: bytes) -> None:
        if not self._form:
            self._marks += sum(map(piece.count, (b",", b":", b"[", b"{")))
            if self._marks > MOST_MARKS:
                raise Refusal(
                    413,
                    f"the request has more than {MOST_MARKS:,} commas, colons and brackets, which is the "
                    "limit here: send a shorter chat",
                    code="too_large",
                )

    def close(self) -> None:
        self._gate.give(self._held)
        self._held = 0


async def _refuse(send: Send, refusal: Refusal) -> None:
    body = json.dumps(refusal.body()).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    named = [(name.encode(), value.encode()) for name, value in {**headers, **refusal.headers}.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": [*named, *HEADERS]})
    await send({"type": "http.response.body", "body": body})
