"""`dyto synth`: videos and benchmarks of the synthetic world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyto.cli.console import out as console
from dyto.errors import ConfigError
from dyto.synthetic.regimes import LONG_REGIMES, REGIMES

app = typer.Typer(
    name="synth",
    help="Make videos of coloured shapes, with questions whose true answers are known.",
    no_args_is_help=True,
)


def register(commands: typer.Typer) -> None:
    """Add the commands to a command line."""
    commands.add_typer(app)


@app.command()
def video(
    out: Annotated[Path, typer.Option(help="The MP4 file to write.")],
    seed: Annotated[int, typer.Option(help="Seed of the video.", min=0)] = 0,
    questions: Annotated[Path | None, typer.Option(help="JSON file for the questions and true answers.")] = None,
    regime: Annotated[str, typer.Option(help=f"Kind of video: {', '.join((*REGIMES, *LONG_REGIMES))}.")] = "mixed",
    seconds: Annotated[
        float | None,
        typer.Option(help=f"Length in seconds, 20 to 3600, for {LONG_REGIMES[0]} and the regimes after it."),
    ] = None,
    event: Annotated[
        float | None, typer.Option(help="Length of each event in seconds, for the same regimes.", min=0.1)
    ] = None,
) -> None:
    """Write one video of the synthetic world as H.264, 20 seconds long unless you set --seconds."""
    from dyto.synthetic.benchmark import synth_video

    records = synth_video(seed, out, questions, regime, seconds, event)
    where = f" in {questions}" if questions else ""
    console.print(f"{out}: {regime}, seed {seed}, {len(records)} questions{where}", markup=False)


@app.command()
def benchmark(
    out: Annotated[Path, typer.Option(help="Folder for question files and videos.")],
    split: Annotated[str, typer.Option(help="dev or test; they share no videos.")] = "dev",
    videos: Annotated[int, typer.Option(help="Number of videos of each regime.", min=1)] = 20,
    seconds: Annotated[
        str | None,
        typer.Option(
            help=f"Instead, make films of {LONG_REGIMES[0]} and the regimes after it, of these lengths in turn, "
            "such as 20,60,600 (20 to 3600).",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Instead, make films of the photographs in this folder, whose names say what they show."),
    ] = None,
) -> None:
    """Write the benchmark for `dyto eval synthetic`: videos of every regime, with questions."""
    from dyto.synthetic.benchmark import CHOICE_FILE, synth_benchmark
    from dyto.synthetic.photo_benchmark import photo_benchmark

    if seconds is not None and pictures is not None:
        raise ConfigError("found both --seconds and --pictures, which make different films: leave one out")
    lengths = lengths_of(seconds) if seconds is not None else []
    with console.status("writing") as status:

        def told(done: int, every: int) -> None:
            status.update(f"video {done} of {every}")

        if pictures is None:
            counts = synth_benchmark(split, out, videos, told, lengths)
        else:
            counts = photo_benchmark(pictures, split, out, videos, told)
    console.print(
        f"{out / CHOICE_FILE.parts[0]}: {counts['videos']} videos, {counts['choice']} questions with options, "
        f"{counts['free']} for free answers",
        markup=False,
    )


def lengths_of(text: str) -> list[float]:
    """Read lengths in seconds.

    Example:
        >>> lengths_of("20, 60,600")
        [20.0, 60.0, 600.0]

    Raises:
        ConfigError: They are no numbers, or there is none.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--seconds is {text!r}, expected numbers with commas between them, such as 20,60,600"
        ) from None
