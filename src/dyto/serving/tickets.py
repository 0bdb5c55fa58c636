"""Questions on their way through an engine, and the videos that they wait for."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from dyto.features import VisualTokens
from dyto.memory.remembered import Memory
from dyto.models.base import Encoded
from dyto.models.generation.preparing import PreparedQuestion, with_subtitles
from dyto.models.generation.rows import Row
from dyto.pipeline import VideoQA
from dyto.serving.events import EngineQuestion, EngineReply, Event, Failed, Tell, TextPiece
from dyto.serving.writing import Writer, cut_before
from dyto.subtitles.choosing import Spoken
from dyto.subtitles.finding import Subtitles
from dyto.video import Frames

logger = logging.getLogger(__name__)

_TURNS = itertools.count()


@dataclass(eq=False)
class Ticket:
    """A question in an engine.

    Attributes:
        asked: The question.
        qa: The model with the question's strategy.
        words: The question, behind the turns before it.
        prompt: The tokenized prompt; from `prepare` on with what is said in the video.
        left: Set when nobody waits for the answer any more.
        begun: Whether the model has begun to answer.
        reused: Whether the tokens of the video were kept.
        tokens: The encoded video, when it is there.
        scaled: As returned by `VideoModel.check_fit`.
        explained: Whether the text is complete, and only its evidence is still to come.
        turn: Its place among all questions that have waited for the model; None while its video is being read.
    """

    asked: EngineQuestion
    qa: VideoQA
    words: str
    prompt: Encoded
    tell: Tell
    on_end: Callable[[Ticket], None]
    left: threading.Event = field(default_factory=threading.Event)
    begun: bool = False
    reused: bool = False
    tokens: VisualTokens | None = None
    scaled: bool = False
    explained: bool = False
    turn: int | None = None
    _spoken: Spoken | None = None
    _prepared: bool = False
    _told: int = -1
    _ended: threading.Event = field(default_factory=threading.Event)
    _last: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ended(self) -> bool:
        """Whether the last event has been told, or nobody waits for one."""
        return self._ended.is_set()

    def leave(self) -> None:
        """Give up the answer: a row that is being written ends at its next step, anything else does not start."""
        self.left.set()
        self.end(None)

    def end(self, event: Event | None) -> None:
        """Tell the last event, unless there was one.

        Args:
            event: The event; None to tell nothing.
        """
        if not self._last.acquire(blocking=False):  # another thread was first
            return
        self._ended.set()
        self.on_end(self)
        if event is not None and not self.left.is_set():
            self.tell(event)

    def prepare(self) -> None:
        """Put what is said in the video into the prompt, as far as there is room, if that has not been done.

        Raises:
            DoesNotFitError: There is not even room for the question.
        """
        if not self._prepared:
            asked, one, model = self.asked, self.question, self.qa.model
            template = self.qa.prompt_for(asked.choices)
            one = with_subtitles(model, template, one, self.words, asked.choices, asked.max_new_tokens)
            self.prompt, self._spoken, self._prepared = one.prompt, one.spoken, True

    @property
    def question(self) -> PreparedQuestion:
        """The question, as far as it is prepared."""
        assert self.tokens is not None
        return PreparedQuestion(self.tokens, self.prompt, self._spoken)

    def check_fit(self) -> None:
        """Prepare the question, and check that it and the video fit the context together.

        Raises:
            DoesNotFitError: They do not.
        """
        assert self.tokens is not None
        self.prepare()
        self.scaled = self.qa.model.check_fit(self.prompt, self.tokens, self.asked.max_new_tokens)

    def wait(self) -> None:
        """Note that the video is read, and that the question waits for the model from now on."""
        if self.turn is None:
            self.turn = next(_TURNS)
            self.stage("waiting")

    def stage(self, name: str) -> None:
        """Tell that a stage begins."""
        if self.asked.on_stage is not None and not self.ended:
            self.asked.on_stage(name)

    def begin(self) -> None:
        """Note that the answer begins, and tell what the prompt wrote of it already."""
        self.begun = True
        self.stage("generate")
        start = self.qa.prompt_for(self.asked.choices).answer_start
        if self._told < 0:
            self._told = 0
            if start and self.asked.pieces:
                self.tell(TextPiece(start))

    def row(self, prefill: float, finished: Callable[[Ticket, EngineReply], None]) -> Row:
        """Return a new row for the answer; text that was told before is not told again.

        Args:
            prefill: Seconds of reading the prefixes of the batch.
            finished: Called with the reply when the row has ended.
        """
        begin = time.perf_counter()
        self.begin()
        asked, writer = self.asked, None
        if asked.pieces or asked.stop:  # anybody else wants only the whole text
            writer = Writer(self.qa.model.tokenizer, asked.stop, self.piece, skip=self._told)

        def ended() -> bool:
            return self.left.is_set() or (writer is not None and writer.stopped)

        def done() -> None:
            if self.left.is_set():
                return
            try:
                if writer is not None:
                    writer.end()
                seconds = {"prefill": prefill, "generate": time.perf_counter() - begin}
                finished(self, self._reply(row, seconds))
            except Exception as err:
                logger.exception("an answer could not be finished")
                self.end(Failed(err))

        sampling = (asked.max_new_tokens, asked.temperature, asked.top_p, asked.seed)
        row = Row(*sampling, tell=writer.token if writer else lambda token: None, ended=ended, done=done)
        return row

    def piece(self, text: str) -> None:
        """Tell a further piece of the answer."""
        self._told += len(text)
        if self.asked.pieces and not self.left.is_set():
            self.tell(TextPiece(text))

    def _reply(self, row: Row, seconds: dict[str, float]) -> EngineReply:
        assert self.tokens is not None
        asked, model = self.asked, self.qa.model
        text = str(model.tokenizer.decode(row.ids, skip_special_tokens=True))
        text = cut_before(text, asked.stop).strip()
        answer = self.qa.answer_of(self.question, text, asked.question, asked.choices, seconds)
        return EngineReply(
            answer=answer,
            reason="length" if row.reason == "length" else "stop",
            prompt_tokens=len(self.prompt.before) + len(self.prompt.after) + len(self.tokens) + answer.num_time_tokens,
            completion_tokens=len(row.ids),
            reused=self.reused,
        )


@dataclass(eq=False)
class Coming:
    """A video that is being read and encoded, and the questions that wait for it.

    Attributes:
        key: Under which its tokens will be kept; None to keep nothing.
        tickets: The questions.
        close: Closes the list of questions and returns it: those that come later do not wait for this video.
        frames: The frames, or a memory, when they are there.
        subtitles: What is said in it, likewise.
        seconds: Seconds of reading them.
        over: Set when the frames are no longer needed.
    """

    key: Hashable
    tickets: list[Ticket]
    close: Callable[[Coming], list[Ticket]]
    frames: Frames | Memory | None = None
    subtitles: Subtitles | None = None
    seconds: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def first(self) -> Ticket:
        """The question that asked for the video first."""
        return self.tickets[0]

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits."""
        return any(not ticket.ended for ticket in self.tickets)

    def fail(self, error: Exception) -> None:
        """End all questions with an error."""
        for ticket in self.tickets:
            ticket.end(Failed(error))
