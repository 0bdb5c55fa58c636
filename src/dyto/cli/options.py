"""Options shared by several commands, each described once."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyto.cli.groups import Flags
from dyto.cli.quick import quickly
from dyto.models.loading.options import Loading

if TYPE_CHECKING:
    from dyto.evaluation.evaluate import Judging
    from dyto.savings import Savings
    from dyto.strategies import Strategy

Text = str | None

# Not a Path, which would read "" as the current folder.
VideoFile = Annotated[str, typer.Argument(help="A video file, a folder of pictures, or a memory.", show_default=False)]
ModelName = Annotated[
    Text,
    typer.Option(
        help="A short name, a folder, a hub name, endpoint:NAME, or auto for the best that fits this machine. "
        "(default: $DYTO_MODEL, dyto.toml, or a bundled model)"
    ),
]
Revision = Annotated[Text, typer.Option(help="Branch, tag or commit of a hub model.")]
Device = Annotated[Text, typer.Option(help="Device: auto, cpu, cuda, cuda:N, xpu or mps. (default: auto)")]
Dtype = Annotated[Text, typer.Option(help="Precision: float32, bfloat16 or float16.")]
Attention = Annotated[
    Text,
    typer.Option("--attention", "--attn-implementation", help="Attention kernel: sdpa, eager or flash_attention_2."),
]
Quantization = Annotated[Text, typer.Option(help="8bit or 4bit, for the weights of the language model.")]
RopeScaling = Annotated[float | None, typer.Option(help="Extend the model's context by this factor.")]
EyeName = Annotated[
    Text,
    typer.Option(
        help="Compare frames by this eye instead of the model's own tower: nouns, pixels, siglip2-base, or the hub "
        "name of a CLIP, SigLIP or DINO."
    ),
]
BaseUrl = Annotated[
    Text,
    typer.Option(help="Address of the endpoint for --model endpoint:NAME, such as http://127.0.0.1:11434/v1."),
]
TokensPerImage = Annotated[
    int | None,
    typer.Option(help="Tokens that a picture costs at the endpoint. (default: the rule for the model's name)"),
]
PictureSide = Annotated[
    int | None, typer.Option(help="Longest side of a picture for the endpoint, in pixels. (default: 768)")
]
MaxRequests = Annotated[int | None, typer.Option(help="Send the endpoint no more requests than this.")]
MaxTokens = Annotated[int | None, typer.Option(help="Spend no more tokens than this at the endpoint.")]
PresetName = Annotated[Text, typer.Option(help="A name from `dyto list presets`.", show_default=False)]
StrategyName = Annotated[
    Text,
    typer.Option(
        help="A name from `dyto list strategies`, with options as in uniform-pool:pool=3, or FILE.py:NAME. "
        "(default: plus; dyto where a preset is given)"
    ),
]
Budget = Annotated[int | None, typer.Option(help="Largest number of visual tokens. (default: the published budget)")]
NumFrames = Annotated[int | None, typer.Option(help="Frames to sample. (default: 100)")]
Fps = Annotated[
    float | None,
    typer.Option(
        parser=lambda text: rate_of(text),
        metavar="RATE",
        help="Frames to sample per second, instead of --num-frames; auto for one a second, but 100 to 1000 in all, and "
        "for the saving similar=1 unless you set it.",
    ),
]
Start = Annotated[float | None, typer.Option(help="Start of the clip, in seconds.")]
End = Annotated[float | None, typer.Option(help="End of the clip, in seconds.")]
DeviceMap = Annotated[Text, typer.Option(help="auto spreads a large model over several devices.")]
AllowPartial = Annotated[bool, typer.Option("--allow-partial", help="Use the readable part of a broken file.")]
PromptName = Annotated[Text, typer.Option(help="A prompt from `dyto list prompts`, or a text file.")]
Without = Annotated[
    list[str] | None,
    typer.Option(help="Turn off a saving from `dyto list savings`, or all of them (all); repeatable.", metavar="NAME"),
]
Given = Annotated[
    list[str] | None,
    typer.Option("--saving", help="Turn on a saving, such as still or similar=2; repeatable.", metavar="NAME[=VALUE]"),
]
RaiseLimit = Annotated[
    list[str] | None,
    typer.Option(
        help="Raise a limit on files; repeatable. Defaults: megapixels=64 per frame, growth=4 times the declared frame "
        "size, streams=32, hours=24.",
        metavar="NAME=NUMBER",
    ),
]
SubtitlesOf = Annotated[
    str,
    typer.Option(
        help="What is said: auto for a file beside the video or a track inside it, track:N, a .srt, .vtt or .ass file, "
        "or none.",
        metavar="auto|FILE|none",
    ),
]
SpeechModel = Annotated[
    Text,
    typer.Option(
        help="Write down what is said by this model of faster-whisper, such as small, and read that; told of before it "
        "is downloaded.",
        metavar="MODEL",
    ),
]
MaxNewTokens = Annotated[int, typer.Option(help="Largest number of tokens per answer.")]
QuestionFile = Annotated[
    Path | None, typer.Option(help="Question file, public or prepared. (default: the prepared one)")
]
QuestionFolder = Annotated[Path, typer.Option(help="Folder of prepared question files.")]
VideoFolder = Annotated[Path, typer.Option(help="Folder of all videos.")]
TheseVideos = Annotated[Path | None, typer.Option(help="Folder of this benchmark's videos, if it is elsewhere.")]
Limit = Annotated[int | None, typer.Option(help="Ask only the first N questions.", metavar="N")]
FailOnError = Annotated[
    Text, typer.Option(help="Stop after this many unanswered questions (10), or after this share of them (0.25).")
]
Encoding = Annotated[Text, typer.Option(help="Encoding of the question file.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask unanswered questions again.")]
ResultsAsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON on stdout, and nothing else.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for all output.")]

LOADING = {
    "model": ModelName,
    "revision": Revision,
    "device": Device,
    "dtype": Dtype,
    "attn_implementation": Attention,
    "device_map": DeviceMap,
    "quantization": Quantization,
    "rope_scaling_factor": RopeScaling,
    "eye": EyeName,
    "base_url": BaseUrl,
    "tokens_per_image": TokensPerImage,
    "picture_side": PictureSide,
    "max_requests": MaxRequests,
    "max_tokens": MaxTokens,
}
"""The flags of `Loading`. A command may use some of them."""

ModelOptions = Annotated[Loading, Flags(LOADING)]


def rate_of(text: str) -> float | str:
    """Read a number of frames per second from the command line, or "auto"."""
    if str(text) == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError as err:
        raise typer.BadParameter(f"{text!r} is neither a number nor auto") from err


class FrameChoice(str, enum.Enum):
    """The ways to choose frames."""

    uniform = "uniform"
    iframes = "iframes"


@dataclass(frozen=True)
class FrameFlags:
    """The frames of a video to read."""

    num_frames: NumFrames = None
    fps: Fps = None
    start: Start = None
    end: End = None
    sampling: Annotated[
        FrameChoice,
        typer.Option(help="Frames to choose from: uniform, or iframes for intra frames only (much faster to read)."),
    ] = FrameChoice.uniform
    allow_partial: AllowPartial = False
    raise_limit: RaiseLimit = None

    def sampling_options(self, usual: int | None = None) -> dict[str, Any]:
        """Return the given flags as options of `dyto.sample_frames`.

        Args:
            usual: Number of frames if neither a number nor a rate is given; None to leave it open.
        """
        with quickly():
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
    """The strategy to use."""

    strategy: StrategyName = None
    preset: PresetName = None
    budget: Budget = None

    def settings(self) -> dict[str, Any]:
        """Return the arguments for `dyto.evaluation.settings.Settings`."""
        options = {} if self.budget is None else {"token_budget": self.budget}
        return {"strategy": self.strategy, "preset": self.preset, "options": options}

    def check(self) -> None:
        """Check the names, without importing the strategy."""
        from dyto.strategies import chosen_name
        from dyto.strategies.published import check_target

        check_target(chosen_name(self.strategy, self.preset), self.preset, self.budget)

    def make(self) -> Strategy:
        """Build the strategy."""
        from dyto.strategies.targets import make_strategy

        return make_strategy(self.strategy, preset=self.preset, token_budget=self.budget)


StrategyOptions = Annotated[StrategyFlags, Flags()]


@dataclass(frozen=True)
class SavingFlags:
    """The savings to use."""

    without: Without = None
    saving: Given = None

    def make(self) -> Savings:
        """Build the savings."""
        from dyto.savings import Savings

        return Savings.of(self.without or (), self.saving or ())


SavingOptions = Annotated[SavingFlags, Flags()]


@dataclass(frozen=True)
class QuestionFlags:
    """The questions and videos of a benchmark."""

    qa_file: QuestionFile = None
    gt_dir: QuestionFolder = Path("playground/gt_qa_files")
    data_dir: VideoFolder = Path("playground/data")
    video_dir: TheseVideos = None
    limit: Limit = None
    encoding: Encoding = None


QuestionOptions = Annotated[QuestionFlags, Flags()]


@dataclass(frozen=True)
class CacheFlags:
    """The cache of encoded videos."""

    cache: Annotated[Path | None, typer.Option(help="Keep encoded videos in this folder.")] = None
    cache_gb: Annotated[float, typer.Option(help="Size limit of the cache, in GiB.")] = 50.0
    cache_mixed: Annotated[
        bool, typer.Option("--cache-mixed", help="Allow other files in that folder; they are left alone.")
    ] = False

    def settings(self) -> dict[str, Any]:
        """Return the arguments for `dyto.evaluation.settings.Settings`."""
        return {"cache_dir": self.cache, "cache_gib": self.cache_gb, "cache_mixed": self.cache_mixed}


CacheOptions = Annotated[CacheFlags, Flags()]


@dataclass(frozen=True)
class JudgeFlags:
    """The judge of open-ended answers."""

    judge: Annotated[str, typer.Option(help="Judge of open-ended answers: auto, openai, offline or none.")] = "auto"
    judge_model: Annotated[str, typer.Option(help="Name of the judge's model.")] = "gpt-3.5-turbo-0125"
    judge_prompts: Annotated[
        Path | None, typer.Option(help="YAML file with prompts for the judge, instead of ours.")
    ] = None
    judge_concurrency: Annotated[int, typer.Option(help="Number of simultaneous requests to the judge.")] = 16

    def make(self) -> Judging:
        """Build the judging settings."""
        from dyto.evaluation.evaluate import Judging

        return Judging(self.judge, self.judge_model, self.judge_prompts, self.judge_concurrency)


JudgeOptions = Annotated[JudgeFlags, Flags()]


@dataclass(frozen=True)
class ScaleFlags:
    """The workers to use."""

    workers: Annotated[
        int | None, typer.Option(help="Number of processes or cluster workers. (default: one per GPU)")
    ] = None
    ray: Annotated[
        Text,
        typer.Option(help="Use a Ray cluster: its address, auto for the one that runs here, or local for a new one."),
    ] = None
    gpus_per_worker: Annotated[
        float | None, typer.Option(help="GPUs of the cluster per worker. (default: 1 if there are any)")
    ] = None

    def settings(self) -> dict[str, Any]:
        """Return the flags as arguments of `dyto.evaluation.settings.Settings`."""
        return {"workers": self.workers, "ray": self.ray, "gpus_per_worker": self.gpus_per_worker}


ScaleOptions = Annotated[ScaleFlags, Flags()]
