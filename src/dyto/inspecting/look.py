"""Inspection of a video with one or more strategies: what was sampled, clustered, chosen, merged and answered."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dyto.answer import STAGES, Answer
from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import IntArray
from dyto.inspecting.evidence import Moment, find_evidence
from dyto.inspecting.hierarchy import Levels, levels_of
from dyto.inspecting.sheet import small_frames
from dyto.pipeline import VideoQA
from dyto.prompts import prompt_for
from dyto.strategies import Encode, Strategy
from dyto.strategies.calling import BoundStrategy, name_of
from dyto.tokens import NOT_ITS_WORLD
from dyto.video import Frames, VideoSource

SIDE = 640
"""Longest side of a displayed picture, in pixels."""

PIXEL_BYTES = 1 << 28
"""Bytes for all pictures together; with many frames, each is kept smaller."""


@dataclass(frozen=True)
class View:
    """The result of one strategy on the video.

    Attributes:
        name: Name of the strategy.
        options: Fields of the strategy.
        tokens: Tokens that the language model reads.
        levels: The hierarchy over time behind the key frames; empty if the strategy has none.
        answer: The model's answer, if there was a question.
        evidence: Moments that the answer rests on, largest weight first.
    """

    name: str
    options: Mapping[str, Any]
    tokens: VisualTokens
    levels: Levels = field(default_factory=Levels)
    answer: Answer | None = None
    evidence: tuple[Moment, ...] = ()

    @property
    def partitions(self) -> tuple[IntArray, ...]:
        """Labels of the sampled frames at each level of the hierarchy, finest first."""
        return self.levels.partitions

    @property
    def level(self) -> int | None:
        """Index of the partition that the key frames come from; None without partitions."""
        return self.levels.used

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of every stage that ran."""
        found = self.answer.seconds if self.answer else self.tokens.stages
        return {stage: found[stage] for stage in STAGES if stage != "total" and stage in found}


@dataclass(frozen=True)
class Inspection:
    """The results of one or more strategies on a video.

    Attributes:
        source: Name of the video.
        frames: The sampled frames, in display size.
        model: Name of the model.
        device: Device of the model.
        views: One view per strategy.
        question: The question; None for none.
        choices: The options of a multiple choice question.
        warnings: Notes for readers about video and model.
    """

    source: str
    frames: Frames
    model: str
    device: str
    views: tuple[View, ...]
    question: str | None = None
    choices: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()


@dataclass
class _Watched:
    """A strategy wrapper that keeps the features that the strategy saw."""

    strategy: Strategy
    features: FrameFeatures | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        bound = BoundStrategy(self.strategy)
        self.name, self.uses_question = bound.name, bound.uses_question
        self.needs, self.picks_keyframes = bound.needs, bound.picks_keyframes

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        def watched(images: Any, *, attention_layer: int | None = None) -> FrameFeatures:
            features = encode(images, attention_layer=attention_layer)
            if len(features) == len(frames):
                self.features = features
            return features

        return self.strategy(frames, watched, question)


def inspect_video(
    qa: VideoQA,
    video: VideoSource,
    *,
    versus: Sequence[Strategy] = (),
    question: str | None = None,
    choices: Sequence[str] | None = None,
    max_new_tokens: int = 128,
    **sampling: Any,
) -> Inspection:
    """Run one or more strategies on a video, and keep everything for display.

    Args:
        qa: The model and the strategy.
        video: A file, a folder of pictures, an array, a list of pictures, or `Frames`.
        versus: Strategies to show beside it, on the same frames.
        question: The question; None to inspect the tokens only. With a question, the evidence is computed too.
        choices: Options of a multiple choice question.
        max_new_tokens: Largest number of tokens in an answer.
        **sampling: Options of `dyto.sample_frames`.

    Returns:
        The results; `dyto.inspecting.save_page` and `save_pictures` display them.

    Raises:
        VideoError: The video cannot be read.
        ModelError: The question does not fit the context.
        ConfigError: Tokens were passed instead of a video, or an option is impossible.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)
        >>> seen = inspect_video(dyto.VideoQA.from_pretrained("tiny"), video, versus=[dyto.Uniform()])
        >>> [(view.name, len(view.partitions) > 0) for view in seen.views]
        [('plus', True), ('uniform', False)]
    """
    if isinstance(video, VisualTokens):
        raise ConfigError("found encoded tokens, expected a video: pass the file or frames that they come from")
    if choices is not None and question is None:
        raise ConfigError("found choices without a question, expected both or neither: add a question")
    if question is not None:  # bad questions fail before the video is read
        prompt_for(qa.model.chat, choices is not None).fill(question, choices)
    asking = {"question": question, "choices": choices, "max_new_tokens": max_new_tokens}
    views = tuple(_view(qa, video, strategy, asking, sampling) for strategy in (qa.strategy, *versus))
    first = views[0].tokens
    frames = small_frames(video, sampling, side=_side(first.uncompressed // (first.grid[0] * first.grid[1])))
    warnings = [*qa.model.notices, *(warning for view in views for warning in view.tokens.warnings)]
    return Inspection(
        source=Path(frames.source).name if frames.source else "pictures",
        frames=frames,
        model=qa.model.name,
        device=qa.model.where,
        views=views,
        question=question,
        choices=None if choices is None else tuple(choices),
        warnings=tuple(sorted(dict.fromkeys(warnings), key=lambda warning: warning != NOT_ITS_WORLD)),  # that is first
    )


def _view(
    qa: VideoQA, video: VideoSource, strategy: Strategy, asking: dict[str, Any], sampling: dict[str, Any]
) -> View:
    watched = _Watched(strategy)
    own = copy.copy(qa)  # the same model, prompts and hooks
    own.strategy = watched
    question, choices = asking["question"], asking["choices"]
    answer: Answer | None = None
    evidence: tuple[Moment, ...] = ()
    if question is None:
        tokens = own.encode(video, **sampling)
    else:
        tokens = own.encode(video, question=own.question_for_strategy(question), **sampling)
        answer = own.ask(tokens, question, choices=choices, max_new_tokens=asking["max_new_tokens"])
        if answer.text and answer.meaningful and qa.model.gives_likelihoods:
            evidence = tuple(find_evidence(own, tokens, question, answer.text, choices=choices))
    return View(
        name=name_of(strategy),
        options=_options(strategy),
        tokens=tokens,
        levels=levels_of(strategy, watched.features, len(tokens.keyframes)),
        answer=answer,
        evidence=evidence,
    )


def _options(strategy: object) -> dict[str, Any]:
    """Return the fields of a dataclass strategy."""
    if not dataclasses.is_dataclass(strategy) or isinstance(strategy, type):
        return {}
    return {field.name: getattr(strategy, field.name) for field in dataclasses.fields(strategy)}


def _side(count: int) -> int:
    """Return the longest side with which all frames together stay within `PIXEL_BYTES`."""
    return max(96, min(SIDE, int((PIXEL_BYTES / (3 * max(1, count))) ** 0.5)))
