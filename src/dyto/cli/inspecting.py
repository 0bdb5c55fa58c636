"""The command `dyto inspect`; `register` adds it to the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyto.cli import early, options
from dyto.cli.console import out
from dyto.cli.groups import Flags, with_flags
from dyto.cli.printing import one_line, print_note
from dyto.cli.quick import quickly
from dyto.cli.waiting import loading_model
from dyto.models.loading.options import Loading

LEFT_OUT = ("attn_implementation", "device_map", "quantization", "rope_scaling_factor")


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("inspect")(inspect_command)


@with_flags
def inspect_command(
    video: options.VideoFile,
    chosen: options.StrategyOptions,
    loading: Annotated[Loading, Flags(options.LOADING, without=LEFT_OUT)],
    frames: options.FrameOptions,
    savings: options.SavingOptions,
    question: Annotated[
        options.Text, typer.Option(help="Ask this question, and show what the answer rests on.")
    ] = None,
    choices: Annotated[
        list[str] | None, typer.Option(help="Options of a multiple choice question.", metavar="A B ...")
    ] = None,
    out_file: Annotated[Path, typer.Option("--out", help="The page to write; an existing file is overwritten.")] = Path(
        "report.html"
    ),
    png: Annotated[
        str | None,
        typer.Option(
            help="Also write timeline, key frames and merge maps as PNG files (default DIR: next to the page).",
            metavar="[DIR]",
        ),
    ] = None,
    versus: Annotated[
        options.Text,
        typer.Option(
            help="A second strategy, or another preset of dyto, to compare with the first at the same budget."
        ),
    ] = None,
    max_new_tokens: options.MaxNewTokens = 128,
) -> None:
    """Show what a strategy does to a video: frames, clusters, key frames, merged patches, tokens, seconds."""
    saved, sampling = savings.make(), frames.sampling_options()
    chosen.check()
    early.check_video(video, sampling)
    early.check_model(loading, usual=True)
    if question is not None:
        early.check_question(question, choices, None, max_new_tokens)
    with quickly():
        from dyto.inspecting.page import check_page
        from dyto.strategies.targets import make_second

    check_page(out_file)
    folder = out_file.with_suffix("") if png == "" else png
    first = chosen.make()
    others = [make_second(versus, chosen.budget)] if versus else []
    with loading_model(loading.model) as status:
        from dyto.inspecting import inspect_video, save_page, save_pictures
        from dyto.models.loading.naming import usual_model
        from dyto.pipeline import VideoQA
        from dyto.tokens import NOT_ITS_WORLD

        qa = VideoQA.from_pretrained(usual_model(loading.model), first, savings=saved, **loading.options)
        qa.on_stage = lambda stage: status.update(stage)
        seen = inspect_video(
            qa,
            video,
            versus=others,
            question=question,
            choices=choices,
            max_new_tokens=max_new_tokens,
            **sampling,
        )
        status.update("writing")
        page = save_page(seen, out_file)
        written = save_pictures(seen, folder) if folder else []
    first_said = [warning for warning in seen.warnings if warning == NOT_ITS_WORLD]
    for warning in first_said:
        print_note(warning)
    for view in seen.views:
        said = "" if view.answer is None else f"; answer: {one_line(view.answer.text)}"
        tokens = f"{view.tokens.uncompressed} -> {len(view.tokens)} tokens"
        out.print(f"{view.name}: {len(view.tokens.keyframes)} key frames, {tokens}{said}")
    out.print(f"saved {page} ({page.stat().st_size / 1e6:.1f} MB)")
    if written:
        out.print(f"saved {len(written)} pictures in {folder}")
    for warning in seen.warnings[len(first_said) :]:
        print_note(warning)
