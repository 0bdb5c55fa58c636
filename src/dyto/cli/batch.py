"""The command `dyto batch`; `register` adds it to the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dyto.cli import options
from dyto.cli.console import err, out
from dyto.cli.evaluation import NOTHING_ANSWERED, write_json
from dyto.cli.groups import with_flags
from dyto.errors import ConfigError
from dyto.evaluation.progress import Bars

Table = Annotated[
    Path | None,
    typer.Argument(
        help="A table with the columns video and question, and optionally choices, start, end and key: "
        ".jsonl, .json, .csv, .tsv or .parquet.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("batch")(batch_command)


@with_flags
def batch_command(
    loading: options.ModelOptions,
    chosen: options.StrategyOptions,
    frames: options.WholeVideoOptions,
    savings: options.SavingOptions,
    cache: options.CacheOptions,
    scale: options.ScaleOptions,
    table: Table = None,
    out_file: Annotated[Path, typer.Option("--out", help="The table of answers.")] = Path("answers.jsonl"),
    videos: Annotated[
        options.Text, typer.Option(help="Instead of a table: files that match a pattern.", metavar="'DIR/**/*.mp4'")
    ] = None,
    question: Annotated[
        list[str] | None, typer.Option(help="Question to ask about each of these files; repeatable.")
    ] = None,
    video_dir: Annotated[
        Path | None, typer.Option(help="Folder from which relative paths start. (default: the current folder)")
    ] = None,
    remote: Annotated[
        list[str] | None,
        typer.Option(help="Download videos from addresses of this protocol: s3, gs, https.", metavar="PROTOCOL"),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Prefix for the names of added columns.")] = "",
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    encoding: options.Encoding = None,
    retry_failed: options.RetryFailed = False,
    fail_on_error: options.FailOnError = None,
    as_json: options.ResultsAsJson = False,
) -> None:
    """Answer a table of questions about many videos; run the same command again to continue after a stop."""
    from dyto.batch.run import run_batch, summary
    from dyto.batch.settings import BatchSettings
    from dyto.evaluation.outcome import ErrorLimit

    if (table is None) == (videos is None):
        raise ConfigError("expected either a table of questions, or --videos with --question: see dyto batch --help")
    if table is not None and question:
        raise ConfigError("found a table and --question, expected one of them: --question goes with --videos")
    if out_file.suffix.lower() != ".jsonl":
        raise ConfigError(f"--out {out_file} ends in {out_file.suffix!r}, expected .jsonl: one answer a line")
    settings = BatchSettings(
        qa_file=table,
        videos_like=videos,
        asked=tuple(question or ()),
        video_dir=video_dir,
        loading=loading,
        **chosen.settings(),
        prompt=prompt,
        sampling=frames.sampling_options(usual=100),
        max_new_tokens=max_new_tokens,
        **scale.settings(),
        **cache.settings(),
        encoding=encoding,
        error_limit=ErrorLimit.parse(fail_on_error),
        savings=savings.make(),
        out=out_file,
        prefix=prefix,
        remote=tuple(remote or ()),
    )
    if retry_failed and settings.run_folders().artifacts.is_dir():
        err.print(f"asking {settings.run_folders().forget_unanswered()} unanswered rows again")
    with Bars(err, "batch") as bars:
        statuses = run_batch(settings, progress=bars.asking)
    if as_json:
        write_json(summary(statuses))
    else:
        told = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        out.print(f"{sum(statuses.values())} rows: {told} -> {out_file}", markup=False)
    if not statuses.get("answered"):
        err.print("dyto: no question was answered", style="red")
        sys.exit(NOTHING_ANSWERED)
