"""The command `dyto inspect`; `register` adds it to the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dyto.cli import options
from dyto.cli.console import err, out


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("inspect")(inspect_command)


def inspect_command(
    video: options.VideoFile,
    question: Annotated[options.Text, typer.Option(help="Ask this, and show what the answer rests on.")] = None,
    choices: Annotated[
        list[str] | None, typer.Option(help="Options of a multiple choice question.", metavar="A B ...")
    ] = None,
    out_file: Annotated[Path, typer.Option("--out", help="The page to write; overwritten.")] = Path("report.html"),
    png: Annotated[
        str | None,
        typer.Option(
            help="Write timeline, key frames and merge maps as PNG files, too; without DIR beside the page.",
            metavar="[DIR]",
        ),
    ] = None,
    strategy: options.StrategyName = "dyto",
    preset: options.PresetName = None,
    versus: Annotated[
        options.Text,
        typer.Option(help="A second strategy, or another preset of dyto, to see beside it at the same budget."),
    ] = None,
    budget: options.Budget = None,
    model: options.ModelName = None,
    num_frames: options.NumFrames = None,
    fps: options.Fps = None,
    start: options.Start = None,
    end: options.End = None,
    sampling: options.Sampling = "uniform",
    allow_partial: options.AllowPartial = False,
    revision: options.Revision = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    max_new_tokens: options.MaxNewTokens = 128,
    without: options.Without = None,
    saving: options.Given = None,
    raise_limit: options.RaiseLimit = None,
) -> None:
    """Show what a strategy does to a video: frames, clusters, key frames, merged patches, tokens, seconds."""
    from dyto.inspecting.page import check_page
    from dyto.savings import Savings
    from dyto.strategies.targets import make_second, make_strategy
    from dyto.video import existing
    from dyto.video.limits import limits_given

    existing(video)  # what cannot be done fails before a model is loaded
    check_page(out_file)
    folder = out_file.with_suffix("") if png == "" else png
    first = make_strategy(strategy, preset=preset, token_budget=budget)
    others = [make_second(versus, budget)] if versus else []
    savings = Savings.of(without or (), saving or ())
    options: dict[str, Any] = {"num_frames": num_frames, "fps": fps, "start": start, "end": end}
    options["limits"] = limits_given(raise_limit or ()) or None
    with err.status("loading the model") as status:
        from dyto.inspecting import inspect_video, save_page, save_pictures
        from dyto.pipeline import VideoQA

        qa = VideoQA.from_pretrained(model, first, revision=revision, device=device, dtype=dtype, savings=savings)
        qa.on_stage = lambda stage: status.update(stage)
        seen = inspect_video(
            qa,
            video,
            versus=others,
            question=question,
            choices=choices,
            max_new_tokens=max_new_tokens,
            **{key: value for key, value in options.items() if value is not None},
            sampling=sampling,
            allow_partial=allow_partial,
        )
        status.update("writing")
        page = save_page(seen, out_file)
        written = save_pictures(seen, folder) if folder else []
    for view in seen.views:
        said = "" if view.answer is None else f"; answer: {view.answer.text}"
        tokens = f"{view.tokens.uncompressed} -> {len(view.tokens)} tokens"
        out.print(f"{view.name}: {len(view.tokens.keyframes)} key frames, {tokens}{said}")
    out.print(f"saved {page} ({page.stat().st_size / 1e6:.1f} MB)")
    if written:
        out.print(f"saved {len(written)} pictures in {folder}")
    for warning in seen.warnings:
        err.print(f"note: {warning}", style="yellow")
