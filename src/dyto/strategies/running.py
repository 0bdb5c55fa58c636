"""A strategy at its work on the frames of a video, every stage of it timed."""

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
        model: Whose tower encodes them.
        question: For a strategy that looks at the question.
        savings: Those that are on.
        watch: What has been timed so far; its seconds are added to.
        kept: Where the features of these frames are kept for the next question, if the strategy looks at the question.

    Returns:
        The tokens, with the seconds of the stages "decode", "encode", "select" and "merge".

    Raises:
        StrategyError: The strategy raised an error of its own, or gave what no model can take.
        VideoError: A frame that was still to come cannot be read.
    """
    keep = strategy.uses_question and savings.keep_features
    encode = Encoder(model, watch, savings, kept if keep else None, frames)
    before = frames.waited
    with watch.stage("strategy"):
        tokens = with_deep(strategy(frames, encode, question), encode.seen)
        _ = frames.data  # what nobody looked at must be readable, too
    waited = frames.waited - before
    seconds = {**watch.seconds, **tokens.stages}
    spent = sum(seconds.get(name, 0.0) for name in ("encode", "select")) + waited
    seconds["decode"] = seconds.get("decode", 0.0) + waited
    seconds["merge"] = max(0.0, seconds.pop("strategy") - spent)
    return dataclasses.replace(tokens, stages=seconds, warnings=(*tokens.warnings, *frames.warnings))
