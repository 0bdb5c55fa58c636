"""The server behind the page: one socket, no other hosts, an end in good order."""

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
from dyto.demo.look import CSS
from dyto.demo.messages import Call
from dyto.demo.visitors import Visitors
from dyto.errors import ConfigError

GOODBYE_SECONDS = 0
"""How long the end waits for requests: pages keep theirs open, and nothing is kept for them."""


MOST_CONNECTIONS = 500
"""More at a time are told to come back; a page has two."""

MOST_SESSIONS = 1000
"""Pages of which gradio remembers what they show."""


def build_site(
    gr: Any, page: Any, visitors: Visitors, addresses: Addresses, *, waiting: int, limits: DemoLimits
) -> Gate:
    """The page as a web application.

    Args:
        gr: gradio.
        page: The blocks.
        visitors: Who is who.
        addresses: By which names it may be called.
        waiting: Most questions that wait where the server itself is too busy to begin with them.
        limits: Of videos.

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
        css=CSS,
    )
    calls = {
        number: Call(len(function.inputs), bool(function.collects_event_data))
        for number, function in page.fns.items()
        if function.fn is not None
    }
    return Gate(site, addresses, visitors, limits, calls)


def open_door(host: str, port: int) -> socket.socket:
    """A socket of this address, on which nobody is heard yet.

    Args:
        host: Where to listen.
        port: Where to listen; 0 for any free port.

    Raises:
        ConfigError: One cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # by the last, asyncio sends without delay
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
        door: Where to listen.
        ready: Called when one can come in.
        until: Ends it when set.
    """
    uvicorn = import_module("uvicorn")
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a broken form is told to who sent it
    server = uvicorn.Server(
        uvicorn.Config(
            site,
            log_level="critical",  # what goes wrong with a request is logged by the gate; at the end all are broken off
            timeout_graceful_shutdown=GOODBYE_SECONDS,
            server_header=False,
            proxy_headers=False,  # whoever sends a request may write what they like in them
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
