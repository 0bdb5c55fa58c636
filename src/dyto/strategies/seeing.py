"""From a video to tokens: frames, encoder and strategy, with the savings that are on."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.deepstack import with_deep
from dyto.savings import Savings
from dyto.strategies import Strategy
from dyto.strategies.calling import call_strategy
from dyto.strategies.encoding import Encoder, KeptFeatures
from dyto.timing import Stopwatch
from dyto.video import ArrivingFrames, Frames, sample_frames
from dyto.video.arrival import FramesChanged

log = logging.getLogger(__name__)


def see(
    model: VideoModel,
    strategy: Strategy,
    video: Any,
    question: str | None,
    savings: Savings,
    on_stage: Callable[[str], None] | None,
    on_frames: Callable[[Frames], None] | None,
    sampling: dict[str, Any],
    kept: KeptFeatures | None = None,
) -> VisualTokens:
    """Turn a video into tokens.

    Args:
        model: The model.
        strategy: The strategy.
        video: Whatever `sample_frames` takes.
        question: For a strategy that looks at the question.
        savings: Those that are on.
        on_stage: Told the name of each stage as it begins.
        on_frames: Given the frames of a file once all of them are there, for those who want to show what was seen.
        sampling: Options of `sample_frames`.
        kept: Where features are kept for a strategy that looks at the question; frames given as `Frames` alone are
            known again.

    Returns:
        The tokens, with the seconds of the stages "decode", "encode", "select" and "merge".

    Raises:
        StrategyError: The strategy raised an error of its own, or gave what no model can take.
    """
    watch = Stopwatch(model.device, on_stage)
    savings = savings.on(model.device.type)
    if isinstance(video, Frames) and not sampling:
        return _tokens(model, strategy, video, question, savings, watch, kept)
    with watch.stage("decode"):
        frames = sample_frames(video, size=model.image_size, savings=savings, **sampling)
    try:
        tokens = _tokens(model, strategy, frames, question, savings, watch)
        if on_frames:
            on_frames(frames)
        return tokens
    except FramesChanged as err:
        log.info("reading again, one thing after another: %s", err)
    finally:
        if isinstance(frames, ArrivingFrames):
            frames.close()
    plainly = dataclasses.replace(savings, overlap=False)
    return see(model, strategy, video, question, plainly, on_stage, on_frames, sampling)


def _tokens(
    model: VideoModel,
    strategy: Strategy,
    frames: Frames,
    question: str | None,
    savings: Savings,
    watch: Stopwatch,
    kept: KeptFeatures | None = None,
) -> VisualTokens:
    """The tokens of frames, which may still be arriving: waiting for them counts as decoding."""
    uses_question = getattr(strategy, "uses_question", False) and savings.keep_features
    encoder = Encoder(model, watch, savings, kept if uses_question else None, frames)
    before = frames.waited if isinstance(frames, ArrivingFrames) else 0.0
    with watch.stage("strategy"):
        tokens = with_deep(call_strategy(strategy, frames, encoder, question), encoder.seen)
        _ = frames.data  # what nobody looked at must be readable, too
    waited = frames.waited - before if isinstance(frames, ArrivingFrames) else 0.0
    seconds = {**watch.seconds, **tokens.stages}
    spent = sum(seconds.get(name, 0.0) for name in ("encode", "select")) + waited
    seconds["decode"] = seconds.get("decode", 0.0) + waited
    seconds["merge"] = max(0.0, seconds.pop("strategy") - spent)
    return dataclasses.replace(tokens, stages=seconds, warnings=(*tokens.warnings, *frames.warnings))
