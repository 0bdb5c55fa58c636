"""Options that several commands take, each described once."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyto.cli.groups import Flags
from dyto.models.loading_options import Loading

if TYPE_CHECKING:
    from dyto.evaluation.evaluate import Judging
    from dyto.savings import Savings
    from dyto.strategies import Strategy

Text = str | None

# Not a Path, which would take "" for this folder.
VideoFile = Annotated[str, typer.Argument(help="A video file, or a folder of pictures.", show_default=False)]
ModelName = Annotated[Text, typer.Option(help="A short name, a folder or a hub name. (default: $DYTO_MODEL or tiny)")]
Revision = Annotated[Text, typer.Option(help="Branch, tag or commit of a hub model.")]
Device = Annotated[Text, typer.Option(help="cpu, cuda or cuda:N. (default: cuda if there is one)")]
Dtype = Annotated[Text, typer.Option(help="float32, bfloat16 or float16.")]
Attention = Annotated[
    Text, typer.Option("--attention", "--attn-implementation", help="sdpa, eager or flash_attention_2.")
]
Quantization = Annotated[Text, typer.Option(help="8bit or 4bit weights.")]
RopeScaling = Annotated[
    float | None, typer.Option(help="Let prompt, video and answer take this many times the model's context.")
]
PresetName = Annotated[Text, typer.Option(help="A name of `dyto list presets`.", show_default=False)]
StrategyName = Annotated[
    str,
    typer.Option(
        help="A name of `dyto list strategies`, options as in uniform-pool:pool=3,num_frames=57; or FILE.py:NAME."
    ),
]
Budget = Annotated[int | None, typer.Option(help="Most visual tokens. (default: the published one)")]
NumFrames = Annotated[int | None, typer.Option(help="Frames to sample. (default: 100)")]
Fps = Annotated[
    float | None,
    typer.Option(
        parser=lambda text: rate_of(text),
        metavar="RATE",
        help="Frames to sample per second, instead of a number; auto for one a second, 100 to 1000 of them.",
    ),
]
Start = Annotated[float | None, typer.Option(help="Begin here, seconds.")]
End = Annotated[float | None, typer.Option(help="End before here, seconds.")]
DeviceMap = Annotated[Text, typer.Option(help="auto: spread a large model over devices.")]
AllowPartial = Annotated[bool, typer.Option("--allow-partial", help="Use what can be read of a broken file.")]
PromptName = Annotated[Text, typer.Option(help="A prompt of `dyto list prompts`, or a text file.")]
Without = Annotated[
    list[str] | None,
    typer.Option(help="A saving to turn off, see `dyto list savings`; all for all of them.", metavar="NAME"),
]
Given = Annotated[
    list[str] | None, typer.Option("--saving", help="A saving to set: still, similar=2.", metavar="NAME[=VALUE]")
]
RaiseLimit = Annotated[
    list[str] | None,
    typer.Option(
        help="A limit on what a file may hold: megapixels=64 of a frame, growth=4 beside what the file declares, "
        "streams=32, hours=24.",
        metavar="NAME=NUMBER",
    ),
]
MaxNewTokens = Annotated[int, typer.Option(help="At most this many tokens per answer.")]
QuestionFile = Annotated[
    Path | None, typer.Option(help="Question file, public or prepared. (default: the prepared one)")
]
QuestionFolder = Annotated[Path, typer.Option(help="Folder of prepared question files.")]
VideoFolder = Annotated[Path, typer.Option(help="Folder of all videos.")]
TheseVideos = Annotated[Path | None, typer.Option(help="Folder of these videos, where they lie elsewhere.")]
Limit = Annotated[int | None, typer.Option(help="Only the first N questions.", metavar="N")]
FailOnError = Annotated[
    Text, typer.Option(help="Stop after this many unanswered questions (10), or after this share of them (0.25).")
]
Encoding = Annotated[Text, typer.Option(help="Encoding of the question file.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask again what was not answered before.")]
ResultsAsJson = Annotated[bool, typer.Option("--json", help="The results as JSON on stdout, nothing else.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for everything that is written.")]

LOADING = {
    "model": ModelName,
    "revision": Revision,
    "device": Device,
    "dtype": Dtype,
    "attn_implementation": Attention,
    "device_map": DeviceMap,
    "quantization": Quantization,
    "rope_scaling_factor": RopeScaling,
}
"""The flags of `Loading`. A command that takes some of them names those."""

ModelOptions = Annotated[Loading, Flags(LOADING)]


def rate_of(text: str) -> float | str:
    """A number of frames a second as it is written on a command line, or "auto"."""
    if str(text) == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as err:
        raise typer.BadParameter(f"{text!r} is neither a number nor auto") from err


class FrameChoice(str, enum.Enum):
    """How frames are chosen."""

    uniform = "uniform"
    iframes = "iframes"


@dataclass(frozen=True)
class FrameFlags:
    """Which frames of a video are read."""

    num_frames: NumFrames = None
    fps: Fps = None
    start: Start = None
    end: End = None
    sampling: Annotated[FrameChoice, typer.Option(help="uniform, or only intra frames (far faster to read).")] = (
        FrameChoice.uniform
    )
    allow_partial: AllowPartial = False
    raise_limit: RaiseLimit = None

    def sampling_options(self, usual: int | None = None) -> dict[str, Any]:
        """What is stated, as options of `dyto.sample_frames`.

        Args:
            usual: Frames to sample where neither a number nor a rate is stated; None to leave that open.
        """
        from dyto.video.limits import limits_given

        count = usual if self.num_frames is None and self.fps is None else self.num_frames
        stated: dict[str, Any] = {"num_frames": count, "fps": self.fps, "start": self.start, "end": self.end}
        stated["limits"] = limits_given(self.raise_limit or ()) or None
        given = {name: value for name, value in stated.items() if value is not None}
        return given | {"sampling": self.sampling.value, "allow_partial": self.allow_partial}


FrameOptions = Annotated[FrameFlags, Flags()]
WholeVideoOptions = Annotated[FrameFlags, Flags(without=("start", "end"))]


@dataclass(frozen=True)
class StrategyFlags:
    """A strategy."""

    strategy: StrategyName = "dyto"
    preset: PresetName = None
    budget: Budget = None

    def make(self) -> Strategy:
        """The strategy, made."""
        from dyto.strategies.targets import make_strategy

        return make_strategy(self.strategy, preset=self.preset, token_budget=self.budget)


StrategyOptions = Annotated[StrategyFlags, Flags()]


@dataclass(frozen=True)
class SavingFlags:
    """Which savings are on."""

    without: Without = None
    saving: Given = None

    def make(self) -> Savings:
        """The savings, made."""
        from dyto.savings import Savings

        return Savings.of(self.without or (), self.saving or ())


SavingOptions = Annotated[SavingFlags, Flags()]


@dataclass(frozen=True)
class QuestionFlags:
    """The questions of a benchmark, and where its videos are."""

    qa_file: QuestionFile = None
    gt_dir: QuestionFolder = Path("playground/gt_qa_files")
    data_dir: VideoFolder = Path("playground/data")
    video_dir: TheseVideos = None
    limit: Limit = None
    encoding: Encoding = None


QuestionOptions = Annotated[QuestionFlags, Flags()]


@dataclass(frozen=True)
class CacheFlags:
    """Where encoded videos are kept."""

    cache: Annotated[Path | None, typer.Option(help="Keep encoded videos in this folder.")] = None
    cache_gb: Annotated[float, typer.Option(help="Most disk space for them, GiB.")] = 50.0
    cache_mixed: Annotated[
        bool, typer.Option("--cache-mixed", help="That folder may hold other files, too; they are left alone.")
    ] = False


CacheOptions = Annotated[CacheFlags, Flags()]


@dataclass(frozen=True)
class JudgeFlags:
    """Who judges open-ended answers."""

    judge: Annotated[str, typer.Option(help="auto, openai, offline or none.")] = "auto"
    judge_model: Annotated[str, typer.Option(help="The judge's model.")] = "gpt-3.5-turbo-0125"
    judge_prompts: Annotated[Path | None, typer.Option(help="A YAML file in the place of our prompts.")] = None
    judge_concurrency: Annotated[int, typer.Option(help="Requests to the judge at once.")] = 16

    def make(self) -> Judging:
        """The judging, made."""
        from dyto.evaluation.evaluate import Judging

        return Judging(self.judge, self.judge_model, self.judge_prompts, self.judge_concurrency)


JudgeOptions = Annotated[JudgeFlags, Flags()]
