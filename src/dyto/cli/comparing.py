"""The command `dyto compare`; `register` adds it to the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dyto.cli import options
from dyto.cli.console import err, out
from dyto.cli.evaluation import NOTHING_ANSWERED, write_json
from dyto.errors import MissingExtraError, unknown
from dyto.evaluation.progress import Bars

if TYPE_CHECKING:
    from dyto.comparing.report import Table as Cells

WIDE = 220
MOST_COLUMNS = 14


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("compare")(compare_command)


def compare_command(
    name: Annotated[str, typer.Argument(metavar="BENCHMARK", help="Such as synthetic or nextqa.", show_default=False)],
    strategies: Annotated[
        str,
        typer.Option(help="Between commas: names, presets, MODULE:CALLABLE, FILE.py:CALLABLE; all: all with a budget."),
    ] = "all",
    budgets: Annotated[
        str, typer.Option(help="Between commas: tokens (230), or whole frames (6.4f).")
    ] = "1.6f,3.2f,6.4f,12.8f,25.6f",
    rivals: Annotated[
        options.Text, typer.Option(help="The simple strategies whose best is the rival. (default: ours)")
    ] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Ask every rotation of the options.")] = False,
    blind: Annotated[bool, typer.Option(help="Also ask without any video.")] = True,
    scoring: Annotated[
        str, typer.Option("--scoring", "--score", help="Multiple choice by letter, or by likelihood.")
    ] = "letter",
    by: Annotated[
        list[str] | None, typer.Option(help="Break down by this, such as regime or type. (default: what fits)")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw the pictures (needs matplotlib).")] = True,
    qa_file: options.QuestionFile = None,
    gt_dir: options.QuestionFolder = Path("playground/gt_qa_files"),
    data_dir: options.VideoFolder = Path("playground/data"),
    video_dir: options.TheseVideos = None,
    model: options.ModelName = None,
    revision: options.Revision = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    attention: options.Attention = None,
    num_frames: options.NumFrames = None,
    fps: options.Fps = None,
    sampling: options.Sampling = "uniform",
    allow_partial: options.AllowPartial = False,
    raise_limit: options.RaiseLimit = None,
    prompt: options.PromptName = None,
    rope_scaling_factor: options.RopeScaling = None,
    max_new_tokens: options.MaxNewTokens = 128,
    limit: options.Limit = None,
    fail_on_error: options.FailOnError = None,
    encoding: options.Encoding = None,
    out_dir: options.OutFolder = Path("outputs/compare"),
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again what was not answered before.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The results as JSON on stdout, nothing else.")] = False,
) -> None:
    """Compare strategies at equal budgets of tokens, from where an earlier run stopped."""
    from dyto.comparing.compare import Contest, compare
    from dyto.comparing.report import write_report
    from dyto.evaluation.outcome import ErrorLimit
    from dyto.evaluation.settings import Settings
    from dyto.video.limits import limits_given

    frames: dict[str, Any] = {"num_frames": num_frames or (None if fps else 100), "fps": fps, "sampling": sampling}
    frames["limits"] = limits_given(raise_limit or ())
    settings = Settings(
        benchmark=name,
        qa_file=qa_file,
        gt_dir=gt_dir,
        data_dir=data_dir,
        video_dir=video_dir,
        model=model,
        revision=revision,
        device=device,
        dtype=dtype,
        attention=attention,
        rope_scaling_factor=rope_scaling_factor,
        prompt=prompt,
        sampling={key: value for key, value in frames.items() if value} | {"allow_partial": allow_partial},
        max_new_tokens=max_new_tokens,
        scoring=scoring,
        limit=limit,
        encoding=encoding,
        error_limit=ErrorLimit.parse(fail_on_error),
    )
    contest = Contest(settings, out_dir, strategies, budgets, rotate=rotate, blind=blind, rivals=rivals)
    for wanted in by or []:
        if wanted not in settings.spec.groupings:
            raise unknown("breakdown", wanted, settings.spec.groupings)
    if retry_failed:
        err.print(f"asking {contest.folders.forget_unanswered()} unanswered rows again", markup=False)
    with Bars(err, settings.spec.title) as bars:
        found = compare(contest, progress=bars.asking)
    drawn = draw(found, out_dir) if pictures else []
    paths = [*write_report(found, out_dir, drawn), out_dir / "compare.json", *drawn]
    if as_json:
        write_json(found, allow_nan=False)
    else:
        show(found, by)
    err.print(f"written: {', '.join(map(str, paths))}", markup=False)
    if not found["questions"]:
        if any(cell["unanswered"].get("missing_video") for cell in found["cells"]):
            err.print(settings.where_looked(), style="yellow", markup=False)
        err.print(f"dyto: no question of {settings.spec.title} was answered", style="red", markup=False)
        raise SystemExit(NOTHING_ANSWERED)


def draw(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw the pictures; where matplotlib is missing, say so and go on without."""
    from dyto.comparing.pictures import draw_all

    try:
        return draw_all(found, folder)
    except MissingExtraError as error:
        err.print(f"no pictures: {error}", style="yellow", markup=False)
        return []


def show(found: Mapping[str, Any], by: Sequence[str] | None = None) -> None:
    """Print the tables, and below them what a reader must know."""
    from dyto.comparing.report import accuracy_table, cost_table, explanations, group_table, groupings, headline

    if not out.is_terminal:
        out.width = WIDE
    out.print(headline(found), markup=False)
    print_table(accuracy_table(found))
    for line in found["attention"]:
        out.print(f"(!) {line}", style="bold red", markup=False)
    for grouping in groupings(found):
        table = group_table(found, grouping)
        if grouping in (by or ()) or (by is None and len(table[0]) <= MOST_COLUMNS):
            out.print(f"\naccuracy by {grouping} (questions)", markup=False)
            print_table(table)
    out.print("\nseconds a video, and peak memory", markup=False)
    print_table(cost_table(found))
    for text in [*explanations(found), *found["notes"]]:
        out.print(f"- {text}", markup=False)


def print_table(table: Cells) -> None:
    """Print one table: names to the left, numbers to the right."""
    head, rows = table
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(head):
        grid.add_column(heading, justify="left" if number == 0 else "right", no_wrap=number > 0)
    for row in rows:
        grid.add_row(*row)
    out.print(grid)
