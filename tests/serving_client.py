"""Helpers of tests: a service on a port of this machine, and requests to it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

import httpx

import dyto
from dyto.serving.keys import Keys
from dyto.serving.server import serve

KEYS = ("the-first-key-of-the-tests", "the-second-key-of-the-tests")


ALL_KEYS = ",".join(KEYS)


@dataclass
class Running:
    """A service that runs in a thread."""

    address: str
    engine: dyto.Engine
    until: threading.Event
    thread: threading.Thread
    built: tuple[Any, Any]

    def client(self, key=KEYS[0], **options) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=180, trust_env=False, **options)

    def gate(self):
        """The gate in front of the routes."""
        return self.built[0]

    def folder(self):
        """The folder of clients' files."""
        return self.built[1].folder

    def stop(self) -> None:
        self.until.set()
        self.thread.join(120)
        assert not self.thread.is_alive()


def start(model, keys=ALL_KEYS, policy=None, engine=None, **options) -> Running:
    engine = engine or dyto.Engine(model)
    from dyto.serving.app import build_service  # the engine's tests need no web framework

    built = []

    def build(*args, **kwargs):
        built.append(build_service(*args, **kwargs))
        return built[-1]

    address, ready, until, failed = [], threading.Event(), threading.Event(), []

    def run():
        try:
            serve(
                engine,
                build=build,
                port=0,
                keys=Keys.of(keys) if keys else None,
                policy=policy,
                ready=lambda where: (address.append(where), ready.set()),
                until=until,
                **options,
            )
        except Exception as err:  # noqa: BLE001 - shown by the test that waits
            failed.append(err)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(120)
    if failed:
        raise failed[0]
    return Running(address[0], engine, until, thread, built[0])


def chat(url: Any, question: str = "what is shown ?", **fields: Any) -> dict[str, Any]:
    """A request about a video: its address, or a part of a message."""
    part = url if isinstance(url, dict) else {"type": "video_url", "video_url": {"url": url}}
    content = [part, {"type": "text", "text": question}]
    return {"model": "tiny", "messages": [{"role": "user", "content": content}], **fields}


def ask(client: httpx.Client, url: Any, question: str = "what is shown ?", **fields: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json=chat(url, question, **fields))


@contextlib.contextmanager
def start_process(folder, *words):
    """A service in a process of its own, which has its files in a folder."""
    environment = os.environ | {"OUR_KEYS": ALL_KEYS, "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "dyto", "serve", "--model", "tiny", "--port", "0", "--api-key-env", "OUR_KEYS"]
    process = subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+/v1", line)
        assert found, line + process.stderr.read()
        yield process, Running(found[0].removesuffix("v1"), None, None, None, (None, None))
    finally:
        process.kill()
        process.communicate()
