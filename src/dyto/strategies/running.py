"""Running a strategy on the frames of a video, with every stage timed."""

from __future__ import annotations

import dataclasses

from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.deepstack import with_deep
from dyto.savings import Savings
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import Encoder, KeptFeatures
from dyto.timing import Stopwatch
from dyto.video import Frames


def run_strategy(
    strategy: BoundStrategy,
    frames: Frames,
    model: VideoModel,
    question: str | None = None,
    *,
    savings: Savings,
    watch: Stopwatch,
    kept: KeptFeatures | None = None,
) -> VisualTokens:
    """Let a strategy turn frames into tokens.

    Args:
        strategy: The strategy.
        frames: The frames, which may still be arriving: waiting for them counts as decoding.
        model: The model whose tower encodes them.
        question: The question, for a strategy that reads it.
        savings: The savings to use.
        watch: The stopwatch, to whose seconds the stages are added.
        kept: Store for the features of these frames for the next question, if the strategy reads the question.

    Returns:
        The tokens, with the seconds of the stages "decode", "encode", "select" and "merge".

    Raises:
        StrategyError: The strategy raised an unexpected error, or returned unusable tokens.
        VideoError: A frame that had not arrived yet cannot be read.
    """
    keep = strategy.uses_question and savings.keep_features
    encode = Encoder(model, watch, savings, kept if keep else None, frames)
    before = frames.waited
    with watch.stage("strategy"):
        tokens = with_deep(strategy(frames, encode, question), encode.seen)
        _ = frames.data  # unused frames must be readable, too
        tokens = model.finish(tokens, frames)
    waited = frames.waited - before
    seconds = {**watch.seconds, **tokens.stages}
    spent = sum(seconds.get(name, 0.0) for name in ("encode", "select")) + waited
    seconds["decode"] = seconds.get("decode", 0.0) + waited
    seconds["merge"] = max(0.0, seconds.pop("strategy") - spent)
    return dataclasses.replace(tokens, stages=seconds, warnings=(*tokens.warnings, *frames.warnings))
