"""From a video to a memory: the frames that a question would sample, encoded by the same road."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.memory.growing import GrowingMemory, is_known, memory_of, told
from dyto.memory.header import is_memory
from dyto.memory.origin import Origin
from dyto.memory.remembered import Memory
from dyto.models.base import VideoModel
from dyto.models.generation.keeping import KeptVideos
from dyto.savings import Savings
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import Encoder
from dyto.strategies.videos import content_of, tokens_key
from dyto.subtitles.finding import SubtitleChoice, find_subtitles
from dyto.timing import Stopwatch
from dyto.video import Frames, VideoSource, sample_frames
from dyto.video.arrival import FramesChanged

if TYPE_CHECKING:
    from dyto.memory.watching import Watch
    from dyto.strategies import Strategy

SEGMENTS = 128
"""Segments of the memory of a file: more than the 100 frames that are sampled of it where nothing else is said."""
MAX_MB = 64.0


class Remembers:
    """A model with a strategy, and what it does with memories: the base of `VideoQA`.

    Attributes:
        model: The model.
        savings: The savings in use.
        kept: Tokens and prefixes for further questions.
        on_stage: Called with each stage's name when it begins.
        on_frames: Called with the frames of a file after reading.
    """

    model: VideoModel
    savings: Savings
    kept: KeptVideos
    on_stage: Callable[[str], None] | None
    on_frames: Callable[[Frames], None] | None
    _strategy: BoundStrategy

    @property
    def strategy(self) -> Strategy:
        """The strategy. You can replace it at any time."""
        return self._strategy.inner

    @strategy.setter
    def strategy(self, strategy: Strategy) -> None:
        self._strategy = self.model.accept(BoundStrategy(strategy))

    @property
    def uses_question(self) -> bool:
        """Whether the strategy reads the question, so that each question needs its own encoding."""
        return self._strategy.uses_question

    def question_for_strategy(self, question: str | None) -> str | None:
        """Return the question to pass to `encode` if the strategy reads it, else None."""
        return self._strategy.question(question)

    def remember(
        self,
        video: VideoSource | Frames,
        *,
        segments: int = SEGMENTS,
        numbers: str = "same",
        max_mb: float = MAX_MB,
        subtitles: SubtitleChoice = None,
        **sampling: Any,
    ) -> Memory:
        """Encode a video for any number of questions at any budget.

        A memory with a segment for every sampled frame gives the answers that the video gives; one of fewer segments
        holds the frame that is nearest to the mean of each.

        Args:
            video: A file, a folder of pictures, an array (T, H, W, 3), a list of pictures, or `Frames`.
            segments: Largest number of segments.
            numbers: What patches are kept as: "same" as the model's, "float16" or "int8".
            max_mb: Size limit of its file in MB. Patches are merged before they are kept if they would not fit; where
                a question then asks for more, the frame's picture is encoded again.
            subtitles: What is said in the video, as for `dyto.find_subtitles`; asking with subtitles "auto" reads it.
            **sampling: Options of `dyto.sample_frames`, such as `num_frames` and `fps`.

        Returns:
            The memory; `Memory.save` writes it to a file.

        Raises:
            VideoError: The video cannot be read.
            ConfigError: An option is impossible.
            ModelError: The model hands out no features, as one behind an endpoint.
        """
        used = self.savings.sampling(sampling.get("fps")).on(self.model.device.type)
        said = find_subtitles(video, subtitles, limits=sampling.get("limits"))
        try:
            found = self._remember(video, segments, numbers, max_mb, used, sampling)
        except FramesChanged:
            found = self._remember(video, segments, numbers, max_mb, replace(used, overlap=False), sampling)
        return replace(found, said=said)

    def recall(
        self, video: Any, question: str | None, sampling: Mapping[str, Any], hears: bool = False
    ) -> VisualTokens:
        """Return the tokens of a memory.

        Args:
            video: A memory, or its file.
            question: The question, for a strategy that reads it.
            sampling: Options of `dyto.sample_frames`, of which a memory takes `start` and `end`.
            hears: Whether the tokens take along what is said.

        Raises:
            DatasetError: The file is damaged.
            ModelError: Another model made it.
            ConfigError: The strategy or an option needs more than a memory holds.
        """
        key = None
        if not isinstance(video, Memory) and self.on_frames is None:
            key = tokens_key((content_of(video), hears), self._strategy, question, sampling, self.savings)
            if key is not None and (known := self.kept.tokens(key)) is not None:
                return known
        watch = Stopwatch(self.model.device, self.on_stage)
        with watch.stage("decode"):
            memory = opened(video, sampling)
        tokens = memory.tokens(self.model, self._strategy, question, watch=watch)
        if not hears:
            tokens = replace(tokens, subtitles=None)
        if self.on_frames is not None:
            self.on_frames(memory.frames)
        if key is not None:
            self.kept.keep_tokens(key, tokens)
        return tokens

    def _remember(
        self,
        video: VideoSource | Frames,
        segments: int,
        numbers: str,
        max_mb: float,
        savings: Savings,
        sampling: Mapping[str, Any],
    ) -> Memory:
        model, watch = self.model, Stopwatch(self.model.device, self.on_stage)
        origin, growing = Origin.of(model), GrowingMemory(segments, numbers, max_mb)
        with watch.stage("decode"):
            whole = isinstance(video, Frames) and not sampling
            frames = video if whole else sample_frames(video, size=model.image_size, savings=savings, **sampling)
        assert isinstance(frames, Frames)
        with closing(frames):
            growing.add(Encoder(model, watch, savings)(frames), frames.data, frames.source_size)
            known = is_known(frames.data, model.knows)
        assert growing.about is not None
        about = told(growing.about, frames.source or "", known, frames.warnings)
        return memory_of(growing.snapshot(), origin, about)

    def watch(
        self,
        *,
        segments: int = 64,
        fps: float | None = 1.0,
        save: str | PathLike[str] | None = None,
        numbers: str = "same",
        max_mb: float = MAX_MB,
        seal_seconds: float = 60.0,
        resume: bool = False,
    ) -> Watch:
        """Watch a video while it is filmed; the frames come by `Watch.feed`.

        Args:
            segments: Largest number of segments.
            fps: Frames a second that are looked at, by the times of the frames; None for all.
            save: A new file in which the memory grows, as a log that can be asked even if the process ends at once.
            numbers: As in `remember`.
            max_mb: As in `remember`.
            seal_seconds: Seconds of the video after which what is new is sealed in that file.
            resume: Whether to go on with what is in that file, if it is there: a memory, or the log of a watch that
                ended at once. The times of frames must then follow its own.

        Returns:
            A watch that has seen nothing, or what is in the file.

        Raises:
            ConfigError: A number is impossible.
            DatasetError: The file is there already, or cannot be written.
            ModelError: The model hands out no features, as one behind an endpoint, or another made the memory.
        """
        from dyto.memory.watching import Watch

        if resume and save is None:
            raise ConfigError("resume is given without save, expected the file to go on with: name it")
        before = Memory.open(save) if resume and save is not None and Path(save).exists() else None
        if before is None:
            growing = GrowingMemory(segments, numbers, max_mb)
        else:
            before.origin.check(self.model, before.name)
            growing = GrowingMemory.of(before, segments, numbers, max_mb)
        return Watch(self, growing, fps=fps, save=save, seal_seconds=seal_seconds, before=before)


def is_remembered(video: object) -> bool:
    """Return whether a video is a memory, or the file of one."""
    return isinstance(video, Memory) or (isinstance(video, (str, Path)) and is_memory(video))


def opened(video: Memory | str | Path, sampling: Mapping[str, Any]) -> Memory:
    """Return the part of a memory that the options of `dyto.sample_frames` ask for.

    Args:
        video: The memory, or its file.
        sampling: The options.

    Raises:
        BadMemoryError: The file is damaged.
        ConfigError: They ask for anything but a part.
    """
    usual = {"start": ..., "end": ..., "limits": ..., "preview": ..., "guarded": ..., "sampling": "uniform"}
    usual |= {"allow_partial": False}
    others = [name for name, value in sampling.items() if usual.get(name) not in (..., value) and value is not None]
    if others:
        raise ConfigError(
            f"{', '.join(sorted(others))} given with a memory, which holds frames that were sampled before: leave it "
            "out, or ask about the video itself"
        )
    memory = video if isinstance(video, Memory) else Memory.open(video)
    return memory.between(sampling.get("start"), sampling.get("end"))
