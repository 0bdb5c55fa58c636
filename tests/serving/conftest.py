"""A service on a port of this machine, and clients of it."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

import dyto
from dyto.serving.keys import Keys
from dyto.serving.media import MediaPolicy
from dyto.serving.server import serve

KEYS = ("the-first-key-of-the-tests", "the-second-key-of-the-tests")


@dataclass
class Running:
    """A service that runs in a thread."""

    address: str
    engine: dyto.Engine
    until: threading.Event
    thread: threading.Thread

    def client(self, key=KEYS[0], **options) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, trust_env=False, **options)

    def stop(self) -> None:
        self.until.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


def start(model, keys=",".join(KEYS), policy=None, engine=None, **options) -> Running:
    engine = engine or dyto.Engine(model)
    address, ready, until, failed = [], threading.Event(), threading.Event(), []

    def run():
        try:
            serve(
                engine,
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
    assert ready.wait(30)
    if failed:
        raise failed[0]
    return Running(address[0], engine, until, thread)


@pytest.fixture(scope="session")
def media_root(tmp_path_factory, clip):
    """A folder of videos, with ways out of it."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "clip.mp4").write_bytes(clip.read_bytes())
    (folder / "inner").mkdir()
    (folder / "inner" / "again.mp4").symlink_to(folder / "clip.mp4")
    (folder / "out.mp4").symlink_to(clip)
    (folder / "up").symlink_to(clip.parent, target_is_directory=True)
    (folder / "note.txt").write_text("no video")
    return folder


@pytest.fixture(scope="session")
def service(tiny, media_root):
    running = start(tiny, policy=MediaPolicy(media_root, ("allowed.example", "inside.example:8443"), megabytes=2))
    yield running
    running.stop()


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


@pytest.fixture(scope="session")
def inline(clip) -> str:
    """The clip as an address that holds it."""
    return "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()


def chat(url: Any, question: str = "what is shown ?", **fields: Any) -> dict[str, Any]:
    """A request about a video: its address, or a part of a message."""
    part = url if isinstance(url, dict) else {"type": "video_url", "video_url": {"url": url}}
    content = [part, {"type": "text", "text": question}]
    return {"model": "tiny", "messages": [{"role": "user", "content": content}], **fields}


def ask(client: httpx.Client, url: Any, question: str = "what is shown ?", **fields: Any) -> httpx.Response:
    return client.post("/v1/chat/completions", json=chat(url, question, **fields))
