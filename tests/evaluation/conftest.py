"""Fixtures of the evaluation's tests: other processes, and a judge on loopback that fails in every way."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import dyto
from evaluation.world import write_questions


@pytest.fixture(scope="session")
def forks():
    """A context whose processes start at once: a server that has imported everything forks them."""
    context = multiprocessing.get_context("forkserver")
    models = (f"transformers.models.{name}.modeling_{name}" for name in ("llava_next", "clip", "llama"))
    context.set_forkserver_preload(
        ["evaluation.work", "dyto.cli.legacy_eval", "dyto.evaluation.evaluate", "dyto.models.adapters.tiny", *models]
    )
    return context


@pytest.fixture
def crew(forks):
    """Start a function in a process of its own; all are gone after the test."""
    started = []

    def start(target, *args):
        process = forks.Process(target=target, args=args, daemon=True)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()


@pytest.fixture
def world(tmp_path, clip, loaded_once):
    """A folder of six videos, and 24 questions about them."""
    (tmp_path / "videos").mkdir()
    for i in range(6):
        shutil.copy(clip, tmp_path / f"videos/v{i}.mp4")
    write_questions(tmp_path / "val_qa.json", [f"v{i}.mp4" for i in range(6)], 24)
    return tmp_path


@pytest.fixture
def real_world(world, shared):
    """The same with real clips under the names of the first three videos."""
    for i, path in enumerate(sorted((shared / "videos").glob("*.mp4"))):
        shutil.copy(path, world / f"videos/v{i}.mp4")
    return world


@pytest.fixture
def loaded_once(tiny, monkeypatch):
    """In this process the bundled model is loaded once for all tests; other processes load it themselves."""
    real = dyto.pipeline.load_model

    def load(name, **options):
        return tiny if name == "tiny" else real(name, **options)

    monkeypatch.setattr(dyto.pipeline, "load_model", load)


class StubJudge:
    """An OpenAI-compatible server on loopback; `script` says what it does with the n-th request."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.script: Callable[[int, dict], tuple] = lambda n, request: say('{"pred": "yes", "score": 4}')
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub._lock:
                    number = len(stub.requests)
                    stub.requests.append(body)
                    stub.headers.append({name.lower(): text for name, text in self.headers.items()})
                    stub._now += 1
                    stub.most_at_once = max(stub.most_at_once, stub._now)
                self.reply(*stub.script(number, body))

            def reply(self, status, payload, headers=(), wait=0.0):
                stub.released.wait(wait)
                with stub._lock:  # before it answers: the client may ask again at once
                    stub._now -= 1
                if status is None:  # hang up without a word
                    self.close_connection = True
                    return
                data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **dict(headers)}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda request, address: None  # clients hang up in these tests
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def say(text, *, wait=0.0):
    """A chat completion with that text."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = {"id": "1", "object": "chat.completion", "created": int(time.time()), "model": "m", "choices": choices}
    return 200, body, (), wait


def fail(status, message="no", *, code=None, headers=()):
    """An error as such servers send it."""
    return status, {"error": {"message": message, "type": "error", "code": code}}, headers


@pytest.fixture
def stub(monkeypatch):
    pytest.importorskip("openai", reason="the judge needs the extra 'judge'")
    judge = StubJudge()
    judge.say, judge.fail = say, fail  # type: ignore[attr-defined]
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    yield judge
    judge.close()
