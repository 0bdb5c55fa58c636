"""The engine: one loaded model that answers questions from any number of threads."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Generator, Hashable
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from dyto.errors import BusyError, ClosedError, ConfigError
from dyto.features import VisualTokens
from dyto.models import load_model
from dyto.models.base import VideoModel
from dyto.models.generation.keeping import KEEP_GB, KeptVideos, bytes_allowed
from dyto.models.loading.naming import usual_model
from dyto.pipeline import Video, VideoQA
from dyto.prompts import ALONE, Prompt, write_turns
from dyto.savings import Savings
from dyto.serving.events import Answered, EngineQuestion, EngineReply, Event, Failed, Tell, TextPiece
from dyto.serving.reading import Reading
from dyto.serving.tickets import Ticket
from dyto.serving.working import ModelThread
from dyto.strategies import DEFAULT, Strategy, build_strategy
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.videos import content_of, tokens_key
from dyto.subtitles.finding import identity_of
from dyto.video.limits import Limits

logger = logging.getLogger(__name__)


class Engine:
    """A model that answers questions from many threads, several in one batch.

    One thread owns the model. All waiting questions, streamed ones too, share a batch, each with its own generation
    options. Videos are read in child processes (see `dyto.video.guarded`). While a video is encoded, waiting questions
    about known videos are answered after every few frames. Tokens and prefixes are kept as in `VideoQA`. Greedy answers
    are those of `VideoQA.ask`, whoever else asks at the same time.

    Attributes:
        model: The model. Use it only through the engine.
        kept: Store for the tokens and prefixes of videos.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
        >>> with dyto.Engine("tiny") as engine:
        ...     reply = engine.ask(video, "what is shown ?", max_new_tokens=4)
        ...     pieces = list(engine.stream(video, "what is shown ?", max_new_tokens=4))
        >>> "".join(pieces).strip() == reply.text, reply.completion_tokens <= 4
        (True, True)
    """

    def __init__(
        self,
        model: VideoModel | str | Path | None = None,
        strategy: Strategy | str = DEFAULT,
        *,
        prompt: str | Path | Prompt | None = None,
        choice_prompt: str | Path | Prompt | None = None,
        savings: Savings | None = None,
        limits: Limits | None = None,
        keep_gb: float = KEEP_GB,
        max_batch: int = 16,
        max_queue: int = 64,
        **loading: Any,
    ) -> None:
        """Load a model and start the engine.

        Args:
            model: A loaded model, or its name as in `VideoQA.from_pretrained`.
            strategy: The strategy of questions that name none.
            prompt: Template for open questions, as in `VideoQA`.
            choice_prompt: Template for multiple choice, as in `VideoQA`.
            savings: The savings to use, as in `VideoQA`.
            limits: Limits on videos, see `dyto.video.limits`.
            keep_gb: Limit in GB on what is kept of videos.
            max_batch: Largest number of questions in one batch, or of requests to a model behind an endpoint at a time.
            max_queue: Largest number of questions that wait; more are refused.
            **loading: Options of `dyto.load_model`, if `model` is a name.

        Raises:
            ConfigError: A name or option is wrong.
            ModelError: The model cannot be loaded.
        """
        for name, value in (("max_batch", max_batch), ("max_queue", max_queue)):
            if value < 1:
                raise ConfigError(f"{name} is {value}, expected at least 1")
        self.strategy = build_strategy(strategy) if isinstance(strategy, str) else strategy
        named = None if model is None or isinstance(model, VideoModel) else str(model)
        self.model = model if isinstance(model, VideoModel) else load_model(usual_model(named), **loading)
        self.savings = savings or Savings()
        self.kept = KeptVideos(self.model, bytes_allowed(keep_gb), keep=self.savings.keep_prefix)
        self.max_queue = max_queue
        self._prompts: dict[str, Any] = {"prompt": prompt, "choice_prompt": choice_prompt}
        # A tokenizer serves one thread at a time: the model's thread has its own, and those who ask share this one.
        self._asker = copy.copy(self.model)
        self._asker.tokenizer = copy.deepcopy(self.model.tokenizer)
        self._asking = threading.Lock()
        self._lock = threading.Lock()
        self._open: set[Ticket] = set()
        self._none_open = threading.Condition(self._lock)
        self._closed = False
        self._qa(self.model, self.strategy)  # so that a wrong prompt is an error now
        self._worker = ModelThread(self.model, self.kept, max_batch, self.savings.compiled)
        self._reading = Reading(self.model, self.savings, limits or Limits(fixed=True), self._worker.add_video)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- asking -----------------------------------------------------------------------------------------

    def ask(self, video: Video, question: str, **options: Any) -> EngineReply:
        """Ask a question and wait for the reply.

        Args:
            video: The video, as in `VideoQA.encode`.
            question: The question.
            **options: Further attributes of `dyto.serving.events.EngineQuestion`.

        Raises:
            DytoError: As for `VideoQA.ask`.
            EngineError: The engine has stopped, or too many questions wait.
        """
        pieces = self.stream(video, question, **{"pieces": False, **options})
        while True:
            try:
                next(pieces)
            except StopIteration as done:
                reply: EngineReply = done.value
                return reply

    def stream(self, video: Video, question: str, **options: Any) -> Generator[str, None, EngineReply]:
        """Ask a question and yield the answer piece by piece; closing the generator cancels it.

        Arguments and errors are those of `ask`.

        Yields:
            Pieces of text. Joined and stripped, they are the text of the answer.

        Returns:
            The reply, as the value of the generator.
        """
        events: SimpleQueue[Event] = SimpleQueue()
        ticket = self.submit(EngineQuestion(video, question, **options), events.put)
        try:
            while True:
                event = events.get()
                if isinstance(event, TextPiece):
                    yield event.text
                elif isinstance(event, Answered):
                    return event.reply
                else:
                    raise event.error
        finally:
            ticket.leave()

    def submit(self, asked: EngineQuestion, tell: Tell) -> Ticket:
        """Submit a question, and report its events as they happen.

        Args:
            asked: The question.
            tell: Function to call with each event, in threads of the engine. The last event is `Answered` or `Failed`.

        Returns:
            The ticket; its `leave` cancels the answer.

        Raises:
            ConfigError: The question or an option is wrong.
            BusyError: Too many questions wait.
            ClosedError: The engine is stopping, or has stopped.
        """
        if self._closed:
            raise ClosedError("the engine has stopped, expected a running one: make a new one")
        if asked.evidence and not self.model.gives_likelihoods:
            raise ConfigError(f"model {self.model.name} gives no likelihoods, only text: leave out evidence")
        if self._prompts["prompt"] is not None:
            asked = replace(asked, messages=None)
        strategy = self.strategy if asked.strategy is None else asked.strategy
        strategy = build_strategy(strategy) if isinstance(strategy, str) else strategy
        with self._asking:
            front = self._qa(self._asker, strategy)
            turns = () if self.model.chat in ALONE else asked.turns
            question = write_turns([*turns, ("user", asked.question)]) if turns else asked.question
            prompt = front.tokenize(question, asked.choices, asked.max_new_tokens)
        bound, content = BoundStrategy(strategy), asked.content
        if content is None and isinstance(asked.video, (str, Path)):
            content = content_of(asked.video)
        key: Hashable = None
        if content is not None:
            content = content, identity_of(asked.video, asked.subtitles)
            key = tokens_key(content, bound, asked.question, asked.sampling, self.savings)
        ticket = Ticket(asked, self._qa(self.model, strategy), question, prompt, tell, self._ended)
        self._admit(ticket)
        self._start(ticket, key)
        return ticket

    def _qa(self, model: VideoModel, strategy: Strategy) -> VideoQA:
        return VideoQA(model, strategy, savings=self.savings, kept=self.kept, **self._prompts)

    def _admit(self, ticket: Ticket) -> None:
        with self._lock:
            if self._closed:
                raise ClosedError("the engine stops, expected a running one: ask another one")
            waiting = sum(not other.begun for other in self._open)
            if waiting >= self.max_queue:
                busy = BusyError(
                    f"{waiting} questions wait, expected at most {self.max_queue}: ask again in a moment, or raise "
                    "max_queue"
                )
                busy.retry_after = self._worker.seconds_for(waiting)
                raise busy
            self._open.add(ticket)

    def _start(self, ticket: Ticket, key: Hashable) -> None:
        """Let a question wait for its video, or for the model if the video is known."""
        video, read = ticket.asked.video, ticket.asked.on_seen is not None
        if isinstance(video, VisualTokens):
            video = ticket.qa.encode(video, subtitles=ticket.asked.subtitles)
        known = video if isinstance(video, VisualTokens) else None if key is None or read else self.kept.tokens(key)
        if known is not None:
            ticket.wait()
            ticket.tokens, ticket.reused = known, True
            self._worker.add(ticket)
        else:
            self._reading.add(key, ticket)

    def _ended(self, ticket: Ticket) -> None:
        with self._lock:
            self._open.discard(ticket)
            if not self._open:
                self._none_open.notify_all()

    # --- looking ----------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Number of questions that wait for their video or for the model."""
        with self._lock:
            return sum(not ticket.begun for ticket in self._open)

    @property
    def answering(self) -> int:
        """Number of questions that are being answered."""
        with self._lock:
            return sum(ticket.begun for ticket in self._open)

    def ahead(self, ticket: Ticket) -> int:
        """Return how many questions have waited for the model for longer; 0 while a video is being read."""
        if ticket.begun or ticket.turn is None:
            return 0
        with self._lock:
            return sum(other.turn is not None and other.turn < ticket.turn for other in self._open)

    def on_batch(self, call: Callable[[int, float], None]) -> None:
        """Register a function to call after each batch, with its number of questions and its seconds."""
        self._worker.on_batch = call

    # --- stopping ---------------------------------------------------------------------------------------

    def drain(self, seconds: float | None = None) -> bool:
        """Accept no more questions, and wait for the answers to those submitted before.

        Args:
            seconds: Longest time to wait; None for as long as it takes.

        Returns:
            Whether all were answered in time.
        """
        end = None if seconds is None else time.monotonic() + seconds
        with self._lock:
            self._closed = True
            while self._open and (end is None or time.monotonic() < end):
                self._none_open.wait(None if end is None else max(0.0, end - time.monotonic()))
            return not self._open

    def close(self, *, wait: bool = True) -> None:
        """Stop now: questions without an answer get a `ClosedError`, and rows that are being written end.

        Args:
            wait: Whether to wait for the current step of the model.
        """
        with self._lock:
            self._closed, left = True, list(self._open)
        for ticket in left:
            ticket.end(Failed(ClosedError("the engine stops before it could answer: ask another one")))
            ticket.left.set()
        self._reading.close()
        self._worker.close(wait)
        self.kept.forget()
