"""A conversation about one video: it is read once, and every question gets the turns before it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from dyto.answer import Answer
from dyto.conversation.turns import NOT_READ, Turn, with_turns
from dyto.errors import BadQuestionError, DoesNotFitError
from dyto.features import VisualTokens
from dyto.memory.remembered import Memory
from dyto.memory.remembering import is_remembered
from dyto.models.base import Encoded, VideoModel
from dyto.models.generation.keeping import KeptVideos
from dyto.models.generation.preparing import said_in
from dyto.prompts import ALONE, IMAGE, Prompt
from dyto.savings import Savings
from dyto.strategies import Strategy
from dyto.strategies.videos import decode_once
from dyto.subtitles.finding import SubtitleChoice
from dyto.video import Frames, VideoSource

SHARE_FORGOTTEN = 8
"""Where the turns do not fit the context, one of so many is forgotten at a time, oldest first."""


class Pipeline(Protocol):
    """What a conversation needs of a `VideoQA`."""

    model: VideoModel
    savings: Savings
    kept: KeptVideos
    on_stage: Callable[[str], None] | None

    @property
    def strategy(self) -> Strategy:
        """The strategy."""

    @property
    def uses_question(self) -> bool:
        """Whether it reads the question."""

    def question_for_strategy(self, question: str | None) -> str | None:
        """Return the question if the strategy reads it."""

    def encode(self, video: Any, *, question: str | None = None, **sampling: Any) -> VisualTokens:
        """Encode a video."""

    def prompt_for(self, choices: Sequence[str] | None) -> Prompt:
        """Return the template."""

    def tokenize(self, question: str, choices: Sequence[str] | None, max_new_tokens: int) -> Encoded:
        """Return the prompt as token ids, after checking it."""

    def stream(self, video: Any, question: str, **options: Any) -> Generator[str, None, Answer]:
        """Ask one question and yield the answer piece by piece."""


class Conversation:
    """Questions about one video, one after another; make one with `VideoQA.chat`.

    The video is decoded, encoded and prefilled once, with the first question or by `prepare`. It is read anew where
    the strategy of the `VideoQA` was replaced, and encoded for each question if the strategy reads the question. Before
    a question the model reads the earlier turns, if it can: `tiny` and `nouns` read one question alone. Where the turns
    no longer fit the context, the oldest are forgotten, and the answer's `warnings` say so.

    Attributes:
        tokens: What the model read of the video last; None before that.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
        >>> conversation = qa.chat(video, max_new_tokens=4)
        >>> first = conversation.ask("what is shown ?")
        >>> pieces = list(conversation.stream("what color is it ?"))
        >>> [turn.question for turn in conversation.history]
        ['what is shown ?', 'what color is it ?']
    """

    def __init__(
        self,
        qa: Pipeline,
        video: VideoSource | VisualTokens | Memory,
        *,
        max_new_tokens: int = 128,
        generation: dict[str, Any] | None = None,
        subtitles: SubtitleChoice = None,
        **sampling: Any,
    ) -> None:
        """Begin a conversation; nothing is read yet.

        Args:
            qa: What answers.
            video: A video as in `VideoQA.encode`, a memory, or encoded tokens.
            max_new_tokens: Largest number of tokens in an answer.
            generation: As in `VideoQA.ask`.
            subtitles: What is said in the video, as in `VideoQA.encode`.
            **sampling: As in `VideoQA.encode`.
        """
        self._qa = qa
        self.tokens = video if isinstance(video, VisualTokens) else None
        self._video, self._sampling, self._subtitles = video, sampling, subtitles
        self._options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "generation": generation}
        self._remembered = isinstance(video, Memory) or is_remembered(video)
        self._turns: list[Turn] = []
        self._forgotten = 0  # how many of the first turns are not sent any more
        self._encoded_by: Strategy | None = None
        self._decoded: tuple[Frames, Savings] | None = None

    @property
    def history(self) -> tuple[Turn, ...]:
        """All turns so far, oldest first, whether the model still reads them or not."""
        return tuple(self._turns)

    @property
    def reads_history(self) -> bool:
        """Whether the model reads the earlier turns."""
        return self._qa.model.chat not in ALONE

    def prepare(self) -> None:
        """Decode, encode and prefill the video now, so that the first answer does not wait for it.

        A strategy that reads the question lets no more than decode.

        Raises:
            VideoError: The video cannot be read.
            ConfigError: The budget or an option is impossible.
        """
        if self._qa.uses_question and not isinstance(self._video, VisualTokens):
            if not self._remembered:
                self._frames()
            return
        tokens = self._encoded("")
        before = self._qa.prompt_for(None).text.partition(IMAGE)[0]
        if "{question}" not in before and self._qa.savings.keep_prefix:
            prompt = self._qa.tokenize("?", None, self._options["max_new_tokens"])
            scaled = self._qa.model.check_fit(prompt, tokens, self._options["max_new_tokens"])
            self._qa.kept.prefix(tokens, prompt.before, scaled)

    def ask(self, question: str, *, choices: Sequence[str] | None = None) -> Answer:
        """Ask a question and return the answer.

        Args:
            question: The question, which may refer to earlier ones if the model `reads_history`.
            choices: Options of a multiple choice question.

        Raises:
            DytoError: As for `VideoQA.ask`; the question is then no turn of the conversation, which can go on.
        """
        pieces = self.stream(question, choices=choices)
        while True:
            try:
                next(pieces)
            except StopIteration as done:
                answer: Answer = done.value
                return answer

    def stream(self, question: str, *, choices: Sequence[str] | None = None) -> Generator[str, None, Answer]:
        """Ask a question and yield the answer piece by piece, as the model writes it.

        Arguments and errors are those of `ask`. If the generator is closed early, the question is no turn.

        Yields:
            Pieces of text. Joined and stripped, they are the text of the answer.

        Returns:
            The answer, as the value of the generator.
        """
        self._qa.tokenize(question, choices, self._options["max_new_tokens"])  # alone it must be one that can be asked
        tokens = self._encoded(question)
        forgotten, notes = self._forgotten, list[str]()
        while True:
            turns = self._sendable(forgotten)
            asked = with_turns(turns, question)
            try:
                answer = yield from self._qa.stream(tokens, asked, choices=choices, **self._options)
                break
            except DoesNotFitError:
                left = len(self._turns) - forgotten
                if not left or not turns:
                    raise
                forgotten += 1 + left // SHARE_FORGOTTEN
        if forgotten > self._forgotten:
            notes.append(
                f"the first {forgotten} of {len(self._turns)} earlier turns do not fit the context any more, and were "
                "not read"
            )
        if self._turns and not self.reads_history:
            notes.append(NOT_READ)
        answer = replace(answer, warnings=(*answer.warnings, *notes))
        self._forgotten = forgotten
        chosen = None if choices is None else tuple(choices)
        self._turns.append(Turn(question, answer, chosen, asked, len(turns)))
        return answer

    def _sendable(self, forgotten: int) -> list[Turn]:
        """Return the turns that the model reads; an answer that holds marks of the prompt cannot be quoted."""
        if not self.reads_history:
            return []
        return [turn for turn in self._turns[forgotten:] if self._can_quote(turn)]

    def _can_quote(self, turn: Turn) -> bool:
        try:
            if IMAGE in turn.reply:
                return False
            self._qa.model.check_words(turn.reply)
        except BadQuestionError:
            return False
        return True

    def _encoded(self, question: str) -> VisualTokens:
        """Return the tokens of the video: those that are there, unless the strategy wants others."""
        if isinstance(self._video, VisualTokens):
            return self._qa.encode(self._video, subtitles=self._subtitles, **self._sampling)
        if self._qa.uses_question or self.tokens is None or self._encoded_by is not self._qa.strategy:
            own = self._qa.question_for_strategy(question)
            if not self._remembered and (self._qa.uses_question or self._decoded is not None):
                frames, savings = self._frames()
                reader = copy.copy(self._qa)
                reader.savings = savings
                self.tokens = reader.encode(frames, question=own, subtitles=self._subtitles)
            else:
                self.tokens = self._qa.encode(self._video, subtitles=self._subtitles, **self._sampling)
            self._encoded_by = self._qa.strategy
        return self.tokens

    def _frames(self) -> tuple[Frames, Savings]:
        """Return the frames, decoded once for any number of encodings, and the savings to encode them with."""
        if self._decoded is None:
            assert not isinstance(self._video, (VisualTokens, Memory))
            if self._qa.on_stage is not None:
                self._qa.on_stage("decode")
            self._subtitles = said_in(self._video, self._subtitles, self._qa.model, self._sampling)
            self._decoded = decode_once(self._video, self._qa.model, self._qa.savings, self._sampling)
        return self._decoded
