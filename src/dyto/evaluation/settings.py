"""The settings of a run: one simple object that can be passed to another process."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import Any

from dyto.benchmarks import Benchmark, get
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.cache import TokenCache, check_cache_folder
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.loading import Loader
from dyto.evaluation.manifest import loaded_config, machine_manifest, model_files
from dyto.evaluation.outcome import ErrorLimit
from dyto.evaluation.prepare import GT_QA_DIR
from dyto.evaluation.questions import Questions, read_questions
from dyto.evaluation.tasks import ANSWER, Task
from dyto.evaluation.videos import VideoIndex, subtitle_folder, video_folders
from dyto.models.loading.chosen import chosen_model
from dyto.models.loading.options import Loading
from dyto.pipeline import VideoQA
from dyto.prompts import Prompt, get_prompt, prompt_for
from dyto.savings import Savings
from dyto.strategies import DEFAULT, Strategy
from dyto.strategies.targets import describe_strategy, make_strategy, short_name
from dyto.video import READER
from dyto.video.paths import VIDEO_SUFFIXES

_GIB = 1 << 30


SAMPLING = ("num_frames", "fps", "start", "end", "size", "max_side", "limits")
"""Options of `dyto.sample_frames` that change its frames and may be left out."""

FORMER = {"attention": "attn_implementation"} | {field.name: field.name for field in fields(Loading)}
"""Old arguments of `Settings`, and their names in `loading`."""


def _with_former_arguments(kind: type[Settings]) -> type[Settings]:
    made: Callable[..., None] = kind.__init__

    @wraps(made)
    def init(self: Settings, *args: Any, **given: Any) -> None:
        former = {FORMER[name]: given.pop(name) for name in list(given) if name in FORMER}
        if former:
            warnings.warn(
                "these arguments of Settings moved: use loading=Loading(...)", DeprecationWarning, stacklevel=2
            )
            given["loading"] = Loading(**former)
        made(self, *args, **given)

    kind.__init__ = init  # type: ignore[method-assign]
    return kind


@_with_former_arguments
@dataclass(frozen=True)
class Settings:
    """One benchmark under one configuration.

    Args:
        benchmark: Name of the benchmark, as in `dyto.benchmarks.get`: "nextqa", or "mine.py:MINE" for one of your own.
        qa_file: The question file, public or prepared; None for the prepared file under `gt_dir`.
        gt_dir: Folder of prepared question files.
        data_dir: Folder of all videos.
        video_dir: Folder of this benchmark's videos, if it is elsewhere.
        loading: The model and how to load it. The device applies to all workers (None for all available devices);
            with a device map there is one worker.
        strategy: The strategy, as in `dyto.strategies.targets.make_strategy`.
        preset: Preset of the strategy.
        options: Fields of the strategy that differ from its defaults.
        prompt: Name or file of the prompt template; None for the model's own.
        sampling: Options of `dyto.sample_frames`.
        max_new_tokens: Largest number of tokens per answer.
        scoring: Multiple choice by "letter" or "likelihood".
        limit: Use only this many questions, the first unless there is a seed.
        seed: Of a sample of that many, spread over the videos.
        shard: (i, n): every n-th video, from the i-th on.
        workers: Processes on this machine, or workers of a cluster; None for one for every GPU.
        ray: The address of a Ray cluster, "auto" or "local"; None for this machine alone.
        gpus_per_worker: GPUs of the cluster for each worker; None for one if there are any.
        cache_dir: Where encoded videos are kept; None to keep none.
        cache_gib: Most disk space for them.
        cache_mixed: Whether the folder may hold anything else.
        name: Of the run's folder; None to make one from the settings.
        folders: Output folders, as `RunFolders.under` takes them.
        encoding: Of the question file.
        error_limit: How many questions may stay unanswered.
        savings: What is spared on the way; those that can change an answer are a part of the configuration.
        spoken: "auto" to put what is said into the prompts, see `dyto.find_subtitles`; None for benchmarks as they are.
        task: What is done with each clip.
    """

    benchmark: str
    qa_file: Path | None = None
    gt_dir: Path = GT_QA_DIR
    data_dir: Path = Path("playground/data")
    video_dir: Path | None = None
    loading: Loading = field(default_factory=Loading)
    strategy: str | None = None
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=lambda: {"num_frames": 100})
    max_new_tokens: int = 128
    scoring: str = "letter"
    limit: int | None = None
    seed: int | None = None
    shard: tuple[int, int] = (1, 1)
    workers: int | None = None
    ray: str | None = None
    gpus_per_worker: float | None = None
    cache_dir: Path | None = None
    cache_gib: float = 50.0
    cache_mixed: bool = False
    name: str | None = None
    folders: Mapping[str, Any] = field(default_factory=lambda: {"out": "outputs"})
    encoding: str | None = None
    error_limit: ErrorLimit = field(default_factory=ErrorLimit)
    savings: Savings = field(default_factory=Savings)
    spoken: str | None = None
    task: Task = ANSWER

    def __post_init__(self) -> None:
        object.__setattr__(self, "savings", self.savings.sampling(self.sampling.get("fps")))
        index, count = self.shard
        if not 1 <= index <= count:
            raise ConfigError(f"shard {index}/{count}, expected i/n with i from 1 to n, such as 1/4")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit {self.limit}, expected at least 1: leave it out to ask everything")

    @property
    def spec(self) -> Benchmark:
        """The benchmark."""
        return get(self.benchmark)

    def made_strategy(self) -> Strategy:
        """Build the strategy from its name and options."""
        return make_strategy(self.strategy, preset=self.preset, **self.options)

    def run_folders(self) -> RunFolders:
        """Return the folders of the run."""
        return RunFolders.under(benchmark=self.spec.name, name=self.name or self._name(), **self.folders)

    def _name(self) -> str:
        model = self._model.rstrip("/").rpartition("/")[2].replace(":", "-")
        frames = f"{self.sampling['num_frames']}frms" if self.sampling.get("num_frames") else "fps"
        strategy = self.preset or short_name(self.strategy or DEFAULT)
        options = [f"{value}" for value in self.options.values()]
        scoring = [] if self.scoring == "letter" else [self.scoring]
        said = ["subtitles"] if self.spoken else []
        return "-".join([model, strategy, *options, frames, *scoring, *said])

    @property
    def _model(self) -> str:
        chosen = None if self.loading.model else chosen_model()
        return self.loading.model or (chosen.model if chosen else "tiny")

    @property
    def _sampling(self) -> dict[str, Any]:
        given = {key: value for key, value in self.sampling.items() if value is not None}
        return {"sampling": "uniform", "allow_partial": False, **given}

    def config(self, questions: Questions) -> dict[str, Any]:
        """Return everything that determines the rows, as far as it is known before the model is loaded."""
        return self.common_config(questions) | {"strategy": describe_strategy(self.made_strategy())}

    def common_config(self, questions: Questions) -> dict[str, Any]:
        """Return the configuration without the strategy."""
        return {
            "benchmark": self.spec.name,
            "questions": questions.digest,
            "model": self._model,
            "revision": self.loading.revision,
            **self.loading.choosing,
            "scoring": self.scoring,
            "max_new_tokens": self.max_new_tokens,
            # None where nothing is given: what is left out is not compared with what an earlier run noted.
            **dict.fromkeys(SAMPLING),
            **self._sampling,
            "savings": self.savings.changing or None,
            "subtitles": self.spoken,
            "task": None if self.task == ANSWER else self.task.name,
            "sample_seed": self.seed,
        }

    def questions(self) -> Questions:
        """Read the question file."""
        return read_questions(self.spec, self.qa_file or self.gt_dir / self.spec.prepared[0], encoding=self.encoding)

    def videos(self) -> list[Path]:
        """Return the folders of videos; raise a `DatasetError` if they, or required subtitles, are missing."""
        if self.spoken and (self.spec.subtitles or self.scoring == "likelihood"):
            own = "has subtitles of its own" if self.spec.subtitles else "scored by likelihood, reads none"
            raise ConfigError(f"found subtitles {self.spoken!r}, but {self.spec.title} {own}: leave out --subtitles")
        subtitle_folder(self.spec, data_dir=self.data_dir)
        return video_folders(self.spec, data_dir=self.data_dir, video_dir=self.video_dir)

    def check_cache(self) -> None:
        """Raise a `ConfigError` if the cache folder holds other files."""
        if self.cache_dir is not None and not self.cache_mixed:
            check_cache_folder(self.cache_dir)

    def where_looked(self) -> str:
        """Describe the searched folders and names, for a run that found no video."""
        index = VideoIndex(self.videos())
        there = [folder for folder in index.folders if os.path.isdir(folder)]
        names = dict.fromkeys(repr(s.video) for s in self.questions().chosen(self.limit, self.seed) if not s.broken)
        return (
            f"no video of {self.spec.title} was found. Looked in {_first(there)} and subfolders "
            f"({index.files} files and folders) for {_first(list(names))}, in upper or lower case and with the "
            f"extensions {' '.join(VIDEO_SUFFIXES)}: name the folder of the videos with --video-dir"
        )

    def has_videos(self) -> bool:
        """Return whether there is a folder of videos."""
        try:
            return bool(self.videos())
        except DatasetError:
            return False

    def load(self, device: str | None) -> VideoQA:
        """Load model and strategy onto a device; None for that of the settings."""
        takes_choices = self.spec.kind == "choice"
        template: dict[str, Any] = {"choice_prompt" if takes_choices else "prompt": self.prompt}
        return VideoQA.from_pretrained(
            self.loading.model,
            self.made_strategy(),
            savings=self.savings,
            **self.loading.on(device or self.loading.device).options,
            **template,
        )

    def template(self, qa: VideoQA) -> Prompt:
        """Return the prompt template for a model."""
        return get_prompt(self.prompt) if self.prompt else prompt_for(qa.model.chat, self.spec.kind == "choice")

    def same_model_files(self, folders: RunFolders) -> bool:
        """Return whether the model's files are the same as in an earlier run into these folders."""
        return model_files(self._model) in folders.noted("model_files")

    def loader(self, qa: VideoQA, cache: TokenCache | None = None) -> Loader:
        """Return the loader that finds and decodes videos for a model."""
        given = self.spec, self.videos(), qa.model.image_size, self._sampling, cache, self.savings
        return Loader(*given, spoken=self.spoken)

    def subtitles(self) -> Path | None:
        """Return the folder of subtitles, for a benchmark with subtitles."""
        return subtitle_folder(self.spec, data_dir=self.data_dir)

    def finder(self) -> Loader:
        """Return the object that finds videos, without a model."""
        return Loader(self.spec, self.videos(), (1, 1), {})

    def about(self, qa: VideoQA) -> dict[str, dict[str, Any]]:
        """Return what a worker knows once its model is loaded: parts of the configuration and the manifest."""
        return {
            "config": loaded_config(qa, self.template(qa).text),
            "manifest": machine_manifest(qa, self._model, self.max_new_tokens),
        }

    def token_cache(self, qa: VideoQA, loaded: Mapping[str, Any]) -> TokenCache | None:
        """Return the cache of encoded videos, if there is one.

        Args:
            qa: The model.
            loaded: What `about` says of the configuration.
        """
        if self.cache_dir is None:
            return None
        if not qa.model.can_cache:
            raise ConfigError(f"--cache was given, but videos for model {qa.model.name} are not kept: leave it out")
        strategy = describe_strategy(self.made_strategy())
        what = {"model": self._model, "weights": loaded["weights"], "dtype": loaded["dtype"], "strategy": strategy}
        what |= self.loading.choosing
        if self.savings.changing:
            what["savings"] = self.savings.changing
        return TokenCache(
            self.cache_dir,
            max_bytes=int(self.cache_gib * _GIB),
            identity=what | {"reader": READER},
            width=qa.model.model.get_input_embeddings().weight.shape[1],
            mixed=self.cache_mixed,
        )


def _first(names: Sequence[str], most: int = 3) -> str:
    """Return the first of many names, and the number of others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
