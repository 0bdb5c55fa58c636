"""Loading the video of a sample: as frames, or as tokens from an earlier run."""

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
from dyto.subtitles.finding import Subtitles, find_subtitles
from dyto.video import Frames, FrameSize, sample_frames

_CUT_SLACK_SECONDS = 1.0
_SHORTAGES = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EMFILE", "ENFILE", "EAGAIN")}
"""Error numbers that concern the machine, not the video."""


def short_of_room(err: OSError) -> DatasetError:
    """Return the error for a machine without the resources to read a video."""
    return DatasetError(
        f"no video can be read here ({err.strerror or err}), expected a machine with room for files, processes and "
        "memory. Everything recorded before is safe: make room (see ulimit -a) and run the same command again"
    )


@dataclass(frozen=True)
class Unavailable:
    """The reason why a video cannot be used."""

    status: str
    reason: str


@dataclass(frozen=True)
class Loaded:
    """A loaded video, ready for questions.

    Args:
        content: Sampled frames, or their tokens from an earlier run.
        cache_key: Key of the tokens in the cache; None without a cache.
        decode_seconds: Seconds of decoding.
        subtitles: What is said in it, if that was asked for.
    """

    content: Frames | VisualTokens
    cache_key: str | None = None
    decode_seconds: float = 0.0
    subtitles: Subtitles | None = None


@dataclass(frozen=True)
class Loader:
    """A loader that finds and decodes the videos of samples.

    Args:
        benchmark: The benchmark.
        folders: Folders that may hold the videos, see `dyto.evaluation.videos.video_folders`.
        size: Height and width for the model, or a function from the video's size to these.
        sampling: Options of `dyto.sample_frames`.
        cache: Cache of tokens from earlier runs, if any.
        savings: Savings for decoding. All frames are read before asking; `overlap` reads the next video ahead.
        spoken: Which subtitles are looked for, as for `dyto.find_subtitles`; None for none.
    """

    benchmark: Benchmark
    folders: list[Path]
    size: FrameSize
    sampling: Mapping[str, Any]
    cache: TokenCache | None = None
    savings: Savings = field(default_factory=Savings.none)
    spoken: str | None = None

    @cached_property
    def index(self) -> VideoIndex:
        """The index of the folders, made once."""
        return VideoIndex(self.folders)

    def find(self, sample: Sample) -> Clip | None:
        """Find the sample's video; None if it is missing, its name is unsafe, or the sample is broken."""
        try:
            return None if sample.broken else self.index.find(self.benchmark, sample)
        except DatasetError:
            return None

    def load(self, sample: Sample) -> Loaded | Unavailable:
        """Decode the sample's video; an error becomes the reason in its row.

        Raises:
            ConfigError: This video, and optionally every video, cannot meet a setting.
            DatasetError: The machine has no resources to read any video; this one is not at fault.
        """
        try:
            clip = self.index.find(self.benchmark, sample)
        except DatasetError as err:
            return Unavailable(status_of(err), reason_of(err))
        if clip is None:
            return Unavailable("missing_video", self.where_missing(sample))
        try:
            kept = self.cache if clip.path.exists() else None  # what is fetched from elsewhere is not kept
            key = kept.key(clip.path, clip.start, clip.end, self.sampling) if kept else None
            tokens = self.cache.load(key) if self.cache and key else None
            said = find_subtitles(clip.path, self.spoken, limits=self.sampling.get("limits"), guarded=True)
            if tokens is not None:
                return Loaded(tokens, key, subtitles=said)
            start = time.perf_counter()
            frames = self.decode(clip)
            return Loaded(frames, key, time.perf_counter() - start, said)
        except ConfigError:
            raise  # the settings are wrong, not the video
        except OSError as err:
            if err.errno in _SHORTAGES:
                raise short_of_room(err) from err
            return Unavailable("undecodable", reason_of(err).replace(str(clip.path), sample.video))
        except (DytoError, MemoryError) as err:
            return Unavailable(status_of(err), reason_of(err).replace(str(clip.path), sample.video))
        except Exception as err:  # noqa: BLE001 - one odd file must not stop a run of days
            return Unavailable("undecodable", reason_of(err).replace(str(clip.path), sample.video))

    def where_missing(self, sample: Sample) -> str:
        """Return the reason in the row of a sample whose video is missing."""
        return f"{sample.video} is in none of the video folders: put it there, or name its folder with --video-dir"

    def decode(self, clip: Clip) -> Frames:
        """Decode a clip's frames, read where a poison file can be stopped.

        If the clip begins after the end of a file that is no longer than the clip, the file is the clip itself.
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
