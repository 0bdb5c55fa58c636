"""What the demo does behind its page: one thread for each model, and what was encoded kept for the next question."""

from __future__ import annotations

import logging
import queue
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dyto.answer import Answer
from dyto.demo.limits import Limits
from dyto.demo.messages import names_a_place, unforeseen
from dyto.errors import DytoError
from dyto.features import VisualTokens
from dyto.inspecting.pictures import merge_map, resized
from dyto.inspecting.regions import regions, tokens_per_keyframe
from dyto.inspecting.times import clock
from dyto.models import load_model
from dyto.pipeline import VideoQA
from dyto.sheet import small_frames
from dyto.strategies import Strategy
from dyto.video import Frames

logger = logging.getLogger(__name__)

SIDE = 480
"""Longest side of a picture that is shown, pixels."""

KEPT_TOKENS, KEPT_PREFIXES = 16, 2
"""Videos whose tokens are kept, and those whose keys and values are: one for each of two strategies side by side."""

LOOK_SECONDS = 0.5
"""How often a visitor is told again how things stand; only then can it be noticed that he left."""

Captioned = list[tuple[Image.Image, str]]


@dataclass(frozen=True)
class Wish:
    """What a visitor wants to know.

    Attributes:
        video: The file.
        question: The question.
        choices: Options, or None.
        model: One of the models offered.
        strategies: One, or several to see side by side.
        max_new_tokens: Most tokens of an answer.
    """

    video: str
    question: str
    model: str
    strategies: Sequence[Strategy]
    choices: Sequence[str] | None = None
    max_new_tokens: int = 128


@dataclass(frozen=True)
class Doing:
    """A stage begins."""

    words: str


@dataclass(frozen=True)
class Said:
    """The answer of one side so far."""

    side: int
    text: str


@dataclass(frozen=True)
class Shown:
    """The end of one side: its answer, its key frames and what was merged in them."""

    side: int
    answer: Answer
    keyframes: Captioned
    maps: Captioned


@dataclass(frozen=True)
class Failed:
    """What went wrong, for the visitor."""

    words: str


Event = Doing | Said | Shown | Failed


@dataclass
class _Seen:
    """A video as one strategy sees it."""

    qa: VideoQA
    tokens: VisualTokens
    keyframes: Captioned
    maps: Captioned


@dataclass
class Engine:
    """Answers visitors, one at a time for each model, in the order in which they came.

    Attributes:
        models: The names offered.
        limits: Of videos.
        loading: Further options of `dyto.load_model`.
        waiting: Most questions that wait for one model; those beyond are refused.
    """

    models: Sequence[str]
    limits: Limits = field(default_factory=Limits)
    loading: dict[str, Any] = field(default_factory=dict)
    waiting: int = 16

    def __post_init__(self) -> None:
        # A pipeline serves one thread: every model has one, and a line of questions, the first under way.
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=f"dyto-{name}") for name in self.models}
        self._lines: dict[str, list[Future[None]]] = {name: [] for name in self.models}
        self._under_way: list[threading.Event] = []
        self._loaded: dict[str, Any] = {}
        self._seen: OrderedDict[tuple[Any, ...], _Seen] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, name: str) -> None:
        """Load a model now, in its own thread.

        Raises:
            ModelError: It cannot be loaded.
        """
        self._threads[name].submit(self._model, name).result()

    def ask(self, wish: Wish) -> Generator[Event, None, None]:
        """Answer a question; a generator that is closed early stops the work.

        Yields:
            What happens, as it happens, and again what is under way while nothing does; an error is the last event.
        """
        told: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        left = threading.Event()
        place = self._join(wish, told.put, left)
        if place is None:
            waits = "1 question waits" if self.waiting == 1 else f"{self.waiting} questions wait"
            yield Failed(f"{waits} for this model already, and no more may: ask again in a minute")
            return
        doing = Doing(WORDS["waiting"])
        try:
            while not place.cancelled():
                try:
                    event = told.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    ahead = self._ahead(wish.model, place)
                    yield Doing(_waiting_for(ahead)) if ahead else doing
                    continue
                if event is None:
                    return
                if isinstance(event, Doing):
                    doing = event
                yield event
        finally:
            left.set()
            place.cancel()

    def _join(self, wish: Wish, tell: Callable[[Event | None], None], left: threading.Event) -> Future[None] | None:
        """A place in the line of a model, left when the work ends or is cancelled; None if the line is full."""
        line = self._lines[wish.model]

        def leave(place: Future[None]) -> None:
            with self._lock:
                line.remove(place)
                self._under_way.remove(left)

        with self._lock:
            if len(line) > self.waiting:
                return None
            place = self._threads[wish.model].submit(self._work, wish, tell, left)
            line.append(place)
            self._under_way.append(left)
        place.add_done_callback(leave)
        return place

    def _ahead(self, model: str, place: Future[None]) -> int:
        """How many questions are before this one."""
        with self._lock:
            line = self._lines[model]
            return line.index(place) if place in line else 0

    def forget(self, video: str) -> None:
        """Drop what is kept of a file."""
        with self._lock:
            for key in [key for key in self._seen if key[0] == video]:
                del self._seen[key]

    def close(self) -> None:
        """End the threads; a question that is being answered is finished."""
        for thread in self._threads.values():
            thread.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """Begin nothing more, and end what is under way at its next step."""
        with self._lock:
            for left in self._under_way:
                left.set()
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    def _work(self, wish: Wish, tell: Callable[[Event | None], None], left: threading.Event) -> None:
        try:
            for side, strategy in enumerate(wish.strategies):
                self._answer(wish, side, strategy, tell, left)
                if left.is_set():
                    break
        except Exception as err:
            words = str(err).replace(wish.video, Path(wish.video).name)
            if not isinstance(err, DytoError) or names_a_place(words):
                number = secrets.token_hex(4)
                logger.exception("a question failed (reference %s)", number)
                words = unforeseen(number)
            tell(Failed(words))
        finally:
            if not Path(wish.video).exists():
                self.forget(wish.video)  # deleted meanwhile, because its visitor left
            tell(None)

    def _answer(
        self, wish: Wish, side: int, strategy: Strategy, tell: Callable[[Event | None], None], left: threading.Event
    ) -> None:
        if left.is_set():
            return
        seen = self._look(wish, strategy, tell)
        tell(Doing("answering"))
        stream = seen.qa.stream(seen.tokens, wish.question, choices=wish.choices, max_new_tokens=wish.max_new_tokens)
        text = ""
        while not left.is_set():
            try:
                text += next(stream)
            except StopIteration as done:
                tell(Shown(side, done.value, seen.keyframes, seen.maps))
                return
            tell(Said(side, text))
        stream.close()

    def _model(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = load_model(name, **self.loading)
        return self._loaded[name]

    def _look(self, wish: Wish, strategy: Strategy, tell: Callable[[Event | None], None]) -> _Seen:
        """What the strategy sees in the video: from before, or now."""
        file = Path(wish.video)
        asked = wish.question if getattr(strategy, "uses_question", False) else None
        there = file.is_file()
        stamp = (file.stat().st_mtime_ns, file.stat().st_size) if there else (0, 0)
        key = (wish.video, stamp, wish.model, repr(strategy), asked)
        with self._lock:
            seen = self._seen.get(key)
        if seen is None:
            self.limits.check(wish.video)
            if wish.model not in self._loaded:
                tell(Doing("loading the model"))
            qa = VideoQA(self._model(wish.model), strategy)
            tell(Doing("reading the video"))
            qa.on_stage = lambda stage: tell(Doing(WORDS[stage])) if stage in WORDS else None
            frames: list[Frames] = []
            qa.on_frames = frames.append
            tokens = qa.encode(wish.video, question=asked, preview=SIDE, guarded=True, limits=self.limits.bounds)
            seen = _Seen(qa, tokens, *_pictures(frames[-1], tokens))
            qa.on_stage = qa.on_frames = None
        with self._lock:
            self._seen[key] = seen
            self._seen.move_to_end(key)
            while len(self._seen) > KEPT_TOKENS:
                self._seen.popitem(last=False)
            recent = list(self._seen.values())
        for other in recent[:-KEPT_PREFIXES]:
            if other.qa.model is seen.qa.model:  # another model's pipelines belong to its thread
                other.qa.forget()
        return seen


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
    """The key frames with their times, and their merge maps with their tokens."""
    frames = small_frames(video, {}, side=SIDE)
    patches = tokens.grid[0] * tokens.grid[1]
    keyframes, maps = [], []
    numbered = zip(tokens.keyframes.positions, regions(tokens), tokens_per_keyframe(tokens), strict=True)
    for position, label, count in numbered:
        picture, time = resized(frames.data[int(position)], SIDE), clock(frames.seconds[int(position)])
        keyframes.append((picture, time))
        maps.append((merge_map(np.asarray(picture), label), f"{time} · {patches} → {count} tokens"))
    return keyframes, maps
