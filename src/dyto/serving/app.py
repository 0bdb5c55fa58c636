"""The routes of the service."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from dyto.demo.addresses import Addresses
from dyto.models.endpoint.service import PREFIX
from dyto.serving.answering import ServedAnswer
from dyto.serving.asking import read_chat
from dyto.serving.describing import CHAT, DescribedAPI
from dyto.serving.engine import Engine
from dyto.serving.gate import ServiceGate
from dyto.serving.keys import Keys
from dyto.serving.media import MediaPolicy, Reader
from dyto.serving.messages import ErrorReply, explain, read_body
from dyto.serving.metrics import Metrics
from dyto.serving.refusing import Refusal, refusal_of
from dyto.serving.storing import Files, Store, Uploaded

PURPOSES = ("user_data", "vision", "assistants")
BASE64 = 4 / 3 * 1.02
"""Bytes of a request for each byte of a video in it."""


HANDS = 8
"""Number of threads that look for videos on a disk and hand questions over."""


@dataclass
class ChatService:
    """What the routes share.

    Attributes:
        engine: Who answers.
        folder: Folder for the files of clients.
        policy: What media are accepted.
        stopping: Whether the server stops.
    """

    engine: Engine
    folder: Path
    policy: MediaPolicy
    stopping: bool = False

    def __post_init__(self) -> None:
        self.store = Store(self.folder)
        self.files = Files(10 * self.policy.most_bytes)
        self.reader = Reader(self.policy, self.store, self.files)
        self.metrics = Metrics(self.engine)
        self.hands = ThreadPoolExecutor(HANDS, "dyto-hand")
        all_here = threading.Barrier(HANDS)
        for _ in range(HANDS):  # none starts later
            self.hands.submit(all_here.wait)

    def close(self) -> None:
        """End the threads when they have nothing left to do."""
        self.hands.shutdown(wait=False)

    @cached_property
    def name(self) -> str:
        """Name of the model: of one in a folder only the folder's name, of one behind an endpoint its name there."""
        name = self.engine.model.name.removeprefix(PREFIX)
        return Path(name).name if Path(name).is_dir() else name


def build_service(
    engine: Engine, folder: Path, *, addresses: Addresses, keys: Keys, policy: MediaPolicy
) -> tuple[ServiceGate, ChatService]:
    """Build the service as a web application.

    Args:
        engine: The engine that answers.
        folder: Folder for the files of clients; nobody else uses it.
        addresses: The service's own addresses.
        keys: Keys of clients.
        policy: What media are accepted.

    Returns:
        An ASGI application, and what its routes share.
    """
    service = ChatService(engine, folder, policy)
    app = DescribedAPI(
        title="dyto",
        description="Questions about videos, in the protocol of OpenAI's chat completions.",
        version=version("dyto"),
        redoc_url=None,
        responses={"default": {"model": ErrorReply, "description": "An error, in the shape of OpenAI's"}},
    )
    app.state.service = service
    _handle_errors(app)
    texts: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
    streams: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
    app.post("/v1/chat/completions", summary="Ask about a video", responses=streams, openapi_extra=CHAT)(chat)
    app.get("/v1/models", summary="The model that answers")(models)
    app.get("/v1/models/{name:path}", summary="One model")(model)
    app.post("/v1/files", summary="Upload a video")(upload)
    app.get("/v1/files", summary="List your files")(list_files)
    app.get("/v1/files/{file_id}", summary="Look up a file")(find_file)
    app.delete("/v1/files/{file_id}", summary="Delete a file")(delete_file)
    app.get("/metrics", summary="Counters for Prometheus", response_class=Response, responses=texts)(metrics)
    app.get("/health", summary="Whether the service takes questions")(health)
    most = int(policy.most_bytes * BASE64) + 1_000_000
    return ServiceGate(app, addresses, keys, most, count=service.metrics.request), service


def _handle_errors(app: FastAPI) -> None:
    def refused(request: Request, err: Exception) -> Response:
        refusal = refusal_of(err)
        return JSONResponse(refusal.body(), refusal.status, refusal.headers)

    def invalid(request: Request, err: Any) -> Response:
        words, field = explain(err.errors())
        return refused(request, Refusal(400, words, param=field or None))

    def missing(request: Request, err: Any) -> Response:
        words = {404: "there is nothing here", 405: "this method is not offered here"}.get(err.status_code)
        headers = {"allow": _methods(request)} if err.status_code == 405 else err.headers
        return refused(request, Refusal(err.status_code, words or str(err.detail), headers=headers))

    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(HTTPException)(missing)
    app.exception_handler(Refusal)(refused)
    app.exception_handler(Exception)(refused)


def _methods(request: Request) -> str:
    """Return the methods that all routes of a path offer together."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches({**request.scope, "path_params": {}})[0] is not Match.NONE:
            found |= route.methods or set()
    return ", ".join(sorted(found))


def _service(request: Request) -> ChatService:
    service: ChatService = request.app.state.service
    return service


def _owner(request: Request) -> str:
    return str(request.state.owner)


# --- routes -------------------------------------------------------------------------------------------------


async def health(request: Request) -> Response:
    """Say whether the service takes questions."""
    stopping = _service(request).stopping
    return JSONResponse({"status": "stopping" if stopping else "ok"}, 503 if stopping else 200)


async def metrics(request: Request) -> Response:
    """Return the counters of whoever asks, and the gauges of the service."""
    told = _service(request).metrics.text(_owner(request))
    return Response(told, media_type="text/plain; version=0.0.4; charset=utf-8")


async def models(request: Request) -> dict[str, Any]:
    """List the model."""
    return {"object": "list", "data": [_model(_service(request))]}


async def model(request: Request, name: str) -> dict[str, Any]:
    """Look up the model."""
    _check_model(_service(request), name)
    return _model(_service(request))


def _model(service: ChatService) -> dict[str, Any]:
    length = service.engine.model.context_length
    return {"id": service.name, "object": "model", "created": 0, "owned_by": "dyto", "max_model_len": length}


def _check_model(service: ChatService, name: str) -> None:
    if name != service.name:
        raise Refusal(
            404, f"there is no model of that name, expected {service.name!r}", code="model_not_found", param="model"
        )


async def chat(request: Request) -> Response:
    """Answer a question about a video."""
    service, begin = _service(request), time.perf_counter()
    body = read_body(request.headers.get("content-type", ""), await request.body())
    _check_model(service, body.model)
    asked = await read_chat(body, _owner(request), service.reader, service.engine.strategy)
    counted = partial(service.metrics.answered, _owner(request))
    answering = ServedAnswer(service.engine, counted, asked, service.name, begin)
    try:
        answering.submit(service.hands)
        first = await answering.first(request)
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return StreamingResponse(answering.streamed(first, usage), media_type="text/event-stream")
        reply = await answering.rest(first, request)
    except BaseException:
        answering.over()
        raise
    answering.over()
    return JSONResponse(answering.completion.whole(reply))


async def upload(
    request: Request, file: UploadFile, purpose: Annotated[str, Form(max_length=100)] = "user_data"
) -> dict[str, Any]:
    """Keep a video for questions that name its id."""
    service, owner = _service(request), _owner(request)
    if purpose not in PURPOSES:
        raise Refusal(400, f"the purpose is not known, expected one of {', '.join(PURPOSES)}", param="purpose")
    size = file.size or 0
    if not size:
        raise Refusal(400, "the file is empty, expected a video", code="invalid_media", param="file")
    if size > service.policy.most_bytes:
        raise Refusal(
            413, f"the file has {size / 1e6:.0f} MB, expected {service.policy.megabytes:g} at most", code="too_large"
        )
    service.files.room(owner, size)
    path = service.store.scratch()
    try:
        with path.open("xb") as place:
            while chunk := await file.read(1 << 20):
                await anyio.to_thread.run_sync(place.write, chunk)
        name = Path(file.filename or "video").name[:200]
        media = await anyio.to_thread.run_sync(service.reader.keep_upload, path, name)
    finally:
        path.unlink(missing_ok=True)
    kept = Uploaded(owner, media, name, purpose, size)
    service.files.add(kept)
    return kept.to_dict()


async def list_files(request: Request) -> dict[str, Any]:
    """List the files of whoever asks."""
    found = [file.to_dict() for file in _service(request).files.of(_owner(request))]
    return {"object": "list", "data": found, "has_more": False}


async def find_file(request: Request, file_id: str) -> dict[str, Any]:
    """Look up a file."""
    return _service(request).files.find(_owner(request), file_id).to_dict()


async def delete_file(request: Request, file_id: str) -> dict[str, Any]:
    """Delete a file."""
    _service(request).files.delete(_owner(request), file_id)
    return {"id": file_id, "object": "file", "deleted": True}
