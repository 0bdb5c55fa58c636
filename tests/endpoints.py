"""OpenAI-compatible servers on loopback: one that does as it is told, and one that holds a stock model."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaNextForConditionalGeneration


class StubEndpoint:
    """An OpenAI-compatible server on loopback; `script` says what it does with the n-th request."""

    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.script: Callable[[int, dict], tuple] = lambda n, request: say('{"pred": "yes", "score": 4}')
        self.models: tuple = (200, {"object": "list", "data": [{"id": "m", "object": "model"}]})
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with stub._lock:
                    stub.headers.append({name.lower(): text for name, text in self.headers.items()})
                    stub._now += 1
                self.reply(*stub.models)

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
                if callable(payload):  # a stream
                    self.send_response(status)
                    self.send_header("Content-Type", "text/event-stream")
                    self.end_headers()
                    self.close_connection = True
                    payload(self.wfile)
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


def stream(*texts, ended="stop", usage=None, before=lambda number: None):
    """A streamed chat completion of these pieces; `before` is called with the number of each before it is sent.

    Without an end (`ended=None`) the server hangs up after the last piece.
    """

    def write(file):
        for number, text in enumerate(texts):
            before(number)
            _send(file, {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
        if ended is not None:
            _send(file, {"choices": [{"index": 0, "delta": {}, "finish_reason": ended}]})
            if usage:
                _send(file, {"choices": [], "usage": usage})
            file.write(b"data: [DONE]\n\n")

    return 200, write


def _send(file, chunk):
    file.write(b"data: " + json.dumps({"object": "chat.completion.chunk", **chunk}).encode() + b"\n\n")
    file.flush()


def fail(status, message="no", *, code=None, headers=()):
    """An error as such servers send it."""
    return status, {"error": {"message": message, "type": "error", "code": code}}, headers


class StockModel:
    """The bundled checkpoint with stock classes alone: what a server of transformers does with a chat."""

    def __init__(self, folder):
        self.model = LlavaNextForConditionalGeneration.from_pretrained(folder).eval()
        self.processor = AutoProcessor.from_pretrained(folder)

    def answer(self, content, max_new_tokens):
        """The answer to one message of texts and pictures, greedily."""
        pictures = [part["image"] for part in content if part["type"] == "image"]
        chat = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = self.processor(images=pictures or None, text=chat, return_tensors="pt")
        with torch.inference_mode():
            ids = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        new = ids[0, inputs.input_ids.shape[1] :]
        return self.processor.decode(new, skip_special_tokens=True).strip(), inputs.input_ids.shape[1]

    def script(self, number, request):
        """Answer a request as a `StubEndpoint` does."""
        content = [as_stock(part) for message in request["messages"] for part in message["content"]]
        text, read = self.answer(content, request["max_tokens"])
        status, body, *rest = say(text)
        return status, body | {"usage": {"prompt_tokens": read, "completion_tokens": 3}}, *rest


def as_stock(part):
    """A part of a request as stock processors take it."""
    if part["type"] == "text":
        return part
    return {"type": "image", "image": picture_of(part)}


def picture_of(part):
    """The picture in a part of a request."""
    content = part["image_url"]["url"].partition("base64,")[2]
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
