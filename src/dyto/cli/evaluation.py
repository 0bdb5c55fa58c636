"""The commands `dyto eval`, `dyto prepare` and `dyto report`; `register` adds them to the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dyto.cli import options
from dyto.cli.console import err, out
from dyto.cli.groups import Flags, with_flags
from dyto.errors import ConfigError
from dyto.evaluation.progress import Bars
from dyto.inspecting.harmless import harmless
from dyto.models.loading.options import Loading

if TYPE_CHECKING:
    from dyto.evaluation.prepare import Prepared


Name = Annotated[
    str,
    typer.Argument(
        metavar="BENCHMARK",
        help="A name from `dyto list benchmarks`, vcgbench for its three parts, or FILE.py:NAME for your own.",
        show_default=False,
    ),
]
Folder = Annotated[Path, typer.Option(help="Folder for all output.")]


def register(app: typer.Typer) -> None:
    """Add the evaluation commands to a command line."""
    app.command("eval")(evaluate_command)
    app.command("prepare")(prepare_command)
    app.command("report")(report_command)


def prepare_command(
    name: Name,
    qa_file: Annotated[
        Path, typer.Option(help="The public file as downloaded (for MVBench and VCGBench, the folder).")
    ],
    gt_dir: Annotated[Path, typer.Option("--out", help="Folder for prepared question files.")] = Path(
        "playground/gt_qa_files"
    ),
    encoding: Annotated[
        options.Text, typer.Option(help="Encoding of the file. (default: UTF-8, or by its byte-order mark)")
    ] = None,
) -> None:
    """Convert a benchmark's public question file to the common layout."""
    from dyto.evaluation.prepare import prepare

    for done in prepare(name, qa_file, out=gt_dir, encoding=encoding):
        show_prepared(done)


def show_prepared(done: Prepared) -> None:
    """Print the written files, and the rows that contradict themselves."""
    for complaint in done.complaints:
        err.print(f"{done.benchmark.title}, {complaint}", style="yellow", markup=False)
    files = ", ".join(map(str, done.paths))
    out.print(f"{done.benchmark.title}: {done.rows} questions about {done.videos} videos -> {files}", markup=False)
    if done.benchmark.rows not in (None, done.rows):
        err.print(f"note: the public file of {done.benchmark.title} has {done.benchmark.rows} rows", style="yellow")


@with_flags
def evaluate_command(
    name: Name,
    questions: options.QuestionOptions,
    loading: Annotated[
        Loading,
        Flags(
            options.LOADING
            | {
                "device": Annotated[options.Text, typer.Option(help="Use one device. (default: all GPUs, or the CPU)")],
                "device_map": Annotated[
                    options.Text, typer.Option(help="auto spreads a large model over several devices, with one worker.")
                ],
            }
        ),
    ],
    chosen: options.StrategyOptions,
    frames: options.WholeVideoOptions,
    savings: options.SavingOptions,
    cache: options.CacheOptions,
    judge: options.JudgeOptions,
    scale: options.ScaleOptions,
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    scoring: Annotated[str, typer.Option(help="Score multiple choice by letter or by likelihood.")] = "letter",
    subtitles: Annotated[
        str, typer.Option(help="none, or auto: put what is said into the prompts.", metavar="auto|none")
    ] = "none",
    shard: Annotated[
        str, typer.Option(help="Share of the videos, as i/n: every n-th, beginning with the i-th.")
    ] = "1/1",
    yes: Annotated[bool, typer.Option("--yes", help="Pay the judge without asking.")] = False,
    run_name: Annotated[
        options.Text, typer.Option("--name", help="Name of the run. (default: made from its settings)")
    ] = None,
    out_dir: options.OutFolder = Path("outputs"),
    merge: Annotated[
        list[Path] | None,
        typer.Option(help="Merge the rows of a shard from this output folder; repeatable.", metavar="DIR"),
    ] = None,
    retry_failed: options.RetryFailed = False,
    fail_on_error: options.FailOnError = None,
    as_json: options.ResultsAsJson = False,
) -> None:
    """Run a benchmark, or continue an earlier run; score it and compare it with the paper."""
    from dyto.benchmarks import expand
    from dyto.evaluation.outcome import ErrorLimit
    from dyto.evaluation.settings import Settings

    if subtitles not in ("auto", "none"):
        raise ConfigError(f"found --subtitles {subtitles}, expected auto or none: a benchmark has many videos")
    settings = [
        Settings(
            benchmark=part,
            **asdict(questions),
            loading=loading,
            **chosen.settings(),
            prompt=prompt,
            sampling=frames.sampling_options(usual=100),
            max_new_tokens=max_new_tokens,
            scoring=scoring,
            spoken="auto" if subtitles == "auto" else None,
            shard=parse_shard(shard),
            **scale.settings(),
            **cache.settings(),
            name=run_name,
            folders={"out": out_dir},
            error_limit=ErrorLimit.parse(fail_on_error),
            savings=savings.make(),
        )
        for part in expand(name, questions.qa_file)
    ]
    for setting in settings:
        for folder in merge or []:
            taken = setting.run_folders().merge(replace(setting, folders={"out": folder}).run_folders())
            err.print(f"{setting.spec.title}: {taken} rows of {folder}", markup=False)
    found = run_all(settings, judge.make(), pay=yes, retry_failed=retry_failed)
    if as_json:
        write_json(found)
    else:
        show(found)
    leave_where_nothing_was_answered(found)


def write_json(value: Any, *, allow_nan: bool = True) -> None:
    """Write one JSON document to stdout and nothing else."""
    from dyto.evaluation.files import encoded

    sys.stdout.write(encoded(json.dumps(value, ensure_ascii=False, allow_nan=allow_nan)).decode() + "\n")


def leave_where_nothing_was_answered(found: Sequence[Mapping[str, Any]]) -> None:
    """Exit with status 3 if a run has no answer at all, because its figures mean nothing."""
    empty = [run["title"] for run in found if not run["answered"] and run["unanswered"].keys() - {"not_reached"}]
    for title in empty:
        err.print(f"dyto: no question of {title} was answered", style="red", markup=False)
    if empty:
        raise SystemExit(NOTHING_ANSWERED)


def parse_shard(text: str) -> tuple[int, int]:
    """Parse a shard "i/n".

    Example:
        >>> parse_shard("2/8")
        (2, 8)
    """
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal()):
        raise ConfigError(f"shard {text!r}, expected i/n, such as 1/4 for the first of four")
    return int(index), int(count)


def run_all(settings: Sequence[Any], judging: Any, *, pay: bool, retry_failed: bool = False) -> list[dict[str, Any]]:
    """Run several benchmarks one after another, with progress on stderr, and return the results of each."""
    from dyto.evaluation.evaluate import Hooks, evaluate

    found = []
    for setting in settings:
        if retry_failed:
            dropped = setting.run_folders().forget_unanswered()
            err.print(f"{setting.spec.title}: asking {dropped} unanswered questions again")
        if judging.resolved == "offline" and setting.spec.kind != "choice":
            err.print(OFFLINE_NOTE, style="yellow")
        with Bars(err, setting.spec.title) as bars:

            def spend(bill: Any, judge: str, bars: Bars = bars) -> bool:
                with bars.paused():
                    err.print(f"judge {judge}: {bill}", markup=False)
                    return pay or not sys.stdin.isatty() or typer.confirm("Go on?", err=True)

            hooks = Hooks(asking=bars.asking, judging=bars.judging, spend=spend)
            found.append(evaluate(setting, judging, hooks=hooks))
        if found[-1]["unanswered"].get("missing_video") and not found[-1]["answered"]:
            err.print(setting.where_looked(), style="yellow", markup=False)
        where = setting.run_folders().artifacts
        unfinished = "" if found[-1]["complete"] else "; other shards are still missing, so nothing is judged yet"
        err.print(f"{setting.spec.title}: {where}{unfinished}", markup=False)
    return found


WIDE, WIDEST = 200, 80
NOTHING_ANSWERED = 3
"""Exit status of a run without any answer."""

OFFLINE_NOTE = (
    "note: no OPENAI_API_KEY or OPENAI_BASE_URL is set, so answers are judged offline by exact match after "
    "normalisation. That is stricter than the paper's judge, so the figures are not comparable."
)


def report_command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Results folders, or folders above them.", show_default="outputs"),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for report.md, .csv and .json. (default: the first folder)"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON on stdout, and nothing else.")
    ] = False,
    unanswered: Annotated[
        bool, typer.Option("--unanswered", help="List the questions without an answer, and why; write nothing.")
    ] = False,
) -> None:
    """Print and write the results of runs, next to the paper's figures."""
    from dyto.evaluation.report import find_results, find_unanswered, table, write_report

    places = folders or [Path("outputs")]
    if unanswered:
        show_unanswered(find_unanswered(places), as_json=as_json)
        return
    found = find_results(places)
    paths = write_report(found, out_dir or places[0])
    if as_json:
        write_json(table(found))
    else:
        show(found)
    err.print(f"written: {', '.join(map(str, paths))}", markup=False)


def show_unanswered(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows without an answer, one a line: run, number of the question, video, status and reason."""
    if as_json:
        write_json(rows)
        return
    for row in rows:
        place = f"{row['config']}, question {row['place'] + 1}" + (row["video_name"] and f", {row['video_name']}")
        out.print(harmless(f"{place}: {row['status']}: {row['reason']}"), markup=False, soft_wrap=True)
    out.print(f"{len(rows)} questions without an answer")


def show(found: Sequence[Mapping[str, Any]]) -> None:
    """Print results as a table and, below it, the notes for the reader."""
    from dyto.evaluation.report import interval_text, notes_of, table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("benchmark", "config", "group"):
        grid.add_column(heading, overflow="fold")
    for heading in ("measure", "value (95 %)", "n", "coverage", "of all", "paper"):
        grid.add_column(heading, no_wrap=True, justify="left" if heading == "measure" else "right")
    for line in table(found):
        names = (harmless(line[part])[:WIDEST] for part in ("benchmark", "config", "group", "measure"))
        cells = [*names, interval_text(line)]
        numbers = (line["questions"], line["coverage"], line["unanswered_as_wrong"], line["paper"])
        grid.add_row(*cells, *("–" if n is None else f"{n:.4g}" for n in numbers))
    if not out.is_terminal:
        out.width = WIDE
    out.print(grid)
    for note in dict.fromkeys(note for results in found for note in notes_of(results)):
        out.print(f"- {harmless(note)}", markup=False)
