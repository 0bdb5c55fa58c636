"""The server behind the page: one socket, no other hosts, an end in good order."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from dyto.demo.limits import Limits
from dyto.demo.look import CSS
from dyto.errors import ConfigError

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:"
)
"""What the page may load: nothing from anywhere else, whatever a part of it would like to fetch."""

GOODBYE_SECONDS = 3


def build_site(gr: Any, page: Any, *, waiting: int, limits: Limits) -> Any:
    """The page as a web application.

    Args:
        gr: gradio.
        page: The blocks.
        waiting: Most questions that wait where the server itself is too busy to begin with them.
        limits: Of videos.

    Returns:
        An ASGI application.
    """
    page.queue(max_size=waiting, api_open=False)
    site = gr.mount_gradio_app(
        import_module("fastapi").FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        show_error=True,
        max_file_size=limits.megabytes * 1_000_000,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=CSS,
    )
    return _Guarded(site)


class _Guarded:
    """An application whose every answer carries the policy."""

    def __init__(self, site: Any) -> None:
        self._site = site

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self._site(scope, receive, guarded)


def run_site(
    site: Any, host: str, port: int, ready: Callable[[str], None], until: threading.Event | None = None
) -> None:
    """Serve until interrupted.

    Args:
        site: The application.
        host: Where to listen.
        port: Where to listen; 0 for any free port.
        ready: Told the address.
        until: Ends it when set.

    Raises:
        ConfigError: One cannot listen there.
    """
    uvicorn = import_module("uvicorn")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
            door.listen(128)
        except OSError as err:
            raise ConfigError(f"cannot listen on {host}:{port} ({err}): give another --port, or 0 for any") from err
        server = uvicorn.Server(
            uvicorn.Config(site, log_level="warning", timeout_graceful_shutdown=GOODBYE_SECONDS, server_header=False)
        )
        if until:

            def watch() -> None:
                until.wait()
                server.should_exit = True

            threading.Thread(target=watch, name="dyto-until", daemon=True).start()
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{door.getsockname()[1]}/")
        server.run(sockets=[door])
