"""From a video to tokens: sampled, passed to a strategy, and kept for the next question."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.generation.keeping import KeptVideos
from dyto.savings import Savings
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import KeptFeatures
from dyto.strategies.running import run_strategy
from dyto.subtitles.finding import Subtitles
from dyto.timing import Stopwatch
from dyto.video import Frames, VideoSource, existing, sample_frames
from dyto.video.arrival import FramesChanged
from dyto.video.fingerprint import fingerprint

log = logging.getLogger(__name__)


class VideoEncoder:
    """An encoder of videos, which samples frames, calls the strategy on them, and keeps the tokens.

    Args:
        model: The model.
        kept: Store for the tokens of files.
    """

    def __init__(self, model: VideoModel, kept: KeptVideos) -> None:
        self._model, self._kept = model, kept
        self._features = KeptFeatures()

    def encode(
        self,
        video: VideoSource | Frames,
        question: str | None,
        strategy: BoundStrategy,
        savings: Savings,
        sampling: Mapping[str, Any],
        *,
        subtitles: Subtitles | None = None,
        on_stage: Callable[[str], None] | None = None,
        on_frames: Callable[[Frames], None] | None = None,
    ) -> VisualTokens:
        """Encode a video, or return the kept tokens of a file.

        Args:
            video: A file, a folder of pictures, an array, a list of pictures, or `Frames`.
            question: The question, for a strategy that reads it.
            strategy: The strategy.
            savings: The savings to use.
            sampling: Options of `dyto.sample_frames`.
            subtitles: What is said in the video; the tokens take it along.
            on_stage: Called with each stage's name when it begins.
            on_frames: Called with the frames after reading; then kept tokens are not used.

        Raises:
            VideoError: The video cannot be read.
            ConfigError: The budget or an option is impossible.
        """
        key = None
        if isinstance(video, (str, Path)) and not on_frames:
            key = tokens_key((content_of(video), subtitles), strategy, question, sampling, savings)
        if key is not None and (known := self._kept.tokens(key)) is not None:
            return known
        used = savings.sampling(sampling.get("fps")).on(self._model.device.type)
        run = partial(self._encode, video, question, strategy, sampling, on_stage=on_stage, on_frames=on_frames)
        try:
            tokens = run(used)
        except FramesChanged as err:
            log.info("reading again, without overlap: %s", err)
            tokens = run(replace(used, overlap=False))
        if tokens.subtitles is not subtitles:  # whatever a strategy put there
            tokens = replace(tokens, subtitles=subtitles)
        if key is not None:
            self._kept.keep_tokens(key, tokens)
        return tokens

    def _encode(
        self,
        video: VideoSource | Frames,
        question: str | None,
        strategy: BoundStrategy,
        sampling: Mapping[str, Any],
        savings: Savings,
        *,
        on_stage: Callable[[str], None] | None,
        on_frames: Callable[[Frames], None] | None,
    ) -> VisualTokens:
        """Compute frames = sample_frames(path), tokens = strategy(frames, encode)."""
        watch = Stopwatch(self._model.device, on_stage)
        run = partial(run_strategy, strategy, model=self._model, question=question, savings=savings, watch=watch)
        if isinstance(video, Frames) and not sampling:
            return run(video, kept=self._features)
        with watch.stage("decode"):
            frames = sample_frames(video, size=self._model.image_size, savings=savings, **sampling)
        with closing(frames):
            tokens = run(frames)
        if on_frames:
            on_frames(frames)
        return tokens

    def forget(self) -> None:
        """Free the kept features."""
        self._features.forget()


def decode_once(
    video: VideoSource | Frames, model: VideoModel, savings: Savings, sampling: Mapping[str, Any]
) -> tuple[Frames, Savings]:
    """Decode a video whose frames are encoded more than once.

    Args:
        video: A video as in `VideoEncoder.encode`.
        model: The model that will encode it.
        savings: The savings in use.
        sampling: Options of `dyto.sample_frames`.

    Returns:
        The frames, and the savings with which they are encoded as those of the file would be.
    """
    used = replace(savings.sampling(sampling.get("fps")), overlap=False)
    return sample_frames(video, size=model.image_size, savings=used, **sampling), used


def tokens_key(
    content: Hashable, strategy: BoundStrategy, question: str | None, sampling: Mapping[str, Any], savings: Savings
) -> Hashable:
    """Return the key of `KeptVideos` for the tokens of a video: everything that determines them.

    Args:
        content: What identifies the video.
        strategy: The strategy.
        question: The question; it counts only if the strategy reads it.
        sampling: Options of `dyto.sample_frames`.
        savings: The savings in use.

    Returns:
        The key; None if the strategy is not a frozen dataclass of plain values, because it might change between two
        questions.

    Example:
        >>> import dyto
        >>> from dyto.strategies.calling import BoundStrategy
        >>> def key(strategy):
        ...     return tokens_key("clip", BoundStrategy(strategy), None, {"fps": 1}, Savings())
        >>> key(dyto.DyTo()) == key(dyto.DyTo()), key(dyto.DyTo()) == key(dyto.DyTo(token_budget=9))
        (True, False)
        >>> key(lambda frames, encode, question=None: None) is None
        True
    """
    inner = strategy.inner
    parameters = getattr(type(inner), "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        return None
    key = (content, repr(sorted(sampling.items())), type(inner), inner, strategy.question(question), savings)
    try:
        hash(key)
    except TypeError:  # a field of the strategy is a list or an array
        return None
    return key


def content_of(video: str | Path) -> Hashable:
    """Return what identifies a file or folder: its path, size, time and both ends.

    Args:
        video: The path.

    Raises:
        VideoError: It does not exist, is empty, or cannot be read.
    """
    path = existing(video)
    return os.path.realpath(path), fingerprint(path)
