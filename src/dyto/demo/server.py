"""The server behind the page: one socket, no other hosts, a clean shutdown."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from dyto.demo.addresses import Addresses
from dyto.demo.gate import Gate
from dyto.demo.limits import DemoLimits
from dyto.demo.messages import Call
from dyto.demo.visitors import Visitors
from dyto.errors import ConfigError

GOODBYE_SECONDS = 0
"""Seconds that shutdown waits for requests; open pages hold requests that need nothing more."""


MOST_CONNECTIONS = 500
"""Number of connections at a time; more are told to retry. A page has two."""

MOST_SESSIONS = 1000
"""Number of pages whose state gradio remembers."""


def build_site(
    gr: Any, page: Any, visitors: Visitors, addresses: Addresses, *, waiting: int, limits: DemoLimits, css: str
) -> Gate:
    """Build the page as a web application.

    Args:
        gr: The gradio module.
        page: The blocks.
        visitors: The visitors.
        addresses: The demo's own addresses.
        waiting: Number of questions that may wait while the server is too busy to start them.
        limits: Limits on videos.
        css: Style sheet of the page.

    Returns:
        An ASGI application.
    """
    page.queue(max_size=waiting, api_open=False)
    page.state_session_capacity = MOST_SESSIONS
    site = gr.mount_gradio_app(
        import_module("fastapi").FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path="/",
        root_path=addresses.root,
        show_error=False,
        max_file_size=limits.file_bytes,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=css,
    )
    calls = {
        number: Call(len(function.inputs), bool(function.collects_event_data))
        for number, function in page.fns.items()
        if function.fn is not None
    }
    return Gate(site, addresses, visitors, limits, calls)


def open_door(host: str, port: int) -> socket.socket:
    """Open a socket at this address, without accepting connections yet.

    Args:
        host: Host to listen on.
        port: Port to listen on; 0 for any free port.

    Raises:
        ConfigError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # the last option makes asyncio send without delay
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
    except OSError as err:
        door.close()
        raise ConfigError(f"cannot listen on {host}:{port} ({err}): give another --port, or 0 for any") from err
    return door


def run_site(site: Any, door: socket.socket, ready: Callable[[], None], until: threading.Event | None = None) -> None:
    """Serve until interrupted.

    Args:
        site: The application.
        door: The socket to listen on.
        ready: Called when the server accepts connections.
        until: Event that ends the server.
    """
    uvicorn = import_module("uvicorn")
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a broken form is reported to its sender
    server = uvicorn.Server(
        uvicorn.Config(
            site,
            log_level="critical",  # the gate logs errors of requests; at shutdown all requests are cut
            timeout_graceful_shutdown=GOODBYE_SECONDS,
            server_header=False,
            proxy_headers=False,  # their content is up to the sender of a request
            ws="none",
            limit_concurrency=MOST_CONNECTIONS,
        )
    )
    if until:

        def watch() -> None:
            until.wait()
            server.should_exit = True

        threading.Thread(target=watch, name="dyto-until", daemon=True).start()
    door.listen(128)
    ready()
    server.run(sockets=[door])
