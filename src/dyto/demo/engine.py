"""What answers behind the demo's page: an engine for each model, and the pictures of known videos."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dyto.demo.events import (
    Captioned,
    DemoQuestion,
    Event,
    QuestionFailed,
    SideAnswered,
    StageBegun,
    TextWritten,
)
from dyto.demo.limits import DemoLimits
from dyto.demo.messages import names_a_place, unforeseen
from dyto.errors import BusyError, ClosedError, DytoError
from dyto.features import VisualTokens
from dyto.inspecting.drawing import merge_map, resized
from dyto.inspecting.regions import regions, tokens_per_keyframe
from dyto.inspecting.sheet import small_frames
from dyto.inspecting.times import clock
from dyto.models import load_model
from dyto.models.loading.options import fitting
from dyto.serving.engine import Engine
from dyto.serving.events import Answered, EngineQuestion, Failed, TextPiece
from dyto.serving.tickets import Ticket
from dyto.strategies import Strategy
from dyto.strategies.calling import BoundStrategy
from dyto.tokens import NOT_ITS_WORLD
from dyto.video import Frames, sample_frames

logger = logging.getLogger(__name__)

SIDE = 480
"""Longest side of a displayed picture, in pixels."""

KEPT_VIEWS = 16
"""Number of views of videos that are kept: what one strategy saw of one video."""

LOOK_SECONDS = 0.5
"""Seconds between status updates; a visitor's departure is only noticed at an update."""

CHECKS = 2
"""Number of files that are checked at a time as they arrive."""


@dataclass
class _Seen:
    """A video as seen by one strategy."""

    engine: Engine
    tokens: VisualTokens
    keyframes: Captioned
    maps: Captioned


@dataclass
class DemoEngine:
    """The engines of a demo, one for each model, and what visitors are told.

    Attributes:
        models: The offered names.
        limits: Limits on videos.
        loading: Further options of `dyto.load_model`.
        waiting: Number of questions that may wait for one model; more are refused.
    """

    models: Sequence[str]
    limits: DemoLimits = field(default_factory=DemoLimits)
    loading: dict[str, Any] = field(default_factory=dict)
    waiting: int = 16

    def __post_init__(self) -> None:
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="dyto-demo-load")
        self._engines: dict[str, Future[Engine]] = {}
        self._seen: OrderedDict[tuple[Any, ...], _Seen] = OrderedDict()
        self._lock = threading.Lock()
        self._checking = threading.BoundedSemaphore(CHECKS)

    def begin(self, name: str) -> Future[Engine]:
        """Begin to load a model; the result raises a `ModelError` if that cannot be done."""
        return self._loading(name)

    @property
    def ready(self) -> bool:
        """Whether no model is being loaded."""
        with self._lock:
            return all(loading.done() for loading in self._engines.values())

    def wrong_with(self, video: str) -> str:
        """Read one frame of a file, so that what is no video is told before anybody asks.

        While several other files are being looked at, this one is left to its first question.

        Returns:
            What is wrong with it, in words for the visitor; "" if nothing is.
        """
        if not self._checking.acquire(timeout=LOOK_SECONDS):
            return ""
        try:
            self.limits.check(video)
            sample_frames(video, num_frames=1, max_side=64, guarded=True, limits=self.limits.bounds)
            return ""
        except Exception as err:  # noqa: BLE001 - told to the visitor, or logged
            return _for_visitors(err, video)
        finally:
            self._checking.release()

    def ask(self, wish: DemoQuestion) -> Generator[Event, None, None]:
        """Answer a question; closing the generator early stops the work.

        Yields:
            Events as they happen, and repeated status updates in between; an error is the last event.
        """
        begun = time.monotonic()
        try:
            engine = yield from self._engine(wish.model)
            frames: Frames | None = None
            for side in range(len(wish.strategies)):
                frames = yield from self._side(engine, wish, side, frames, begun)
                begun = time.monotonic()
        except ClosedError:
            pass  # the demo ends
        except BusyError:
            waits = "1 question waits" if self.waiting == 1 else f"{self.waiting} questions wait"
            yield QuestionFailed(f"{waits} for this model already, and the queue is full: ask again in a minute")
        except Exception as err:  # noqa: BLE001 - told to the visitor, or logged
            yield QuestionFailed(_for_visitors(err, wish.video))
        finally:
            if not Path(wish.video).exists():
                self.forget(wish.video)  # deleted in the meantime, because its visitor left

    def forget(self, video: str) -> None:
        """Drop everything kept from a file."""
        with self._lock:
            for key in [key for key in self._seen if key[0] == video]:
                self._drop(key)

    def close(self) -> None:
        """End the threads after their current step."""
        self._close(wait=True)

    def stop(self) -> None:
        """Start nothing more, and end running work at its next step."""
        self._close(wait=False)

    def _close(self, wait: bool) -> None:
        self._loader.shutdown(wait=False, cancel_futures=True)
        for loading in list(self._engines.values()):
            if loading.done() and not loading.cancelled() and loading.exception() is None:
                loading.result().close(wait=wait)

    # --- models -----------------------------------------------------------------------------------------

    def _loading(self, name: str) -> Future[Engine]:
        """Return the engine of a model, on its way; a model that could not be loaded is tried again."""
        with self._lock:
            loading = self._engines.get(name)
            if loading is None or (loading.done() and loading.exception() is not None):
                try:
                    loading = self._engines[name] = self._loader.submit(self._start, name)
                except RuntimeError as err:
                    raise ClosedError("the demo has ended") from err
            return loading

    def _start(self, name: str) -> Engine:
        model = load_model(name, **fitting(name, self.loading))
        # one more than may wait: the question that is being answered counts until its first word
        return Engine(model, limits=self.limits.bounds, max_queue=self.waiting + 1)

    def _engine(self, name: str) -> Generator[Event, None, Engine]:
        loading = self._loading(name)
        while not loading.done():
            yield StageBegun("loading the model")
            wait([loading], LOOK_SECONDS)
        return loading.result()

    # --- questions --------------------------------------------------------------------------------------

    def _side(
        self, engine: Engine, wish: DemoQuestion, side: int, frames: Frames | None, begun: float
    ) -> Generator[Event, None, Frames | None]:
        """Answer for one strategy, asked at `begun`, and return the frames of the video if they were read."""
        strategy = wish.strategies[side]
        key = _key(wish, strategy)
        with self._lock:
            seen = self._seen.get(key)
            known = seen is not None
            if known:
                self._seen.move_to_end(key)
        if seen is None and frames is None:
            self.limits.check(wish.video)
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        asked = EngineQuestion(
            video=seen.tokens if seen else wish.video if frames is None else frames,
            question=wish.question,
            choices=wish.choices,
            strategy=strategy,
            sampling={"preview": SIDE} if seen is None and frames is None else {},
            max_new_tokens=wish.max_new_tokens,
            on_stage=lambda stage: told.put(StageBegun(WORDS[stage])) if stage in WORDS else None,
            on_seen=None if seen else lambda *view: told.put(view),
        )
        ticket = yield from _submitted(engine, asked, told, side > 0)
        try:
            text, remark = "", _remark(seen)
            if remark:
                yield TextWritten(side, text, remark)
            for event in _events(engine, ticket, told):
                if isinstance(event, tuple):
                    frames, tokens = event
                    seen = self._keep(key, _Seen(engine, tokens, *_pictures(frames, tokens)))
                    if remark := _remark(seen):
                        yield TextWritten(side, text, remark)
                elif isinstance(event, TextPiece):
                    text += event.text
                    yield TextWritten(side, text, remark)
                elif isinstance(event, Answered):
                    assert seen is not None
                    took = time.monotonic() - begun
                    yield SideAnswered(side, event.reply.answer, seen.keyframes, seen.maps, took, known)
                elif isinstance(event, Failed):
                    raise event.error
                else:
                    yield event
            return frames
        finally:
            ticket.leave()

    def _keep(self, key: tuple[Any, ...], seen: _Seen) -> _Seen:
        with self._lock:
            self._seen[key] = seen
            self._seen.move_to_end(key)
            while len(self._seen) > KEPT_VIEWS:
                self._drop(next(iter(self._seen)))
        return seen

    def _drop(self, key: tuple[Any, ...]) -> None:
        seen = self._seen.pop(key)
        seen.engine.kept.drop(seen.tokens)


def _submitted(
    engine: Engine, asked: EngineQuestion, told: queue.SimpleQueue[Any], patient: bool
) -> Generator[Event, None, Ticket]:
    """Hand in a question; a patient visitor, who has half of an answer, waits until there is room."""
    while True:
        try:
            return engine.submit(asked, told.put)
        except BusyError:
            if not patient:
                raise
        yield StageBegun(WORDS["waiting"])
        time.sleep(LOOK_SECONDS)


def _events(engine: Engine, ticket: Ticket, told: queue.SimpleQueue[Any]) -> Generator[Any, None, None]:
    """Yield what an engine tells, up to the end, and repeated status updates in between."""
    yield (doing := StageBegun(WORDS["waiting"]))
    while True:
        try:
            event = told.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            ahead = engine.ahead(ticket)
            yield StageBegun(_waiting_for(ahead)) if ahead else doing
            continue
        doing = event if isinstance(event, StageBegun) else doing
        yield event
        if isinstance(event, (Answered, Failed)):
            return


def _for_visitors(err: Exception, video: str) -> str:
    """Return the words of an error that is being handled, or a number under which the log has it."""
    words = str(err).replace(video, Path(video).name)
    if isinstance(err, DytoError) and not names_a_place(words):
        return words
    number = secrets.token_hex(4)
    logger.exception("a question failed (reference %s)", number)
    return unforeseen(number)


def _remark(seen: _Seen | None) -> str:
    return "" if seen is None or seen.tokens.meaningful else NOT_ITS_WORLD


def _key(wish: DemoQuestion, strategy: Strategy) -> tuple[Any, ...]:
    """Return the key of a strategy's view of a video."""
    file = Path(wish.video)
    there = file.is_file()
    stamp = (file.stat().st_mtime_ns, file.stat().st_size) if there else (0, 0)
    asked = BoundStrategy(strategy).question(wish.question)
    return wish.video, stamp, wish.model, repr(strategy), asked


WORDS = {
    "waiting": "waiting for the model",
    "decode": "reading the video",
    "strategy": "choosing and merging",
    "encode": "encoding the frames",
    "generate": "answering",
}


def _waiting_for(questions: int) -> str:
    others = "another question is" if questions == 1 else f"{questions} other questions are"
    return f"{others} being answered first"


def _pictures(video: Frames, tokens: VisualTokens) -> tuple[Captioned, Captioned]:
    """Return the key frames with times, and their merge maps with token counts."""
    frames = small_frames(video, {}, side=SIDE)
    patches = tokens.grid[0] * tokens.grid[1]
    keyframes, maps = [], []
    numbered = zip(tokens.keyframes.positions, regions(tokens), tokens_per_keyframe(tokens), strict=True)
    for position, label, count in numbered:
        picture, time = resized(frames.data[int(position)], SIDE), clock(frames.seconds[int(position)])
        keyframes.append((picture, time))
        maps.append((merge_map(np.asarray(picture), label), f"{time} · {patches} → {count} tokens"))
    return keyframes, maps
