"""Settings of a batch: those of an evaluation, with paths in place of a benchmark's folders."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dyto.batch.questions import BATCH, Table, ask_each, read_table
from dyto.batch.remote import check_protocol, fetched, protocol_of
from dyto.benchmarks import Benchmark, Sample
from dyto.evaluation.cache import TokenCache
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.loading import Loader
from dyto.evaluation.questions import Questions
from dyto.evaluation.settings import Settings
from dyto.evaluation.videos import Clip
from dyto.pipeline import VideoQA
from dyto.prompts import Prompt, get_prompt, prompt_for
from dyto.video import Frames

RECORD = ".dyto"
"""Suffix of the folder next to the output, in which rows are recorded as they arrive."""


@dataclass(frozen=True)
class BatchSettings(Settings):
    """One table of questions under one configuration.

    Args:
        benchmark: Not used.
        out: The table of answers, a `.jsonl` file.
        videos_like: A pattern of files, instead of a table.
        asked: The questions about each of them.
        prefix: Prefix of the names of our columns.
        remote: Protocols of addresses that may be downloaded, such as "s3".
    """

    benchmark: str = "batch"
    out: Path = Path("answers.jsonl")
    videos_like: str | None = None
    asked: tuple[str, ...] = field(default=())
    prefix: str = ""
    remote: tuple[str, ...] = ()

    @property
    def spec(self) -> Benchmark:
        """See `Settings.spec`."""
        return BATCH

    def table(self) -> Table:
        """Read the questions."""
        if self.videos_like is not None:
            return ask_each(self.videos_like, self.asked)
        assert self.qa_file is not None
        return read_table(self.qa_file, encoding=self.encoding)

    def questions(self) -> Questions:
        """See `Settings.questions`."""
        return self.table().questions

    def videos(self) -> list[Path]:
        """Return the folder in which relative paths start."""
        return [self.video_dir or Path()]

    def subtitles(self) -> None:
        """See `Settings.subtitles`; a batch has none."""

    def run_folders(self) -> RunFolders:
        """See `Settings.run_folders`: all are next to the output."""
        folder = self.out.with_name(self.out.name + RECORD)
        return RunFolders(folder, folder, folder, folder / "logs")

    def template(self, qa: VideoQA) -> Prompt:
        """See `Settings.template`: the one for open questions; questions with options have their own."""
        return get_prompt(self.prompt) if self.prompt else prompt_for(qa.model.chat, False)

    def finder(self) -> Loader:
        """See `Settings.finder`."""
        return PathLoader(BATCH, self.videos(), (1, 1), {}, remote=self.remote)

    def loader(self, qa: VideoQA, cache: TokenCache | None = None) -> Loader:
        """See `Settings.loader`."""
        given = BATCH, self.videos(), qa.model.image_size, self._sampling, cache, self.savings
        return PathLoader(*given, remote=self.remote)


@dataclass(frozen=True)
class PathLoader(Loader):
    """Finds videos by the paths or addresses that rows state.

    Args:
        remote: Protocols of addresses that may be downloaded.
    """

    remote: tuple[str, ...] = ()

    @cached_property
    def index(self) -> Any:
        """See `Loader.index`."""
        return _Paths(self.folders[0], self.remote)

    def where_missing(self, sample: Sample) -> str:
        """See `Loader.where_missing`."""
        return f"there is no file {sample.video}" + (f" in {self.folders[0]}" if self.folders[0] != Path() else "")

    def decode(self, clip: Clip) -> Frames:
        """See `Loader.decode`; remote videos are downloaded first."""
        if not isinstance(clip, _RemoteClip):
            return super().decode(clip)
        with fetched(clip.address) as path:
            return super().decode(Clip(path, clip.start, clip.end))


@dataclass(frozen=True)
class _RemoteClip(Clip):
    address: str = ""


@dataclass(frozen=True)
class _Paths:
    base: Path
    remote: tuple[str, ...]

    def find(self, benchmark: Benchmark, sample: Sample) -> Clip | None:
        """Return the file of a sample, if it exists; an address is checked only when it is downloaded."""
        if protocol_of(sample.video):
            check_protocol(sample.video, self.remote)
            return _RemoteClip(Path(sample.video), sample.start, sample.end, sample.video)
        path = self.base / sample.video
        return Clip(path, sample.start, sample.end) if os.path.exists(path) else None
