"""The commands `dyto results`: check, score and make submitted predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyto.cli import options
from dyto.cli.comparing import WIDE, print_table
from dyto.cli.console import err, out
from dyto.errors import ConfigError, DatasetError

app = typer.Typer(name="results", help="Check submitted predictions, and prepare your own.", no_args_is_help=True)
Root = Annotated[Path, typer.Argument(help="Folder that contains submissions, at any depth.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to a command line."""
    commands.add_typer(app)


@app.command()
def check(root: Root = Path("results")) -> None:
    """Check every submission and compute its scores again from its rows; exit with status 1 if anything differs."""
    from dyto.comparing.submitted import check_submission, find_submissions

    folders = find_submissions(root)
    problems = [problem for folder in folders for problem in check_submission(folder)]
    for problem in problems:
        err.print(problem, style="red", markup=False)
    if problems:
        raise DatasetError(
            f"{len(problems)} problems in {len(folders)} submissions below {root}: fix what is listed above"
        )
    out.print(f"{len(folders)} submissions below {root}: every score follows from its rows", markup=False)


@app.command()
def add(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `dyto eval`, or the --out of `dyto compare`.")],
    to: Annotated[Path, typer.Option(help="Folder of your submissions, such as results/your-name.")],
) -> None:
    """Check a run and copy what a submission needs."""
    from dyto.comparing.submitted import add_submission

    out.print(str(add_submission(run, to)), markup=False)


@app.command()
def table(
    root: Root = Path("results"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as Markdown, ready to paste.")] = False,
) -> None:
    """Print all submissions as one table."""
    from dyto.comparing.submitted import find_submissions

    _print(find_submissions(root), markdown)


@app.command()
def fill(
    to: Annotated[Path, typer.Option(help="Folder of your submissions, such as results/your-name.")],
    hours: Annotated[float, typer.Option(help="Stop after this many hours; run the same command again to continue.")],
    benchmarks: Annotated[
        str, typer.Option(help="Comma-separated names of `dyto list benchmarks`.")
    ] = "nextqa,videomme,mvbench",
    models: Annotated[
        str, typer.Option(help="Comma-separated names of `dyto list models`.")
    ] = "llava-next-vicuna-7b,llava-onevision-7b,qwen2.5-vl-7b",
    strategies: Annotated[str, typer.Option(help="As in dyto compare.")] = "all",
    budgets: Annotated[str, typer.Option(help="As in dyto compare.")] = "1.6f,6.4f",
    gt_dir: Annotated[Path, typer.Option(help="Folder of prepared question files.")] = Path("playground/gt_qa_files"),
    data_dir: Annotated[Path, typer.Option(help="Folder of all videos.")] = Path("playground/data"),
    num_frames: Annotated[int, typer.Option("--num-frames", help="Frames to sample.", min=1)] = 100,
    device: options.Device = None,
    dtype: options.Dtype = None,
    work: Annotated[Path, typer.Option(help="Folder for all other output.")] = Path("outputs/fill"),
) -> None:
    """Compare all strategies with several models on several benchmarks for some hours, and print the table.

    Every pair of benchmark and model first answers 100 questions, then every pair answers 400, and so on. A pair whose
    videos are missing or whose model cannot be loaded is reported and skipped.
    """
    from dyto.comparing.filling import Filling, usual_settings
    from dyto.comparing.filling import fill as fill_in
    from dyto.strategies.published import split_names

    if hours <= 0:
        raise ConfigError(f"--hours {hours:g}, expected more than 0, such as 8")
    settings = usual_settings(gt_dir, data_dir, num_frames, device, dtype)
    filling = Filling(work, to, split_names(benchmarks), split_names(models), strategies, budgets, settings)
    folders = fill_in(filling, hours, told=lambda line: err.print(line, markup=False))
    if not folders:
        raise DatasetError(f"nothing was asked, and nothing was written to {to}: see above for what is missing")
    _print(folders, markdown=True)


def _print(folders: list[Path], markdown: bool) -> None:
    from dyto.comparing.report import markdown_table
    from dyto.comparing.submitted import table_of

    if markdown:
        out.print(markdown_table(table_of(folders)), markup=False, soft_wrap=True)
        return
    if not out.is_terminal:
        out.width = WIDE
    print_table(table_of(folders))
