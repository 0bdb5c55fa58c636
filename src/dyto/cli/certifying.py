"""The command `dyto certify`; `register` adds it to the command line."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dyto.certifying.limit import CALLS, SECONDS
from dyto.cli import options
from dyto.cli.console import out
from dyto.cli.waiting import loading_model

STYLES = {"passed": "green", "FAILED": "bold red", "not examined": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("certify")(certify_command)


def certify_command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="STRATEGY",
            help="MODULE:NAME, FILE.py:NAME, or a name from `dyto list strategies`.",
            show_default=False,
        ),
    ],
    model: options.ModelName = None,
    device: options.Device = None,
    dtype: options.Dtype = None,
    budget: Annotated[
        int | None, typer.Option(help="Budget that a strategy without token_budget must keep.", min=1)
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time limit of one call, in seconds.", min=0.1)] = SECONDS,
    calls: Annotated[int, typer.Option(help="Largest number of consecutive calls.", min=1)] = CALLS,
    only: Annotated[
        options.Text, typer.Option(help="Comma-separated names of the checks to run. (default: all)")
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Check what it makes of a stream, frame by frame, as `dyto watch` does.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Check any strategy: budget, determinism, sources, order, batches, cache, and whether it does anything.

    Exits with status 1 if something is wrong.
    """
    from dyto.certifying.certify import certify
    from dyto.models.loading.load import load_model
    from dyto.strategies.published import split_names
    from dyto.strategies.targets import find_strategy

    strategy = find_strategy(target)  # fail for a missing strategy before a model is loaded
    with loading_model(model, "examining") as status:
        loaded = load_model(model, device=device, dtype=dtype)
        status.update("examining")
        chosen = split_names(only) if only else ()
        report = certify(strategy, loaded, budget=budget, seconds=seconds, calls=calls, only=chosen, online=online)
    if as_json:
        sys.stdout.write(json.dumps(report.to_dict(), ensure_ascii=False) + "\n")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("check", "outcome", "finding"):
            table.add_column(heading, overflow="fold", no_wrap=heading != "finding")
        for check in report.checks:
            table.add_row(check.name, Text(check.outcome, STYLES[check.outcome]), Text(check.detail))
        out.print(table)
        out.print(str(report).splitlines()[-1])
    if not report.passed:
        raise typer.Exit(1)
