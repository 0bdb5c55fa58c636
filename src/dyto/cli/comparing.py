"""The command `dyto compare`; `register` adds it to the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len
from rich.table import Table

from dyto.cli import options
from dyto.cli.console import err, out
from dyto.cli.evaluation import NOTHING_ANSWERED, write_json
from dyto.cli.groups import Flags, with_flags
from dyto.errors import ConfigError, MissingExtraError
from dyto.evaluation.progress import Bars
from dyto.models.loading.options import Loading

if TYPE_CHECKING:
    from dyto.comparing.tables import Table as Cells

WIDE = 220
GAP = 2
"""Spaces between two columns."""
MOST_COLUMNS = 14
ONE_DEVICE = ("device_map", "quantization")
"""Options that a comparison does not have, because all strategies are timed on one device."""


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("compare")(compare_command)
    app.command("plan")(plan_command)


def plan_command(
    pilot: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="The --out folder of an earlier comparison.", show_default=False),
    ] = None,
    precision: Annotated[
        float, typer.Option(help="Half the width of the interval, and the smallest difference to find, in points.")
    ] = 2.0,
    margin: Annotated[
        float, typer.Option(help="Points by which a strategy may be worse and still not count as inferior.")
    ] = 1.0,
    differ: Annotated[
        float | None,
        typer.Option(help="Without a folder: share of questions that only one of two strategies gets right."),
    ] = None,
    correlation: Annotated[float, typer.Option(help="Correlation of such differences within a video.")] = 0.1,
    tests: Annotated[int, typer.Option(help="Number of tests to correct for.", min=1)] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Plan a comparison: compute how many videos and questions it needs, from an earlier one or from assumptions."""
    from dyto.comparing.power import plan_assumed, plan_of
    from dyto.evaluation.folders import read_json

    wanted, allowed = share_of_points("precision", precision), share_of_points("margin", margin)
    if (pilot is None) == (differ is None):
        raise ConfigError(
            "expected either the folder of a comparison, or --differ 0.1 (and --correlation): give one of them"
        )
    if pilot is not None:
        planned = plan_of(read_json(pilot / "compare.json"), wanted, margin=allowed)
    else:
        assert differ is not None
        planned = plan_assumed(differ, correlation, wanted, tests=tests, margin=allowed)
    if as_json:
        write_json(planned)
    else:
        if not out.is_terminal:
            out.width = WIDE
        show_plan(planned)


@with_flags
def compare_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK",
            help="A name from `dyto list benchmarks`, or FILE.py:NAME for your own.",
            show_default=False,
        ),
    ],
    questions: options.QuestionOptions,
    loading: Annotated[Loading, Flags(options.LOADING, without=ONE_DEVICE)],
    frames: options.WholeVideoOptions,
    scale: options.ScaleOptions,
    strategies: Annotated[
        str,
        typer.Option(
            help="Comma-separated names, presets, MODULE:NAME or FILE.py:NAME; all for every one with a budget."
        ),
    ] = "all",
    budgets: Annotated[
        str, typer.Option(help="Comma-separated numbers of tokens (230), or of whole frames (6.4f).")
    ] = "1.6f,3.2f,6.4f,12.8f,25.6f",
    rivals: Annotated[
        options.Text, typer.Option(help="Comma-separated simple strategies; the best is the rival. (default: our list)")
    ] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Ask every rotation of the options.")] = False,
    blind: Annotated[bool, typer.Option(help="Also ask without a video.")] = True,
    scoring: Annotated[
        str, typer.Option("--scoring", "--score", help="Score multiple choice by letter or by likelihood.")
    ] = "letter",
    by: Annotated[
        list[str] | None,
        typer.Option(help="Groupings to break down by, such as regime,type or regime+type. (default: those that fit)"),
    ] = None,
    margin: Annotated[
        float, typer.Option(help="Points by which a strategy may be worse and still not count as inferior.")
    ] = 1.0,
    plan: Annotated[
        float | None, typer.Option(help="Also plan a run with this precision, in points.", show_default=False)
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Draw pictures (needs matplotlib).")] = True,
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    fail_on_error: options.FailOnError = None,
    out_dir: options.OutFolder = Path("outputs/compare"),
    retry_failed: options.RetryFailed = False,
    as_json: options.ResultsAsJson = False,
) -> None:
    """Compare strategies at equal token budgets; run the same command again to continue after a stop."""
    from dyto.comparing.compare import compare
    from dyto.comparing.comparison import Comparison
    from dyto.comparing.power import plan_of
    from dyto.comparing.report import write_report
    from dyto.evaluation.outcome import ErrorLimit
    from dyto.evaluation.settings import Settings
    from dyto.strategies.published import split_names

    settings = Settings(
        benchmark=name,
        **asdict(questions),
        loading=loading,
        prompt=prompt,
        sampling=frames.sampling_options(usual=100),
        max_new_tokens=max_new_tokens,
        scoring=scoring,
        error_limit=ErrorLimit.parse(fail_on_error),
        **scale.settings(),
    )
    chosen = None if by is None else split_names(",".join(by))
    contest = Comparison(
        settings,
        out_dir,
        strategies,
        budgets,
        rotate=rotate,
        blind=blind,
        rivals=rivals,
        by=tuple(chosen or ()),
        margin=margin / 100,
    )
    precision = None if plan is None else share_of_points("plan", plan)
    if retry_failed:
        err.print(f"asking {contest.folders.forget_unanswered()} unanswered questions again", markup=False)
    with Bars(err, settings.spec.title) as bars:
        found = compare(contest, progress=bars.asking)
    if precision is not None and found["questions"]:
        found |= {"plan": plan_of(found, precision, margin=contest.margin)}
    drawn = draw(found, out_dir) if pictures else []
    paths = [*write_report(found, out_dir, drawn), out_dir / "compare.json", *drawn]
    if as_json:
        write_json(found, allow_nan=False)
    else:
        show(found, chosen and contest.by)
    err.print(f"written: {', '.join(map(str, paths))}", markup=False)
    if not found["questions"]:
        if any(cell["unanswered"].get("missing_video") for cell in found["cells"]):
            err.print(settings.where_looked(), style="yellow", markup=False)
        err.print(f"dyto: no question of {settings.spec.title} was answered", style="red", markup=False)
        raise SystemExit(NOTHING_ANSWERED)


def draw(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw the pictures; if matplotlib is missing, say so and continue without."""
    from dyto.comparing.plots import draw_all

    try:
        return draw_all(found, folder)
    except MissingExtraError as error:
        err.print(f"no pictures: {error}", style="yellow", markup=False)
        return []


def show(found: Mapping[str, Any], by: Sequence[str] | None = None) -> None:
    """Print the tables, followed by the notes that a reader needs."""
    from dyto.comparing.report import explanations, headline
    from dyto.comparing.tables import accuracy_table, cost_table, group_tables, groupings, power_table

    if not out.is_terminal:
        out.width = WIDE
    out.print(headline(found), markup=False)
    print_table(accuracy_table(found))
    for line in found["attention"]:
        out.print(f"(!) {line}", style="bold red", markup=False)
    for grouping in groupings(found):
        tables = group_tables(found, grouping)
        if grouping in (by or ()) or (by is None and len(tables[0][0]) <= MOST_COLUMNS):
            out.print(f"\nby {grouping} (questions)", markup=False)
            for table in tables:
                print_table(table)
    out.print("\nwhat was shown, and what it would take", markup=False)
    print_table(power_table(found))
    if "plan" in found:
        show_plan(found["plan"])
    out.print("\nseconds per video, and peak memory", markup=False)
    print_table(cost_table(found))
    for text in [*explanations(found), *found["notes"]]:
        out.print(f"- {text}", markup=False)


def share_of_points(name: str, points: float) -> float:
    """Convert points to a share of 1.

    Raises:
        ConfigError: The points are not between 0 and 100.
    """
    if not 0 < points < 100:
        raise ConfigError(f"--{name} {points:g}, expected points: more than 0 and less than 100, such as 2")
    return points / 100


def show_plan(planned: Mapping[str, Any]) -> None:
    """Print a plan."""
    from dyto.comparing.tables import plan_notes, plan_table

    out.print(f"\na run that is precise to {100 * planned['precision']:g} points", markup=False)
    print_table(plan_table(planned))
    for line in plan_notes(planned):
        out.print(f"- {line}", markup=False)


def print_table(table: Cells) -> None:
    """Print one table, names aligned left, numbers aligned right; below one another what does not fit side by side."""
    head, rows = table
    for columns in side_by_side(table, out.width):
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for number in columns:
            grid.add_column(head[number], justify="left" if number == 0 else "right", no_wrap=number > 0)
        for row in rows:
            grid.add_row(*(row[number] for number in columns))
        out.print(grid)


def side_by_side(table: Cells, width: int) -> list[list[int]]:
    """Split the columns of a table into parts that fit, each of which begins with what names its rows.

    Args:
        table: The headings and the rows.
        width: Characters in a line.

    Example:
        >>> side_by_side((["pair", "budget", "long", "short"], [["a - b", "58", "+1.0", "+2.0"]]), 22)
        [[0, 1, 2], [0, 1, 3]]
    """
    head, rows = table
    wide = [max(map(cell_len, column)) + GAP for column in zip(head, *rows, strict=True)]
    named = 2 if head[1:2] == ["budget"] else 1
    parts, used = [list(range(named))], sum(wide[:named])
    for number in range(named, len(head)):
        if used + wide[number] > width + GAP and len(parts[-1]) > named:
            parts.append(list(range(named)))
            used = sum(wide[:named])
        parts[-1].append(number)
        used += wide[number]
    return parts
