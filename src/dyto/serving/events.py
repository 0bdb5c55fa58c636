"""Questions to an engine, and what it says back."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dyto.answer import Answer
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.inspecting.evidence import Moment
from dyto.pipeline import Video
from dyto.strategies import Strategy
from dyto.subtitles.finding import SubtitleChoice
from dyto.video import Frames

MOST_STOPS = 16


@dataclass(frozen=True)
class EngineQuestion:
    """A question to an engine.

    Attributes:
        video: The video, as in `VideoQA.encode`.
        question: The question.
        choices: Options of a multiple choice question.
        strategy: A strategy or its name; None for the engine's own.
        sampling: Options of `dyto.sample_frames`.
        max_new_tokens: Largest number of tokens in the answer.
        temperature: Divisor of the logits before sampling; 0 for the likeliest token at every step.
        top_p: Share of the probability from which a token is sampled.
        seed: Seed of this answer's own random numbers; None for a random one.
        stop: Texts before which the answer ends.
        evidence: Whether to rank the key frames by how much the answer rests on them.
        content: What identifies the video, such as a hash of its bytes; None to go by the file's name, size and time.
        subtitles: What is said in the video, as for `dyto.find_subtitles`; files are read in a child process.
        turns: What was asked and answered before, as roles ("user", "assistant") and texts. Neither
            models that read one question alone nor strategies that read the question get it.
        messages: The chat of the question, with `dyto.models.endpoint.passing.VIDEO` in the place of the video, for a
            model that answers elsewhere. None, or an engine with a prompt of its own, asks by the prompt's template.
        pieces: Whether the answer is told piece by piece, as `TextPiece` events; False to be told only the end.
        on_stage: Called with the name of each stage when it begins ("decode", "waiting", "strategy", "encode",
            "generate"), in threads of the engine; it must return at once.
        on_seen: Called in the same way with the frames of the video and its tokens, before the answer begins. A
            question that asks for them has its video read, even if its tokens are kept.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> EngineQuestion("clip.mp4", "What happens?").temperature
        0.0
    """

    video: Video
    question: str
    choices: Sequence[str] | None = None
    strategy: Strategy | str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: Sequence[str] = ()
    evidence: bool = False
    content: Hashable = None
    subtitles: SubtitleChoice = None
    turns: Sequence[tuple[str, str]] = ()
    messages: Sequence[Mapping[str, Any]] | None = None
    pieces: bool = True
    on_stage: Callable[[str], None] | None = None
    on_seen: Callable[[Frames, VisualTokens], None] | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens is {self.max_new_tokens}, expected at least 1")
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= 100):
            raise ConfigError(f"temperature is {self.temperature}, expected 0 to 100: 0 is greedy")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}, expected more than 0 and at most 1")
        if self.seed is not None and not -(2**63) <= self.seed < 2**63:
            raise ConfigError(f"seed is {self.seed}, expected a whole number of 64 bits")
        if len(self.stop) > MOST_STOPS or not all(self.stop):
            raise ConfigError(f"stop has {len(self.stop)} texts, expected at most {MOST_STOPS}, none of them empty")


@dataclass(frozen=True)
class EngineReply:
    """An engine's reply.

    Attributes:
        answer: The answer, as from `VideoQA.ask`.
        reason: "stop" if the model or a stop text ended it, "length" if `max_new_tokens` did; or another word of the
            endpoint that answered.
        prompt_tokens: Tokens that the language model read: text, visual tokens and the times among them.
        completion_tokens: Tokens that it wrote.
        reused: Whether the tokens of the video were kept from an earlier question.
        evidence: The moments that the answer rests on, if asked for.
    """

    answer: Answer
    reason: str
    prompt_tokens: int
    completion_tokens: int
    reused: bool = False
    evidence: Sequence[Moment] | None = None

    @property
    def text(self) -> str:
        """The text of the answer."""
        return self.answer.text


@dataclass(frozen=True)
class TextPiece:
    """Event: a further piece of the answer, for a question that wants pieces."""

    text: str


@dataclass(frozen=True)
class Answered:
    """Event: the end, with the reply."""

    reply: EngineReply


@dataclass(frozen=True)
class Failed:
    """Event: the end, with the error."""

    error: Exception


Event = TextPiece | Answered | Failed
Tell = Callable[[Event], None]
"""Function that receives the events of one question, in threads of the engine; it must return at once."""
