"""Finding the segments of a video and its key frames: the runs of the strategy `plus`, at any level of detail."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dyto.errors import ConfigError, VideoError
from dyto.eye.pixels import PixelEye
from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.inspecting.sheet import TILE
from dyto.models.base import VideoModel
from dyto.models.eyes import seen_by, usual_eye
from dyto.moments.options import check_detail
from dyto.pipeline import VideoQA
from dyto.strategies import Plus, scenes
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import Encoder, KeptFeatures
from dyto.strategies.runs import runs_of
from dyto.timing import Stopwatch
from dyto.tokens import KeyFrames
from dyto.video import Frames, VideoSource, sample_frames
from dyto.video.index import Index
from dyto.video.limits import Limits
from dyto.video.pictures import is_picture

FORMAT = 1
"""Format number of `VideoTimeline.to_dict`. It rises when a key changes its meaning or goes away."""


@dataclass(frozen=True)
class Segment:
    """A part of a video in which little changes.

    Attributes:
        start: Second at which it begins.
        end: Second at which the next one begins, or the video ends.
        first: Position of its first frame among the sampled frames.
        last: Position of its last one.
        gain: Squared distance of its mean direction from that of the segment before, 0 to 4; None for the first.
        keyframes: Positions of its key frames among those of the video.
        text: A line about it; "" if the model has nothing to say.

    Example:
        >>> segment = Segment(0.0, 2.5, 0, 9, None, (0,), "a dog")
        >>> segment.end - segment.start
        2.5
    """

    start: float
    end: float
    first: int
    last: int
    gain: float | None
    keyframes: tuple[int, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class VideoTimeline:
    """The segments of a video, and its key frames.

    Attributes:
        source: Path of the video; None for pictures in memory.
        segments: The segments, which follow each other without a gap.
        keyframes: The key frames of the strategy.
        frames: The sampled frames, as the model takes them, with a preview for people.
        sampling: The options with which they were sampled.
        model: Name of the model.
        strategy: The strategy's name and fields.
        warnings: What a reader should know.

    Example:
        >>> import numpy as np, dyto
        >>> film = np.repeat(np.array([[40, 90, 200], [220, 200, 30]], np.uint8), 12, axis=0)[:, None, None]
        >>> film = np.broadcast_to(film, (24, 48, 64, 3))
        >>> timeline = dyto.find_timeline(dyto.VideoQA.from_pretrained("tiny"), film, source_fps=6)
        >>> [(segment.start, segment.end) for segment in timeline.segments]
        [(0.0, 2.0), (2.0, 4.0)]
    """

    source: str | None
    segments: tuple[Segment, ...]
    keyframes: KeyFrames
    frames: Frames = field(repr=False)
    sampling: Mapping[str, Any] = field(default_factory=dict, repr=False)
    model: str = ""
    strategy: Mapping[str, Any] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the video for people."""
        return Path(self.source).name if self.source else "pictures"

    def segment_of(self, keyframe: int) -> int:
        """Return the position of the segment that holds a key frame."""
        return next(place for place, segment in enumerate(self.segments) if keyframe in segment.keyframes)

    def to_dict(self) -> dict[str, Any]:
        """Return the timeline as JSON-ready values; their format number is `FORMAT`."""
        return {
            "format": FORMAT,
            "source": self.source,
            "model": self.model,
            "strategy": dict(self.strategy),
            "sampled": len(self.frames),
            "segments": [
                {
                    "segment": number,
                    "start": round(segment.start, 3),
                    "end": round(segment.end, 3),
                    "gain": None if segment.gain is None else round(segment.gain, 4),
                    "keyframes": [self.frame_dict(keyframe) for keyframe in segment.keyframes],
                    "text": segment.text,
                }
                for number, segment in enumerate(self.segments, start=1)
            ],
            "warnings": list(self.warnings),
        }

    def frame_dict(self, keyframe: int) -> dict[str, Any]:
        """Return a key frame as JSON-ready values."""
        index, second = self.keyframes.indices[keyframe], self.keyframes.seconds[keyframe]
        return {"index": int(index), "second": round(float(second), 3)}


def find_timeline(
    qa: VideoQA,
    video: VideoSource,
    *,
    segments: int | None = None,
    least_gain: float | None = None,
    question: str | None = None,
    **sampling: Any,
) -> VideoTimeline:
    """Find the segments of a video, and the key frames of the pipeline's strategy.

    The segments are the runs of `Plus`: neighbouring frames join until all that are left stand apart from the noise of
    the video, or differ by 0.25 where the eye `pixels` compares them. A boundary is the time of the first sampled frame
    behind it, so it is as exact as the frames are dense.

    Args:
        qa: Model and strategy. The model's tower, or its eye, compares the frames.
        video: A file, a folder of pictures, an array, a list of pictures, or `Frames`.
        segments: Number of segments; None for as many as stand apart.
        least_gain: Squared distance from which on neighbouring segments differ, 0 to 4, instead.
        question: The question, for a strategy that reads it.
        **sampling: Options of `dyto.sample_frames`.

    Returns:
        The timeline, without lines of text; see `describe_timeline`.

    Raises:
        VideoError: The video cannot be read.
        ConfigError: There are fewer sampled frames than segments, or both levels of detail are given.

    Example:
        >>> import numpy as np, dyto
        >>> film = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)
        >>> timeline = find_timeline(dyto.VideoQA.from_pretrained("tiny"), film, segments=3)
        >>> len(timeline.segments), timeline.segments[-1].end
        (3, 12.0)
    """
    check_detail(segments, least_gain)
    savings = qa.savings.sampling(sampling.get("fps"))
    frames = _sampled(qa.model, video, savings, sampling)
    watch = Stopwatch(qa.model.device, qa.on_stage)
    model, notes = qa.model, []

    def look(by: VideoModel) -> tuple[Encoder, FrameFeatures]:
        encode = Encoder(by, watch, savings, KeptFeatures(), frames)
        return encode, encode(frames)

    encode, features = look(model)
    if model.knows is not None and not features.summary_source.startswith("eye ") and not model.knows(frames.data):
        eye = usual_eye()
        encode, features = look(seen_by(model, eye))
        notes.append(f"model {model.name} knows only drawn shapes, so frames are compared by the eye {eye.name}")
    strategy = BoundStrategy(qa.strategy)
    tokens = strategy(frames, encode, strategy.question(question))
    plus = qa.strategy if isinstance(qa.strategy, Plus) else Plus()
    if segments is None and least_gain is None and features.summary_source == f"eye {PixelEye.name}":
        least_gain = scenes.MOST  # numbers of pixels spread wider than those of a tower
    bounds, gains = cut_runs(features.summary.float().cpu().numpy(), plus.factor, segments, least_gain)
    stop = end_of(video, frames, sampling)
    return VideoTimeline(
        source=frames.source,
        segments=_segments(frames, bounds, gains, tokens, float(sampling.get("start") or 0.0), stop),
        keyframes=tokens.keyframes,
        frames=frames,
        sampling=dict(sampling),
        model=model.name,
        strategy=strategy.description,
        warnings=tuple(dict.fromkeys((*notes, *frames.warnings))),
    )


def _sampled(model: VideoModel, video: VideoSource, savings: Any, sampling: dict[str, Any]) -> Frames:
    """Sample frames as the model takes them, with a preview."""
    given = {"preview": TILE, **sampling}
    frames = sample_frames(video, size=model.image_size, savings=replace(savings, overlap=False), **given)
    if frames.preview is None:
        raise VideoError("the frames have no preview, expected one: pass the file that they come from")
    return frames


def cut_runs(
    summary: FloatArray, factor: float, segments: int | None = None, least_gain: float | None = None
) -> tuple[IntArray, list[float | None]]:
    """Cut frames into runs.

    Args:
        summary: (T, D) a vector for each frame.
        factor: See `Plus.factor`.
        segments: Number of runs; None for as many as stand apart.
        least_gain: Squared distance from which on runs differ; None for a multiple of the video's noise.

    Returns:
        (S + 1,) first frame of each run, and T; and how far each is from the one before it.

    Example:
        >>> cut_runs(np.repeat(np.eye(3), [4, 2, 4], axis=0), 8.0)[0].tolist()
        [0, 4, 6, 10]
    """
    x = scenes.directions(summary)
    if segments is not None and segments > len(x):
        raise ConfigError(f"segments is {segments}, but {len(x)} frames were sampled: take more with num_frames or fps")
    least = scenes.threshold(x, factor) if least_gain is None else least_gain
    runs = runs_of(x, least, segments)
    gaps = np.square(np.diff(runs.means, axis=0)).sum(1)
    return runs.bounds, [None, *map(float, gaps)]


def end_of(video: Any, frames: Frames, sampling: Mapping[str, Any]) -> float:
    """Return the second at which the sampled clip ends.

    Args:
        video: What was sampled.
        frames: The frames.
        sampling: How.
    """
    asked = sampling.get("end")
    if isinstance(video, (str, os.PathLike)) and Path(video).expanduser().is_file():
        path = Path(video).expanduser()
        if not is_picture(path):
            stop = Index.scan(path, Limits.of(sampling.get("limits"))).timeline.stop
            return max(float(frames.seconds[-1]), stop if asked is None else min(stop, float(asked)))
    rate = sampling.get("source_fps", 1.0)
    gap = float(np.median(np.diff(frames.seconds))) if isinstance(video, Frames) and len(frames) > 1 else 1.0 / rate
    if not isinstance(video, Frames):
        whole = (frames.total / rate) + float(sampling.get("start") or 0.0)
        return max(float(frames.seconds[-1]), whole if asked is None else min(whole, float(asked)))
    return float(frames.seconds[-1]) + gap


def _segments(
    frames: Frames, bounds: IntArray, gains: list[float | None], tokens: VisualTokens, start: float, stop: float
) -> tuple[Segment, ...]:
    starts = [start, *frames.seconds[bounds[1:-1]].tolist()]
    held = np.searchsorted(bounds, tokens.keyframes.positions, "right") - 1
    return tuple(
        Segment(
            start=begin,
            end=end,
            first=int(first),
            last=int(after) - 1,
            gain=gain,
            keyframes=tuple(np.flatnonzero(held == number).tolist()),
        )
        for number, (begin, end, first, after, gain) in enumerate(
            zip(starts, [*starts[1:], stop], bounds[:-1], bounds[1:], gains, strict=True)
        )
    )


OnSegment = Callable[[int, int], None]
"""Called with the number of a segment, from 0, and with how many there are, before it is described."""
