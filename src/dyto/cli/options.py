"""Options that several commands take, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Fps = Annotated[float | None, typer.Option(help="Frames to sample per second, instead of a number.")]
Start = Annotated[float | None, typer.Option(help="Begin here, seconds.")]
End = Annotated[float | None, typer.Option(help="End before here, seconds.")]
Sampling = Annotated[str, typer.Option(help="uniform or iframes (intra frames only: far faster to read).")]
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
MaxNewTokens = Annotated[int, typer.Option(help="Most tokens of an answer.")]
QuestionFile = Annotated[Path | None, typer.Option(help="Question file. (default: the prepared one)")]
QuestionFolder = Annotated[Path, typer.Option(help="Folder of prepared question files.")]
VideoFolder = Annotated[Path, typer.Option(help="Folder of all videos.")]
TheseVideos = Annotated[Path | None, typer.Option(help="Folder of these videos, where they lie elsewhere.")]
Limit = Annotated[int | None, typer.Option(help="Only the first so many questions.")]
FailOnError = Annotated[
    Text,
    typer.Option(help="End the run at so many questions without an answer (10), or at a share of them (0.25)."),
]
Encoding = Annotated[Text, typer.Option(help="Of the question file.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for everything that is written.")]
