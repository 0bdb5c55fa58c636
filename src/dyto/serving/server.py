"""The server of the service: one socket, a drain at SIGTERM, an end at Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib import import_module
from types import FrameType
from typing import Any

from dyto.demo.addresses import LOOPBACK, Addresses
from dyto.demo.places import make_folder
from dyto.demo.server import open_door
from dyto.errors import ConfigError, MissingExtraError
from dyto.serving.engine import Engine
from dyto.serving.keys import Keys
from dyto.serving.media import MediaPolicy
from dyto.video.guarded import end_readers

logger = logging.getLogger(__name__)

PREFIX = "dyto-serve-"
MOST_CONNECTIONS = 1000
DRAIN_SECONDS = 30.0


def check_extra() -> None:
    """Check that the packages of the extra `serve` are installed.

    Raises:
        MissingExtraError: One is not.
    """
    for package in ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "httpx"):
        try:
            import_module(package)
        except ImportError as err:
            raise MissingExtraError("The service", package, "serve") from err


def check_reach(host: str, keys: Keys) -> None:
    """Check that nobody else can ask without a key.

    Args:
        host: The host to listen on.
        keys: Keys of clients.

    Raises:
        ConfigError: The host is not loopback, and there is no key.
    """
    if host not in LOOPBACK and not keys:
        raise ConfigError(
            f"--host {host} lets others ask, and no key is set: put one into an environment variable and give "
            "--api-key-env NAME, or listen on 127.0.0.1"
        )


def serve(
    engine: Engine,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    public_url: str | None = None,
    keys: Keys | None = None,
    policy: MediaPolicy | None = None,
    drain_seconds: float = DRAIN_SECONDS,
    ready: Callable[[str], None] = lambda address: None,
    until: threading.Event | None = None,
    build: Callable[..., tuple[Any, Any]] | None = None,
) -> None:
    """Serve an engine until it is interrupted; uploads are not kept.

    Args:
        engine: The engine, which is closed at the end.
        host: Host to listen on.
        port: Port to listen on; 0 for any free port.
        public_url: Public address of a proxy in front of the service; None without a proxy.
        keys: Keys of clients.
        policy: What media are accepted.
        drain_seconds: Longest time to wait for answers at the end.
        ready: Called with the address when the service takes questions.
        until: Event that ends the service as SIGTERM does.
        build: Function to call instead of `dyto.serving.app.build_service`.

    Raises:
        MissingExtraError: A package of the extra `serve` is not installed.
        ConfigError: The port is taken, others could ask without a key, or there is no room for files.
    """
    accepted = keys or Keys()
    try:
        check_extra()
        check_reach(host, accepted)
        build = build or import_module("dyto.serving.app").build_service
        with _folder() as folder, open_door(host, port) as door:
            addresses = Addresses(host, door.getsockname()[1], public_url)
            app, service = build(engine, folder, addresses=addresses, keys=accepted, policy=policy or MediaPolicy())
            door.listen(128)
            server = _server(app, service, drain_seconds, partial(engine.close, wait=False))
            if until:
                threading.Thread(target=_watch, args=(until, server), name="dyto-until", daemon=True).start()
            ready(addresses.local)
            with closing(service), _own_signals(), _start_kept():
                server.run(sockets=[door])
    finally:
        engine.close()
        end_readers()


SPARE_SECONDS = 5
"""Seconds for clients to take the last replies, after which the server leaves them."""


def _server(app: Any, service: Any, drain_seconds: float, give_up: Callable[[], None]) -> Any:
    """Return a server; when its time is over, it gives up, which ends all requests with an error."""
    uvicorn = import_module("uvicorn")
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a broken form is reported to its sender

    class Server(uvicorn.Server):  # type: ignore[misc, name-defined, unused-ignore]
        loop: asyncio.AbstractEventLoop

        async def serve(self, sockets: Any = None) -> None:
            self.loop = asyncio.get_running_loop()
            await super().serve(sockets)

        async def shutdown(self, sockets: Any = None) -> None:
            late = self.loop.call_later(drain_seconds, give_up)
            await super().shutdown(sockets)
            late.cancel()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """Drain at SIGTERM; stop now at Ctrl-C and at a second signal."""
            service.stopping = True
            if sig == signal.SIGINT or self.should_exit:
                self.force_exit = True
                self.loop.call_soon_threadsafe(give_up)
            super().handle_exit(sig, frame)

    return Server(
        uvicorn.Config(
            app,
            log_level="critical",  # requests are counted, and errors are logged where they are answered
            timeout_graceful_shutdown=round(drain_seconds) + SPARE_SECONDS,
            timeout_keep_alive=30,
            server_header=False,
            proxy_headers=False,  # their content is up to the sender of a request
            http="h11",  # httptools, which it would take if it were installed, has no limit on headers
            ws="none",
            lifespan="off",
            limit_concurrency=MOST_CONNECTIONS,
            backlog=128,
        )
    )


def _watch(until: threading.Event, server: Any) -> None:
    until.wait()
    server.handle_exit(signal.SIGTERM, None)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Let the server alone decide when a signal ends it: a drain takes longer than other commands may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            signal.set_wakeup_fd(before)


@contextmanager
def _start_kept() -> Iterator[None]:
    """Spare the garbage collector what the start has made: torch and a model are 400,000 objects, 0.2 s to look at."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _folder() -> Iterator[Any]:
    folder = make_folder(PREFIX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
