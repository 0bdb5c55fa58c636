"""Questions of the demo's visitors, and what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from dyto.answer import Answer
from dyto.strategies import Strategy
from dyto.subtitles.finding import SubtitleChoice

Captioned = list[tuple[Image.Image, str]]


@dataclass(frozen=True)
class ShownPart:
    """A part of a video in which little changes, as the page's timeline shows it.

    Attributes:
        start: Second at which it begins.
        end: Second at which the next one begins.
        color: Mean colour of its frames.
    """

    start: float
    end: float
    color: tuple[int, int, int]


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
        subtitles: What is said in the video, as for `dyto.find_subtitles`.
        turns: Earlier questions about the video, each with the reply of the first strategy.
    """

    video: str
    question: str
    model: str
    strategies: Sequence[Strategy]
    choices: Sequence[str] | None = None
    max_new_tokens: int = 128
    subtitles: SubtitleChoice = None
    turns: Sequence[tuple[str, str]] = ()


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
    """Event: the end of one side.

    Attributes:
        side: Its number.
        answer: The answer.
        keyframes: The key frames.
        maps: What was merged of each.
        parts: The parts of the video.
        seconds: Time since the question was asked, or since the side before was answered.
        known: Whether the strategy had seen the video before.
    """

    side: int
    answer: Answer
    keyframes: Captioned
    maps: Captioned
    parts: Sequence[ShownPart]
    seconds: float
    known: bool


@dataclass(frozen=True)
class QuestionFailed:
    """Event: an error, in words for the visitor."""

    words: str


Event = StageBegun | TextWritten | SideAnswered | QuestionFailed
