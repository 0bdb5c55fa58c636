"""The command `dyto demo`; `register` adds it to the command line."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from dyto import options
from dyto.console import err, out

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("demo")(demo_command)


def demo_command(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model to offer: a name, a folder or a hub name; may be repeated. (default: $DYTO_MODEL or tiny)"
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; other than loopback, everybody can reach it.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Where to listen; 0 for any free one.", min=0, max=65535)] = 7860,
    max_mb: Annotated[int, typer.Option(help="Largest upload, MB.", min=1)] = 200,
    max_minutes: Annotated[float, typer.Option(help="Longest video, minutes.", min=0.1)] = 20,
    max_waiting: Annotated[int, typer.Option(help="Most questions that wait for one model.", min=1)] = 16,
    device: options.Device = None,
    dtype: options.Dtype = None,
    rope_scaling_factor: options.RopeScaling = None,
) -> None:
    """Open a page in the browser that answers questions about videos."""
    from dyto.demo.app import serve
    from dyto.demo.limits import Limits

    names = list(dict.fromkeys(model or [os.environ.get("DYTO_MODEL") or "tiny"]))
    if host not in LOOPBACK:
        err.print(f"note: {host} is not loopback, so everybody who reaches this machine can ask", style="yellow")
    # The server ends on it, and passes it on: it must not end the process before what was uploaded is removed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    serve(
        names,
        host=host,
        port=port,
        limits=Limits(max_mb, max_minutes),
        waiting=max_waiting,
        ready=lambda address: out.print(f"listening on {address}; stop with ctrl-c"),
        device=device,
        dtype=dtype,
        rope_scaling_factor=rope_scaling_factor,
    )
