"""The command `dyto bench`: its options, checks before a model is loaded, and output."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dyto.cli import options
from dyto.cli.console import err, out
from dyto.cli.groups import Flags, with_flags
from dyto.errors import ConfigError, MissingExtraError, unknown
from dyto.models.loading.options import Loading

if TYPE_CHECKING:
    from dyto_bench.plan import Subject
    from dyto_bench.sides import Side

WIDE = 200

Video = Annotated[
    str | None,
    typer.Argument(help="A video file. (default: a drawn clip of 30 seconds)", show_default=False),
]
RandomWeights = Annotated[
    options.Text,
    typer.Option(
        help="Instead of --model, random weights of a real shape: llava-next-7b, llava-next-34b or qwen3-vl-8b.",
        metavar="NAME",
    ),
]


LoadingOptions = Annotated[Loading, Flags(options.LOADING, without=("device_map", "quantization"), filled=False)]


@with_flags
def bench_command(
    video: Video = None,
    *,
    loading: LoadingOptions,
    random_weights: RandomWeights = None,
    shrink: Annotated[int, typer.Option(help="Divide width and depth of --random-weights by this.")] = 1,
    chosen: options.StrategyOptions,
    num_frames: Annotated[int, typer.Option("--num-frames", "--frames", help="Frames to sample.")] = 100,
    runs: Annotated[int, typer.Option(help="Number of measured runs of every side.")] = 5,
    questions: Annotated[str, typer.Option(help="Numbers of further questions, comma-separated.")] = "1,4,16",
    batch_sizes: Annotated[str, typer.Option(help="Numbers of questions at a time, comma-separated.")] = "1,4,16",
    new_tokens: Annotated[int, typer.Option(help="Number of tokens of every answer, on all sides.")] = 16,
    savings: Annotated[bool, typer.Option(help="Also measure without all savings, and without each saving.")] = True,
    without: Annotated[
        options.Text, typer.Option(help="Measure only without these savings, comma-separated.", metavar="A,B")
    ] = None,
    added: Annotated[
        options.Text,
        typer.Option("--with", help="Also measure with savings that are off by default.", metavar="similar=2,..."),
    ] = None,
    rivals: Annotated[
        str, typer.Option(help="Rivals: stock, or for reading pyav, decord, torchcodec, opencv; or none.")
    ] = "stock",
    out_dir: options.OutFolder = Path("outputs/bench"),
    picture: Annotated[bool, typer.Option(help="Draw the picture (needs matplotlib).")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else.")
    ] = False,
) -> None:
    """Show where the time goes: every stage, with and without each saving, beside rivals in the same run."""
    measure_and_report(
        RIVAL_MAKERS,
        video=video,
        rivals=rivals,
        out_dir=out_dir,
        runs=runs,
        num_frames=num_frames,
        questions=questions,
        batch_sizes=batch_sizes,
        new_tokens=new_tokens,
        savings=savings,
        without=without,
        added=added,
        random_weights=random_weights,
        shrink=shrink,
        loading=loading,
        strategy=chosen.make(),
        picture=picture,
        as_json=as_json,
    )


def measure_and_report(
    makers: Mapping[str, Callable[[Subject], Side]],
    *,
    video: str | None,
    rivals: str,
    out_dir: Path,
    savings: bool,
    without: str | None,
    added: str | None,
    questions: str,
    batch_sizes: str,
    picture: bool,
    as_json: bool,
    **settings: Any,
) -> dict[str, Any]:
    """Check the options, measure, write and print; impossible requests fail before a model is loaded.

    Args:
        makers: The available rivals, by name.
        video: The file; None to draw a clip.
        rivals: Names of rivals, comma-separated, or "none".
        out_dir: Folder to write to.
        savings: Whether to measure also without savings.
        without: The savings to turn off one by one, comma-separated; None for all.
        added: The savings to turn on one by one, comma-separated; None for none.
        questions: Numbers of further questions, comma-separated.
        batch_sizes: Numbers of questions at a time, comma-separated.
        picture: Whether to draw a picture.
        as_json: Print the document and nothing else.
        **settings: See `dyto_bench.setup.load_subject`.

    Returns:
        The document.
    """
    from dyto.video import existing
    from dyto_bench import report, setup
    from dyto_bench.reading import READERS
    from dyto_bench.running import bench

    chosen = [] if rivals == "none" else [name.strip() for name in rivals.split(",")]
    readers = [name for name in chosen if name in READERS]
    for name in chosen:
        if name not in makers and name not in readers:
            raise unknown("rival", name, [*makers, *READERS, "none"])
    report.check_folder(out_dir)
    if picture:
        check_matplotlib()
    if video is not None:
        existing(video)
    plan = setup.read_plan(settings, numbers(questions, "--questions"), numbers(batch_sizes, "--batch-sizes"))
    others = setup.versions(savings, without, added)
    with err.status("loading the model") as status, tempfile.TemporaryDirectory() as folder:
        subject = setup.load_subject(plan, video, Path(folder), status.update, **settings)
        sides = [*setup.our_sides(subject, others), *(makers[name](subject) for name in chosen if name in makers)]
        document = bench(subject, sides, status.update, readers)
    paths = report.write(document, out_dir)
    if picture:
        from dyto_bench.chart import draw

        paths.append(draw(document, out_dir / report.PICTURE_FILE))
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        show(document)
    err.print(f"written: {', '.join(map(str, paths))}", markup=False)
    return document


def check_matplotlib() -> None:
    """Report before the measurement, not after it, that the picture cannot be drawn."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingExtraError("The picture (leave it out with --no-picture)", "matplotlib", "plots")


def numbers(text: str, option: str) -> tuple[int, ...]:
    """Parse comma-separated whole numbers.

    Example:
        >>> numbers("1,4,16", "--questions")
        (1, 4, 16)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} is {text!r}, expected comma-separated whole numbers, such as 1,4,16") from error


def show(document: Mapping[str, Any]) -> None:
    """Print the tables and, below them, the notes for the reader."""
    from dyto_bench.report import headline, remarks, tables

    if not out.is_terminal:
        out.width = WIDE
    for line in headline(document):
        out.print(line)
    for head, rows in tables(document, whole=False):
        out.print()
        print_table(head, rows)
    out.print()
    for line in remarks(document):
        out.print(f"- {line}")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print one table: the first column aligned left, numbers aligned right."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(head):
        is_text = number == 0 or heading in ("side", "what holds it")
        grid.add_column(heading, justify="left" if is_text else "right", no_wrap=heading != "what holds it")
    for row in rows:
        grid.add_row(*row)
    out.print(grid)


def _stock(subject: Subject) -> Side:
    from dyto_bench.stock import Stock

    return Stock(subject)


RIVAL_MAKERS: dict[str, Callable[[Any], Any]] = {"stock": _stock}
"""The rivals of `dyto bench`."""
