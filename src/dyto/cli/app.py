"""The command line: `dyto list`, and the commands of other modules, each imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from dyto.cli import clock
from dyto.cli.console import out
from dyto.cli.plugins import Commands
from dyto.cli.process import report_errors
from dyto.cli.quick import quickly
from dyto.errors import ConfigError

MODULES = {
    "ask": "asking", "chat": "chatting", "list": "app", "remember": "remembering", "watch": "remembering",
    "search": "searching", "batch": "batch", "eval": "evaluation", "prepare": "evaluation", "report": "evaluation",
    "compare": "comparing", "plan": "comparing", "certify": "certifying", "inspect": "inspecting",
    "frames": "moments", "timeline": "moments", "demo": "demo", "serve": "serving", "synth": "synthetic",
    "results": "results",
}  # fmt: skip
"""The module of each command, in the order of `dyto --help`. Each has a function `register`; only the one in demand is
imported."""

# File names and answers are printed verbatim, including brackets and ":words:".


def root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the library's log.")] = False,
) -> None:
    """Ask questions about videos, with image models and without training. Unofficial implementation of DyTo."""
    if show_version:
        from importlib.metadata import version

        out.print(f"dyto {version('dyto')}")
        raise typer.Exit


def list_names(
    what: Annotated[
        str, typer.Argument(help="models, strategies, presets, benchmarks, prompts or savings.", show_default=False)
    ],
) -> None:
    """List the names that other commands take."""
    from dyto.cli.listing import table

    columns, rows = table(what)
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for style, row in [("bold", columns), *((None, row) for row in rows)]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), style=style)


def register(app: typer.Typer) -> None:
    """Add the command `list` to a command line."""
    app.command("list")(list_names)


def app_for(words: Sequence[str]) -> typer.Typer:
    """Return a command line with the command that some words call, or with all commands if they call none of them.

    Example:
        >>> len(app_for(["list", "models"]).registered_commands)
        1
    """
    app = typer.Typer(
        name="dyto",
        cls=Commands,
        help="Ask questions about videos, with image models and without training. Unofficial implementation of DyTo.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback(invoke_without_command=True)(root)
    called = next((word for word in words if not word.startswith("-")), None)
    for module in dict.fromkeys([MODULES[called]] if called in MODULES else MODULES.values()):
        import_module(f"dyto.cli.{module}").register(app)
    return app


def spread_choices(argv: Sequence[str]) -> list[str]:
    """Let `--choices` take several values by repeating `--choices` before each, as the parser expects.

    Example:
        >>> spread_choices(["ask", "v.mp4", "q?", "--choices", "a", "b", "--json"])
        ['ask', 'v.mp4', 'q?', '--choices', 'a', '--choices', 'b', '--json']
    """
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)  # nothing after it is an option
    spread: list[str] = []
    inside = False
    for word, following in zip(words[:end], [*words[1:end], "--"], strict=False):
        if word == "--choices" and following.startswith("--"):
            raise ConfigError(
                "found --choices without values, expected two or more: give e.g. --choices 'a cat' 'a dog'"
            )
        if word.startswith("--"):
            inside = word == "--choices"
            if not inside:
                spread.append(word)
        elif inside:
            spread += ["--choices", word]
        else:
            spread.append(word)
    return spread + words[end:]


def allow_bare_png(argv: Sequence[str]) -> list[str]:
    """Let `--png` be used without a folder: it then gets an empty value, which means a folder next to the page.

    Example:
        >>> allow_bare_png(["inspect", "v.mp4", "--png", "--out", "p.html"])
        ['inspect', 'v.mp4', '--png=', '--out', 'p.html']
    """
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    for index in range(end):
        following = words[index + 1] if index + 1 < end else "--"
        if words[index] == "--png" and (following.startswith("-") or Path(following).is_file()):
            words[index] = "--png="
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors become one line on stderr.

    Args:
        argv: Arguments of the command; None for those of the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return run(words, "--debug" in words, first=argv is None)


def run(words: list[str], debug: bool, *, first: bool = False) -> int:
    """Run one command and return its exit status.

    Args:
        words: Its arguments.
        debug: As for `report_errors`.
        first: Whether this is what the process was started for.
    """
    if not first:
        clock.restart()
    given = [word for word in words if word != "--debug"]

    def command() -> None:
        with quickly():
            app = app_for(given)
        app(allow_bare_png(spread_choices(given)), prog_name="dyto")

    return report_errors(command, debug)
