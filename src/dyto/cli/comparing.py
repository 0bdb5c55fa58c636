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
from dyto.cli.groups import Flags, with_flags
from dyto.errors import MissingExtraError, unknown
from dyto.evaluation.progress import Bars
from dyto.models.loading_options import Loading

if TYPE_CHECKING:
    from dyto.comparing.report import Table as Cells

WIDE = 220
MOST_COLUMNS = 14
ONE_DEVICE = ("device_map", "quantization")
"""Options that a comparison does not have, because all strategies are timed on one device."""


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("compare")(compare_command)


@with_flags
def compare_command(
    name: Annotated[
        str, typer.Argument(metavar="BENCHMARK", help="A benchmark, such as synthetic or nextqa.", show_default=False)
    ],
    questions: options.QuestionOptions,
    loading: Annotated[Loading, Flags(options.LOADING, without=ONE_DEVICE)],
    frames: options.WholeVideoOptions,
    strategies: Annotated[
        str,
        typer.Option(
            help="Comma-separated: names, presets, MODULE:CALLABLE or FILE.py:CALLABLE; all: all with a budget."
        ),
    ] = "all",
    budgets: Annotated[
        str, typer.Option(help="Comma-separated: tokens (230), or whole frames (6.4f).")
    ] = "1.6f,3.2f,6.4f,12.8f,25.6f",
    rivals: Annotated[
        options.Text, typer.Option(help="Simple strategies; the best one is the rival. (default: our list)")
    ] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Ask every rotation of the options.")] = False,
    blind: Annotated[bool, typer.Option(help="Also ask without a video.")] = True,
    scoring: Annotated[
        str, typer.Option("--scoring", "--score", help="Score multiple choice by letter or by likelihood.")
    ] = "letter",
    by: Annotated[
        list[str] | None,
        typer.Option(help="Break down by this, such as regime or type. (default: chosen by the benchmark)"),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw pictures (needs matplotlib).")] = True,
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    fail_on_error: options.FailOnError = None,
    out_dir: options.OutFolder = Path("outputs/compare"),
    retry_failed: options.RetryFailed = False,
    as_json: options.ResultsAsJson = False,
) -> None:
    """Compare strategies at equal token budgets; continue an earlier run."""
    from dyto.comparing.compare import Comparison, compare
    from dyto.comparing.report import write_report
    from dyto.evaluation.outcome import ErrorLimit
    from dyto.evaluation.settings import Settings

    settings = Settings(
        benchmark=name,
        qa_file=questions.qa_file,
        gt_dir=questions.gt_dir,
        data_dir=questions.data_dir,
        video_dir=questions.video_dir,
        loading=loading,
        prompt=prompt,
        sampling=frames.sampling_options(usual=100),
        max_new_tokens=max_new_tokens,
        scoring=scoring,
        limit=questions.limit,
        encoding=questions.encoding,
        error_limit=ErrorLimit.parse(fail_on_error),
    )
    contest = Comparison(settings, out_dir, strategies, budgets, rotate=rotate, blind=blind, rivals=rivals)
    for wanted in by or []:
        if wanted not in settings.spec.groupings:
            raise unknown("breakdown", wanted, settings.spec.groupings)
    if retry_failed:
        err.print(f"asking {contest.folders.forget_unanswered()} unanswered questions again", markup=False)
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
    """Draw the pictures; without matplotlib, print a note instead."""
    from dyto.comparing.pictures import draw_all

    try:
        return draw_all(found, folder)
    except MissingExtraError as error:
        err.print(f"no pictures: {error}", style="yellow", markup=False)
        return []


def show(found: Mapping[str, Any], by: Sequence[str] | None = None) -> None:
    """Print the tables and, below them, the notes for the reader."""
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
    out.print("\nseconds per video, and peak memory", markup=False)
    print_table(cost_table(found))
    for text in [*explanations(found), *found["notes"]]:
        out.print(f"- {text}", markup=False)


def print_table(table: Cells) -> None:
    """Print one table: names aligned left, numbers aligned right."""
    head, rows = table
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(head):
        grid.add_column(heading, justify="left" if number == 0 else "right", no_wrap=number > 0)
    for row in rows:
        grid.add_row(*row)
    out.print(grid)
