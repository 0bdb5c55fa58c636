"""From a sample to what the model is asked about: frames, or tokens encoded in an earlier run."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dyto.benchmarks import Benchmark, Sample
from dyto.errors import ConfigError, DatasetError, DytoError, VideoError
from dyto.evaluation.cache import TokenCache
from dyto.evaluation.outcome import reason_of, status_of
from dyto.evaluation.videos import Clip, VideoIndex
from dyto.features import VisualTokens
from dyto.savings import Savings
from dyto.video import Frames, FrameSize, sample_frames

_CUT_SLACK_SECONDS = 1.0
_SHORTAGES = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EMFILE", "ENFILE", "EAGAIN")}
"""Errors that tell of the machine and not of the video that was read."""


def short_of_room(err: OSError) -> DatasetError:
    """The error for a machine that has no room left to read a video."""
    return DatasetError(
        f"no video can be read here ({err.strerror or err}), expected a machine with room for files, processes and "
        "memory. Everything recorded before is safe: make room (see ulimit -a) and give the same command again"
    )


@dataclass(frozen=True)
class Unavailable:
    """Why there is nothing to ask about."""

    status: str
    reason: str


@dataclass(frozen=True)
class Loaded:
    """A video, ready to be asked about.

    Args:
        content: Sampled frames, or their tokens where an earlier run left them.
        cache_key: Under which the tokens are kept; None without a cache.
        decode_seconds: What decoding took.
    """

    content: Frames | VisualTokens
    cache_key: str | None = None
    decode_seconds: float = 0.0


@dataclass(frozen=True)
class Loader:
    """Finds and decodes the video of a sample.

    Args:
        benchmark: The benchmark.
        folders: Where its videos may lie, see `dyto.evaluation.videos.video_folders`.
        size: Height and width that the model wants, or what makes them of the video's.
        sampling: Options of `dyto.sample_frames`.
        cache: Tokens of earlier runs, if they are kept.
        savings: What is spared while decoding; frames are read whole: `overlap` reads the next video ahead.
    """

    benchmark: Benchmark
    folders: list[Path]
    size: FrameSize
    sampling: Mapping[str, Any]
    cache: TokenCache | None = None
    savings: Savings = field(default_factory=Savings.none)

    @cached_property
    def index(self) -> VideoIndex:
        """What lies in the folders, looked up once."""
        return VideoIndex(self.folders)

    def find(self, sample: Sample) -> Clip | None:
        """Where the sample's video lies; None if it is missing, its name is not safe, or the sample is broken."""
        try:
            return None if sample.broken else self.index.find(self.benchmark, sample)
        except DatasetError:
            return None

    def load(self, sample: Sample) -> Loaded | Unavailable:
        """Decode the sample's video; whatever is wrong with it becomes the reason for the record.

        Raises:
            ConfigError: A setting that this video cannot meet, and perhaps none.
            DatasetError: The machine has no room to read any video, which says nothing about this one.
        """
        try:
            clip = self.index.find(self.benchmark, sample)
        except DatasetError as err:
            return Unavailable(status_of(err), reason_of(err))
        if clip is None:
            return Unavailable("missing_video", f"{sample.video} is in none of the video folders")
        try:
            kept = self.cache if clip.path.exists() else None  # what is fetched from elsewhere is not kept
            key = kept.key(clip.path, clip.start, clip.end, self.sampling) if kept else None
            tokens = self.cache.load(key) if self.cache and key else None
            if tokens is not None:
                return Loaded(tokens, key)
            start = time.perf_counter()
            frames = self.decode(clip)
            return Loaded(frames, key, time.perf_counter() - start)
        except ConfigError:
            raise  # the settings are wrong, and not the video
        except OSError as err:
            if err.errno in _SHORTAGES:
                raise short_of_room(err) from err
            return Unavailable("undecodable", reason_of(err).replace(str(clip.path), sample.video))
        except (DytoError, MemoryError) as err:
            return Unavailable(status_of(err), reason_of(err).replace(str(clip.path), sample.video))
        except Exception as err:  # noqa: BLE001 - one odd file must not stop a run of days
            return Unavailable("undecodable", reason_of(err).replace(str(clip.path), sample.video))

    def decode(self, clip: Clip) -> Frames:
        """Decode a clip's frames, read where a poison file can be stopped.

        A file no longer than the clip that begins after its end was cut already.
        """
        savings = replace(self.savings, overlap=False)
        fixed = {"size": self.size, "source_fps": self.benchmark.folder_fps, "savings": savings, "guarded": True}
        options = {**fixed, **self.sampling}
        try:
            return sample_frames(clip.path, start=clip.start, end=clip.end, **options)
        except VideoError:
            if not clip.start or clip.end is None:
                raise
            whole = sample_frames(clip.path, **options)
            if whole.seconds[-1] > clip.end - clip.start + _CUT_SLACK_SECONDS:
                raise
            return whole
