"""The engine behind the demo's page: a queue per model, and encoded videos kept for the next question."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dyto.answer import Answer
from dyto.demo.limits import DemoLimits
from dyto.demo.line import Line, Place
from dyto.demo.messages import names_a_place, unforeseen
from dyto.errors import DytoError
from dyto.features import VisualTokens
from dyto.inspecting.drawing import merge_map, resized
from dyto.inspecting.regions import regions, tokens_per_keyframe
from dyto.inspecting.sheet import small_frames
from dyto.inspecting.times import clock
from dyto.models import load_model
from dyto.models.loading.options import fitting
from dyto.pipeline import VideoQA
from dyto.strategies import Strategy
from dyto.strategies.calling import BoundStrategy
from dyto.tokens import NOT_ITS_WORLD
from dyto.video import Frames, sample_frames

logger = logging.getLogger(__name__)

SIDE = 480
"""Longest side of a displayed picture, in pixels."""

KEPT_TOKENS, KEPT_PREFIXES = 16, 2
"""Number of videos whose tokens are kept, and whose keys and values are: one for each of two strategies."""

LOOK_SECONDS = 0.5
"""Seconds between status updates; a visitor's departure is only noticed at an update."""

_Read = tuple[Frames, float]
"""The frames of a video, and the seconds of reading them."""

Captioned = list[tuple[Image.Image, str]]


@dataclass(frozen=True)
class DemoQuestion:
    """A visitor's question.

    Attributes:
        video: The file.
        question: The question.
        choices: Options, or None.
        model: One of the offered models.
        strategies: One or several strategies to show side by side.
        max_new_tokens: Largest number of tokens in an answer.
    """

    video: str
    question: str
    model: str
    strategies: Sequence[Strategy]
    choices: Sequence[str] | None = None
    max_new_tokens: int = 128


@dataclass(frozen=True)
class StageBegun:
    """Event: a stage begins."""

    words: str


@dataclass(frozen=True)
class TextWritten:
    """Event: the answer of one side so far, and a remark that stands before it."""

    side: int
    text: str
    remark: str = ""


@dataclass(frozen=True)
class SideAnswered:
    """Event: the end of one side, with its answer, key frames and merge maps."""

    side: int
    answer: Answer
    keyframes: Captioned
    maps: Captioned


@dataclass(frozen=True)
class QuestionFailed:
    """Event: an error, in words for the visitor."""

    words: str


Event = StageBegun | TextWritten | SideAnswered | QuestionFailed


@dataclass
class _Seen:
    """A video as seen by one strategy."""

    qa: VideoQA
    tokens: VisualTokens
    keyframes: Captioned
    maps: Captioned


@dataclass
class DemoEngine:
    """An engine that answers one visitor at a time per model, in the order in which their videos were read.

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
        self._lines = {name: Line(name, self.waiting) for name in self.models}
        self._loaded: dict[str, Any] = {}
        self._seen: OrderedDict[tuple[Any, ...], _Seen] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, name: str) -> None:
        """Load a model now, in its own thread.

        Raises:
            ModelError: The model cannot be loaded.
        """
        self._lines[name].in_model(self._model, name)

    def ask(self, wish: DemoQuestion) -> Generator[Event, None, None]:
        """Answer a question; closing the generator early stops the work.

        Yields:
            Events as they happen, and repeated status updates in between; an error is the last event.
        """
        told: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        line = self._lines[wish.model]
        place = line.join(lambda place: self._work(wish, told.put, line, place))
        if place is None:
            waits = "1 question waits" if line.most == 1 else f"{line.most} questions wait"
            yield QuestionFailed(f"{waits} for this model already, and the queue is full: ask again in a minute")
            return
        doing = StageBegun(WORDS["waiting"])
        try:
            while not place.ended:
                try:
                    event = told.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    ahead = line.ahead(place)
                    yield StageBegun(_waiting_for(ahead)) if ahead else doing
                    continue
                if event is None:
                    return
                if isinstance(event, StageBegun):
                    doing = event
                yield event
        finally:
            line.leave(place)

    def forget(self, video: str) -> None:
        """Drop everything kept from a file."""
        with self._lock:
            for key in [key for key in self._seen if key[0] == video]:
                del self._seen[key]

    def close(self) -> None:
        """End the threads after the current question is answered."""
        for line in self._lines.values():
            line.stop(wait=True)

    def stop(self) -> None:
        """Start nothing more, and end running work at its next step."""
        for line in self._lines.values():
            line.stop(wait=False)

    def _work(self, wish: DemoQuestion, tell: Callable[[Event | None], None], line: Line, place: Place) -> None:
        try:
            place.reads = True
            read = self._read(wish, tell, line)
            tell(StageBegun(WORDS["waiting"]))
            line.in_turn(place, self._answer_all, wish, read, tell, place.left)
        except CancelledError:
            pass  # the visitor has left
        except Exception as err:
            words = str(err).replace(wish.video, Path(wish.video).name)
            if not isinstance(err, DytoError) or names_a_place(words):
                number = secrets.token_hex(4)
                logger.exception("a question failed (reference %s)", number)
                words = unforeseen(number)
            tell(QuestionFailed(words))
        finally:
            if not Path(wish.video).exists():
                self.forget(wish.video)  # deleted in the meantime, because its visitor left
            tell(None)

    def _read(self, wish: DemoQuestion, tell: Callable[[Event | None], None], line: Line) -> _Read | None:
        """Read the frames of a video, in parallel with the model's work; None if all sides are already kept."""
        with self._lock:
            if all(_key(wish, strategy) in self._seen for strategy in wish.strategies):
                return None
        self.limits.check(wish.video)
        if wish.model not in self._loaded:
            tell(StageBegun("loading the model"))
            line.in_model(self._model, wish.model)
        tell(StageBegun("reading the video"))
        return self._frames(wish)

    def _frames(self, wish: DemoQuestion) -> _Read:
        begun, size = time.perf_counter(), self._loaded[wish.model].image_size
        frames = sample_frames(wish.video, size=size, preview=SIDE, guarded=True, limits=self.limits.bounds)
        return frames, time.perf_counter() - begun

    def _answer_all(
        self, wish: DemoQuestion, read: _Read | None, tell: Callable[[Event | None], None], left: threading.Event
    ) -> None:
        for side, strategy in enumerate(wish.strategies):
            if left.is_set():
                return
            self._answer(wish, side, strategy, read, tell, left)

    def _answer(
        self,
        wish: DemoQuestion,
        side: int,
        strategy: Strategy,
        read: _Read | None,
        tell: Callable[[Event | None], None],
        left: threading.Event,
    ) -> None:
        seen = self._look(wish, strategy, read, tell)
        tell(StageBegun("answering"))
        text, remark = "", "" if seen.tokens.meaningful else NOT_ITS_WORLD
        if remark:
            tell(TextWritten(side, text, remark))
        stream = seen.qa.stream(seen.tokens, wish.question, choices=wish.choices, max_new_tokens=wish.max_new_tokens)
        while not left.is_set():
            try:
                text += next(stream)
            except StopIteration as done:
                tell(SideAnswered(side, done.value, seen.keyframes, seen.maps))
                return
            tell(TextWritten(side, text, remark))
        stream.close()

    def _model(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = load_model(name, **fitting(name, self.loading))
        return self._loaded[name]

    def _look(
        self, wish: DemoQuestion, strategy: Strategy, read: _Read | None, tell: Callable[[Event | None], None]
    ) -> _Seen:
        """Return the strategy's view of the video, kept or computed now."""
        key = _key(wish, strategy)
        with self._lock:
            seen = self._seen.get(key)
        if seen is None:
            frames, seconds = read or self._frames(wish)  # computed now if it was dropped after the lookup
            qa = VideoQA(self._model(wish.model), strategy)
            qa.on_stage = lambda stage: tell(StageBegun(WORDS[stage])) if stage in WORDS else None
            tokens = qa.encode(frames, question=key[-1])
            tokens = replace(tokens, stages={**tokens.stages, "decode": seconds})
            seen = _Seen(qa, tokens, *_pictures(frames, tokens))
            qa.on_stage = None
        with self._lock:
            self._seen[key] = seen
            self._seen.move_to_end(key)
            while len(self._seen) > KEPT_TOKENS:
                self._seen.popitem(last=False)
            recent = list(self._seen.values())
        for other in recent[:-KEPT_PREFIXES]:
            if other.qa.model is seen.qa.model:  # pipelines of other models belong to their threads
                other.qa.forget()
        return seen


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
