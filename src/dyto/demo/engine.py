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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from dyto.conversation.talking import SHARE_FORGOTTEN
from dyto.conversation.turns import NOT_READ
from dyto.demo.events import (
    Captioned,
    DemoQuestion,
    Event,
    QuestionFailed,
    ShownPart,
    SideAnswered,
    StageBegun,
    TextWritten,
)
from dyto.demo.limits import DemoLimits
from dyto.demo.messages import names_a_place, unforeseen
from dyto.demo.views import SIDE, parts_of, pictures_of
from dyto.demo.waiting import LOOK_SECONDS, WORDS, events_of, submitted
from dyto.errors import BadQuestionError, BusyError, ClosedError, ConfigError, DoesNotFitError, DytoError
from dyto.features import VisualTokens
from dyto.models import load_model
from dyto.models.loading.options import fitting
from dyto.prompts import ALONE
from dyto.serving.engine import Engine
from dyto.serving.events import Answered, EngineQuestion, Failed, TextPiece
from dyto.strategies import Strategy
from dyto.strategies.calling import BoundStrategy
from dyto.subtitles.finding import Subtitles, find_subtitles, identity_of
from dyto.tokens import NOT_ITS_WORLD
from dyto.video import Frames, sample_frames

logger = logging.getLogger(__name__)

KEPT_VIEWS = 16
"""Number of views of videos that are kept: what one strategy saw of one video."""

CHECKS = 2
"""Number of files that are checked at a time as they arrive."""


_Read: TypeAlias = "tuple[Frames, Subtitles | None]"
"""The frames of a video, and what is said in it."""


@dataclass
class _Seen:
    """A video as seen by one strategy."""

    engine: Engine
    tokens: VisualTokens
    keyframes: Captioned
    maps: Captioned
    parts: tuple[ShownPart, ...]


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

    def subtitles_in(self, file: str, name: str) -> Subtitles:
        """Read a visitor's file of subtitles, which a model that reads none may leave out.

        Args:
            file: The file.
            name: The visitor's name for it.

        Raises:
            ConfigError: It cannot be read; in words for the visitor.
        """
        try:
            found = find_subtitles(None, file, guarded=True)
        except Exception as err:
            raise ConfigError(_for_visitors(err, file).replace(Path(file).name, name)) from err
        assert found is not None
        return replace(found, source=name, optional=True)

    def ask(self, wish: DemoQuestion) -> Generator[Event, None, None]:
        """Answer a question; closing the generator early stops the work.

        Yields:
            Events as they happen, and repeated status updates in between; an error is the last event.
        """
        begun = time.monotonic()
        try:
            engine = yield from self._engine(wish.model)
            read: _Read | None = None
            for side in range(len(wish.strategies)):
                read = yield from self._side(engine, wish, side, read, begun)
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
        self, engine: Engine, wish: DemoQuestion, side: int, read: _Read | None, begun: float
    ) -> Generator[Event, None, _Read | None]:
        """Answer for one strategy, asked at `begun`, and return what was read of the video, if anything was."""
        turns, forgotten = wish.turns, 0
        with self._lock:
            known = _key(wish, wish.strategies[side]) in self._seen
        while True:
            try:
                read, answered = yield from self._attempt(engine, replace(wish, turns=turns), side, read)
                break
            except (DoesNotFitError, BadQuestionError) as err:
                if not turns:
                    raise
                # An answer may hold marks that no question may; then none is quoted.
                fewer = 1 + len(turns) // SHARE_FORGOTTEN if isinstance(err, DoesNotFitError) else len(turns)
                turns, forgotten = turns[fewer:], forgotten + fewer
        notes = []
        if wish.turns and engine.model.chat in ALONE:
            notes = [NOT_READ]
        elif forgotten:
            notes = [f"the first {forgotten} of {len(wish.turns)} earlier turns were not read: they do not fit"]
        answer = replace(answered.answer, warnings=(*answered.answer.warnings, *notes))
        yield replace(answered, answer=answer, seconds=time.monotonic() - begun, known=known)
        return read

    def _attempt(
        self, engine: Engine, wish: DemoQuestion, side: int, read: _Read | None
    ) -> Generator[Event, None, tuple[_Read | None, SideAnswered]]:
        """Answer with these earlier turns; the last event is returned."""
        strategy = wish.strategies[side]
        key = _key(wish, strategy)
        with self._lock:
            seen = self._seen.get(key)
            if seen is not None:
                self._seen.move_to_end(key)
        if seen is None and read is None:
            self.limits.check(wish.video)
        video, said = (seen.tokens, None) if seen else read or (wish.video, wish.subtitles)
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        asked = EngineQuestion(
            video=video,
            question=wish.question,
            choices=wish.choices,
            strategy=strategy,
            sampling={"preview": SIDE} if seen is None and read is None else {},
            subtitles=said,
            max_new_tokens=wish.max_new_tokens,
            turns=[part for question, reply in wish.turns for part in (("user", question), ("assistant", reply))],
            on_stage=lambda stage: told.put(StageBegun(WORDS[stage])) if stage in WORDS else None,
            on_seen=None if seen else lambda *view: told.put(view),
        )
        ticket = yield from submitted(engine, asked, told, side > 0)
        try:
            text, remark = "", _remark(seen)
            if remark:
                yield TextWritten(side, text, remark)
            for event in events_of(engine, ticket, told):
                if isinstance(event, tuple):
                    frames, tokens = event
                    read = frames, tokens.subtitles
                    seen = self._keep(key, _Seen(engine, tokens, *pictures_of(frames, tokens), parts_of(frames)))
                    if remark := _remark(seen):
                        yield TextWritten(side, text, remark)
                elif isinstance(event, TextPiece):
                    text += event.text
                    yield TextWritten(side, text, remark)
                elif isinstance(event, Answered):
                    assert seen is not None
                    shown = seen.keyframes, seen.maps, seen.parts
                    return read, SideAnswered(side, event.reply.answer, *shown, 0.0, False)
                elif isinstance(event, Failed):
                    raise event.error
                else:
                    yield event
            raise AssertionError("an engine ends with an answer or an error")
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
    return wish.video, stamp, identity_of(wish.video, wish.subtitles), wish.model, repr(strategy), asked
