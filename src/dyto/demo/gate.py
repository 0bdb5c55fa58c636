"""The gate in front of gradio: it checks who may request what, at which addresses, and refuses everything else.

Gradio by itself accepts file paths in any request, serves files, fetches addresses and answers pages of other origins.
The gate forwards only what the page needs, rebuilt from checked values, so that no path or address in a request ever
reaches gradio. Only this module receives and serves files.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

from dyto.demo.addresses import Addresses
from dyto.demo.limits import DemoLimits
from dyto.demo.messages import Call, RequestError, read_cancel, read_join, unforeseen
from dyto.demo.receiving import receive_upload, tell_progress
from dyto.demo.uploads import RefusedError
from dyto.demo.visitors import Visitors
from dyto.demo.wire import (
    MOST_BYTES,
    Message,
    Receive,
    Send,
    body_of,
    chunks_of,
    cookie_of,
    drain,
    read_headers,
    respond,
    say,
)
from dyto.errors import ConfigError

logger = logging.getLogger(__name__)

API = "/gradio_api"
FILES = f"{API}/file="
OPEN = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|"
    r"/(assets|static)/[A-Za-z0-9_.@/-]+"
)
"""Public paths: the page itself and gradio's own files."""

HEARTBEAT = re.compile(rf"{API}/heartbeat/([A-Za-z0-9_-]+)")
KEPT_HEADERS = (b"host", b"accept", b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Content security policy: the page loads nothing from elsewhere."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass
class _Request:
    """An accepted request."""

    scope: Message
    receive: Receive
    send: Send
    headers: dict[str, str]
    visitor: str | None

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    def asked(self, name: str) -> str:
        """Return a value from the query string of the address."""
        query = self.scope.get("query_string", b"")[:MOST_BYTES].decode("latin-1")
        return parse_qs(query).get(name, [""])[0]


class Gate:
    """An ASGI application that forwards only the requests that the page needs.

    Args:
        site: Gradio's application.
        addresses: The demo's own addresses.
        visitors: The visitors.
        limits: Limits on uploads.
        calls: The functions that a page may call, by number.
    """

    def __init__(
        self, site: Any, addresses: Addresses, visitors: Visitors, limits: DemoLimits, calls: Mapping[int, Call]
    ) -> None:
        self._site = site
        self._addresses = addresses
        self._visitors = visitors
        self._limits = limits
        self._calls = calls
        # With the prefix, no other site of the same domain can set it.
        host_only = "__Host-" if addresses.encrypted and not addresses.prefix else ""
        self._cookie = f"{host_only}dyto-demo-{addresses.port}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or forward it to gradio."""
        if scope["type"] == "lifespan":
            await self._site(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # the page uses no websockets
        else:
            prefix, path = self._addresses.prefix, str(scope["path"])
            inside = path.startswith(f"{prefix}/") or path == prefix  # a proxy may keep or strip the prefix
            await self._answer({**scope, "path": path.removeprefix(prefix) if inside else path}, receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        begun = False
        fresh: list[str] = []

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = self._headers(message.get("headers", ()), fresh)
            await send(message)

        try:
            headers = read_headers(scope)
            self._check_origin(scope, headers)
            visitor = self._visitors.of_cookie(cookie_of(headers, self._cookie))
            if visitor is None and scope["path"] in ("/", "/config", f"{API}/upload"):
                fresh.append(self._visitors.mint())
                visitor = self._visitors.of_cookie(fresh[0])
            await self._route(_Request(scope, receive, guarded, headers, visitor))
        except RefusedError as err:
            await respond(guarded, err.status, str(err).encode(), b"text/plain; charset=utf-8")  # shown verbatim
        except RequestError as err:
            await say(guarded, err.status, str(err))
        except Exception as err:
            if begun and isinstance(err, import_module("starlette.exceptions").HTTPException):
                await guarded({"type": "http.response.body", "body": b""})  # gradio has reported it in the stream
                return
            number = secrets.token_hex(4)
            logger.exception("a request failed (reference %s)", number)
            if not begun:
                await say(guarded, 500, unforeseen(number))

    def _headers(self, given: Any, fresh: list[str]) -> list[tuple[bytes, bytes]]:
        """Return the headers of a response; no other origin may read it."""
        named = {name.encode(): value.encode() for name, value in HEADERS.items()}
        kept = [
            (name, value)
            for name, value in given
            if name.lower() not in named and not name.lower().startswith(b"access-control-")
        ]
        cookies = [
            f"{self._cookie}={cookie}; Path={quote(self._addresses.prefix) or '/'}; HttpOnly; SameSite=Lax"
            + ("; Secure" if self._addresses.encrypted else "")
            for cookie in fresh
        ]
        return [*kept, *named.items(), *((b"set-cookie", cookie.encode()) for cookie in cookies)]

    def _check_origin(self, scope: Message, headers: dict[str, str]) -> None:
        """Check that the request is for this server and from its own page.

        Raises:
            RequestError: It is not.
        """
        host = headers.get("host")
        if host is None or not self._addresses.knows(host):
            raise RequestError(
                403, "this server does not have that name; its operator can set its address with --public-url"
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        # Other pages may link here, and nothing else.
        led = (
            scope["method"] == "GET"
            and scope["path"] in ("/", "")
            and (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        )
        strange = site not in ("same-origin", "none") and not led
        if strange or (origin is not None and not self._addresses.same(origin, host)):
            raise RequestError(403, "requests from other pages are not answered here")

    async def _route(self, request: _Request) -> None:
        reads, path = request.method in ("GET", "HEAD"), request.path
        heart = HEARTBEAT.fullmatch(path)
        if reads and not path:
            await respond(request.send, 307, b"", b"text/plain", location=f"{self._addresses.prefix}/")
        elif reads and OPEN.fullmatch(path) and ".." not in path:
            await self._pass(request)
        elif reads and path.startswith(FILES):
            await self._serve(request, path.removeprefix(FILES))
        elif request.method == "GET" and heart:
            await self._beat(request, heart[1])
        elif request.method == "GET" and path == f"{API}/queue/data":
            page = self._page_of(request, request.asked("session_hash"))
            await self._pass(request, query={"session_hash": page})
        elif request.method == "POST" and path == f"{API}/queue/join":
            body = read_join(await body_of(request.receive), self._calls)
            self._page_of(request, body["session_hash"])
            await self._pass(request, body=body)
        elif request.method == "POST" and path == f"{API}/cancel":
            body = read_cancel(await body_of(request.receive))
            self._page_of(request, body["session_hash"])
            await self._pass(request, body=body)
        elif request.method == "GET" and path == f"{API}/upload_progress" and request.visitor:
            steps = tell_progress(self._visitors.uploads, request.visitor, request.asked("upload_id"))
            response = import_module("starlette.responses").StreamingResponse(steps, media_type="text/event-stream")
            await response(request.scope, request.receive, request.send)
        elif request.method == "POST" and path == f"{API}/upload" and request.visitor:
            await self._take(request, request.visitor)
        else:
            raise RequestError(404, "there is nothing here")

    def _page_of(self, request: _Request, page: str) -> str:
        if request.visitor is None or not self._visitors.admit(request.visitor, page):
            raise RequestError(403, "this page is out of date: load it again")
        return page

    async def _pass(
        self, request: _Request, *, body: Message | None = None, query: dict[str, str] | None = None
    ) -> None:
        """Let gradio answer; it gets only the checked parts of the request."""
        text = json.dumps(body).encode() if body is not None else b""
        headers = [(name, value) for name, value in request.scope["headers"] if name in KEPT_HEADERS]
        if body is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
        path = request.path
        scope = {
            **request.scope, "headers": headers, "query_string": urlencode(query or {}).encode(),
            "path": path, "raw_path": quote(path).encode(), "root_path": "",
        }  # fmt: skip
        handed = False

        async def receive() -> Message:
            nonlocal handed
            if not handed:
                handed = True
                return {"type": "http.request", "body": text, "more_body": False}
            while (message := await request.receive())["type"] == "http.request":
                pass
            return message

        await self._site(scope, receive, request.send)

    async def _beat(self, request: _Request, page: str) -> None:
        """Hold the connection of an open page; when it ends, the page has been closed."""
        self._page_of(request, page)
        self._visitors.beat(page)
        try:
            await self._pass(request)
        finally:
            self._visitors.rest(page)

    async def _serve(self, request: _Request, name: str) -> None:
        """Serve a video or a picture to its visitor."""
        responses = import_module("starlette.responses")
        headers = {"cache-control": "private, no-store", "content-disposition": "inline"}
        response = None
        picture = self._visitors.picture(request.visitor, name) if request.visitor else None
        if picture is not None:
            kind = "application/zip" if name.endswith(".zip") else "image/jpeg"
            response = responses.Response(picture, media_type=kind, headers=headers)
        else:
            try:
                clip = self._visitors.uploads.find(request.visitor, name)
            except ConfigError as err:
                raise RequestError(404, str(err)) from err
            if clip.kind is None:
                raise RequestError(404, "a file of this kind is not shown")
            response = responses.FileResponse(clip.path, media_type=clip.kind, headers=headers)
        await response(request.scope, request.receive, request.send)

    async def _take(self, request: _Request, visitor: str) -> None:
        """Receive an upload, and answer with the token that the page uses from now on."""
        chunks = chunks_of(request.receive)
        uploads, sending = self._visitors.uploads, request.asked("upload_id")
        try:
            clip = await receive_upload(request.headers, chunks, uploads, self._limits, visitor, sending)
        except RefusedError:
            await drain(chunks)
            raise
        await respond(request.send, 200, json.dumps([clip.token]).encode(), b"application/json")
