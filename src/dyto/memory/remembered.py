"""The memory of a video, and its answers' tokens: a strategy runs on the frames that represent the segments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dyto.errors import BadMemoryError, ConfigError
from dyto.features import FrameFeatures, Stands, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.memory.noise import Counts, level_of
from dyto.memory.online import Segments
from dyto.memory.origin import Origin
from dyto.memory.packing import Picture, picture_of
from dyto.memory.recalling import KeptPatches, MemoryEncoder
from dyto.memory.splits import split_order, time_order
from dyto.models.base import VideoModel
from dyto.models.deepstack import with_deep
from dyto.strategies import scenes
from dyto.strategies.base import Strategy
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.runs import Directions
from dyto.subtitles.finding import Subtitles
from dyto.timing import Stopwatch
from dyto.tokens import NOT_ITS_WORLD
from dyto.video import Frames
from dyto.video.sampling import resized

if TYPE_CHECKING:
    from os import PathLike


@dataclass(frozen=True)
class About:
    """What a memory says of its video beside the segments.

    Attributes:
        grid: Rows and columns of the patches of a frame.
        summary_source: What frames were compared by: "CLS" or "mean patch".
        size: (height, width) of the pictures that the model saw.
        source_size: (height, width) of the video.
        kind: What the patches are kept as, one of `dyto.memory.packing.KINDS`.
        source: Name of the video, or "".
        meaningful: Whether the model knows anything of what it shows.
        warnings: What a reader of an answer should know.
    """

    grid: tuple[int, int]
    summary_source: str
    size: tuple[int, int]
    source_size: tuple[int, int]
    kind: str
    source: str = ""
    meaningful: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Memory:
    """A video as a model remembers it: segments in the order of time, and what is kept of one frame of each.

    `VideoQA.remember` makes one, `VideoQA.ask` takes it, or its file, in the place of a video.

    Attributes:
        origin: The model that made it.
        about: Facts about the video.
        segments: The K segments.
        tensors: By name, K rows each: "summary" (K, D); "patches" (K, R, D) and, where they are not what they were,
            "owners" (K, N), "scales" (K, R), "deep" (K, levels, R, D), "deep_scales" (K, levels, R).
        thumbnails: JPEG of each frame that represents a segment.
        noise: Histogram of how far neighbouring frames are apart, see `dyto.memory.noise`.
        said: What is said in the video, for the prompts that want it; None for nothing.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> scenes = np.random.default_rng(0).integers(0, 255, (3, 48, 48, 3), dtype=np.uint8)
        >>> memory = qa.remember(np.repeat(scenes, 9, axis=0), segments=8)
        >>> memory
        Memory(8 segments of 27 frames, 0.0 s to 26.0 s, tiny)
        >>> qa.ask(memory, "what is shown ?").num_visual_tokens <= 230, len(memory.prefix(3))
        (True, 3)
    """

    origin: Origin
    about: About
    segments: Segments
    tensors: Mapping[str, Tensor]
    thumbnails: tuple[bytes, ...]
    noise: Counts
    said: Subtitles | None = None

    def __len__(self) -> int:
        return len(self.thumbnails)

    def __repr__(self) -> str:
        at = self.segments
        return (
            f"Memory({len(self)} segments of {self.num_frames} frames, {at.start[0]:.1f} s to {at.end[-1]:.1f} s, "
            f"{self.origin.model})"
        )

    @property
    def num_frames(self) -> int:
        """Number of frames that were encoded."""
        return int(self.segments.sizes.sum())

    @property
    def complete(self) -> bool:
        """Whether it holds every frame."""
        return self.num_frames == len(self)

    @property
    def vectors(self) -> Tensor:
        """(K, D) summaries of the frames that represent the segments, in the order of time."""
        return self.tensors["summary"]

    @property
    def seconds(self) -> FloatArray:
        """(K,) times of these frames."""
        return self.segments.seconds

    def picture(self, segment: int) -> Picture:
        """Return the picture of a segment, (H, W, 3) uint8, as the model saw it but for JPEG.

        Raises:
            BadMemoryError: It is damaged.
        """
        try:
            return resized(picture_of(self.thumbnails[segment]), *self.about.size)
        except OSError as err:
            raise BadMemoryError(
                f"{self.name} holds a damaged picture of {self.seconds[segment]:.1f} s ({err}), expected a whole "
                "memory: copy it again, or remember the video again"
            ) from err

    @cached_property
    def directions(self) -> Directions:
        """(K, D) directions of the summaries."""
        return scenes.directions(self.vectors)

    def take(self, rows: IntArray, segments: Segments | None = None) -> Memory:
        """Return a memory of some of the frames.

        Args:
            rows: (k,) ascending in time.
            segments: What they then stand for; None for what they stand for now.
        """
        at = torch.from_numpy(np.asarray(rows, np.int64))
        return replace(
            self,
            segments=self.segments.take(rows) if segments is None else segments,
            tensors={name: tensor[at] for name, tensor in self.tensors.items()},
            thumbnails=tuple(self.thumbnails[row] for row in rows),
        )

    def prefix(self, segments: int) -> Memory:
        """Return the memory of at most so many segments, as if its file were read no further."""
        if segments < 1:
            raise ConfigError(f"{segments} segments asked for, expected at least 1")
        if segments >= len(self):
            return self
        splits = split_order(self.segments, self.directions)
        order, coarse = time_order(splits, segments)
        place = {int(frame): row for row, frame in enumerate(self.segments.frames)}
        return self.take(np.array([place[int(splits.rows.frames[row])] for row in order], np.int64), coarse)

    def between(self, since: float | None = None, until: float | None = None) -> Memory:
        """Return the memory of the segments that lie at least partly in a stretch of time.

        Args:
            since: Its beginning in seconds; None for that of the video.
            until: The second before which it ends; None for the end of the video.

        Raises:
            ConfigError: It is empty, or nothing is remembered of it.
        """
        low, high = -math.inf if since is None else since, math.inf if until is None else until
        rows = np.flatnonzero((self.segments.end >= low) & (self.segments.start < high))
        if not len(rows):
            raise ConfigError(
                f"nothing is remembered from {low:g} s to {high:g} s, expected a time between "
                f"{self.segments.start[0]:g} s and {self.segments.end[-1]:g} s"
            )
        return self if len(rows) == len(self) else self.take(rows)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the memory to a file, in the order in which its hierarchy splits.

        Args:
            path: The file. It is replaced when the new one is complete.

        Raises:
            DatasetError: The disk is full, or the folder is not writable.
        """
        from dyto.memory.store import write_memory

        return write_memory(self, Path(path))

    @classmethod
    def open(cls, path: str | PathLike[str], segments: int | None = None) -> Memory:
        """Read a memory from a file, or from the log of one that still grows.

        Args:
            path: The file.
            segments: Read no more than this; None for all.

        Raises:
            DatasetError: It is no memory, or damaged.
        """
        from dyto.memory.store import read_memory

        return read_memory(Path(path), segments)

    def features(self, model: VideoModel) -> FrameFeatures:
        """Return the features of the frames that represent the segments.

        Args:
            model: The model that made the memory; it encodes pictures again if more patches are asked for than are
                kept.

        Raises:
            ModelError: Another model made it.
        """
        self.origin.check(model, self.name)
        kept = KeptPatches(self.tensors, self.picture, model)
        summary = self.vectors.to(model.device)
        stands = None if self.complete else Stands(self.segments.sizes, self.segments.means, level_of(self.noise))
        wide = self.tensors["patches"].shape[2]
        return FrameFeatures(
            summary=summary,
            grid=self.about.grid,
            load_patches=kept.patches,
            indices=self.segments.frames,
            seconds=self.segments.seconds,
            summary_source=self.about.summary_source,
            patch_dim=None if wide == summary.shape[1] else wide,
            load_deep=kept.deep if "deep" in self.tensors else None,
            stands=stands,
            load_merged=kept.merged if "owners" in self.tensors else None,
        )

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the memory of {Path(self.about.source).name or 'a stream'}"

    @cached_property
    def frames(self) -> Frames:
        """The frames that represent the segments, but for JPEG."""
        pictures = np.stack([self.picture(row) for row in range(len(self))])
        at = self.segments
        return Frames(
            pictures, at.frames, at.seconds, self.about.source_size, self.num_frames, self.about.source or None,
            preview=pictures,
        )  # fmt: skip

    def tokens(
        self,
        model: VideoModel,
        strategy: Strategy | BoundStrategy,
        question: str | None = None,
        *,
        watch: Stopwatch | None = None,
    ) -> VisualTokens:
        """Run a strategy on the memory.

        Args:
            model: The model that made it.
            strategy: The strategy. Where the memory holds fewer frames than the video it must know of segments, as
                `plus` and `plus-query` do.
            question: For a strategy that looks at it.
            watch: The stopwatch to which the seconds are added.

        Raises:
            ConfigError: The strategy needs what a memory does not hold.
            ModelError: Another model made the memory.
        """
        bound = strategy if isinstance(strategy, BoundStrategy) else BoundStrategy(strategy)
        if not self.complete and not getattr(bound.inner, "takes_segments", False):
            raise ConfigError(
                f"strategy {bound.name!r} looks at all frames, but {self.name} holds {len(self)} of {self.num_frames}: "
                "use plus or plus-query, or remember as many segments as there are frames"
            )
        watch = watch or Stopwatch(model.device)
        with watch.stage("strategy"):
            features = self.features(model)
            at, blank = self.segments, np.broadcast_to(np.uint8(0), (len(self), 1, 1, 3))
            frames = Frames(blank, at.frames, at.seconds, self.about.source_size, self.num_frames)
            encode = MemoryEncoder(frames, features, model, bound.name)
            tokens = with_deep(bound(frames, encode, bound.question(question)), _deep_of(features))
        seconds = {**watch.seconds, **tokens.stages}
        seconds["merge"] = max(0.0, seconds.pop("strategy") - seconds.get("select", 0.0))
        unknown = () if self.about.meaningful else (NOT_ITS_WORLD,)
        warnings = (*unknown, *tokens.warnings, *self.about.warnings)
        stages = {"decode": 0.0, "encode": 0.0, **seconds}
        return replace(tokens, stages=stages, warnings=warnings, subtitles=self.said)


def _deep_of(features: FrameFeatures) -> Sequence[FrameFeatures]:
    return () if features.load_deep is None else (features,)
