"""The command `dyto demo`; `register` adds it to the command line."""

from __future__ import annotations

import signal
from typing import Annotated, NoReturn

import typer

from dyto.cli import options
from dyto.cli.console import err, out
from dyto.cli.process import hurry
from dyto.cli.quick import quickly
from dyto.models.loading.naming import check_names, usual_model
from dyto.models.loading.options import Loading, fitting


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("demo")(demo_command)


def demo_command(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model to offer: a name, a folder or a Hub name; repeatable. (default: $DYTO_MODEL, dyto.toml, "
            "or the bundled models)"
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; unless it is loopback, everybody can reach the demo.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any free port.", min=0, max=65535)] = 7860,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Public address of the page behind a proxy, such as https://videos.example.org. Requests for "
            "other addresses are refused."
        ),
    ] = None,
    max_mb: Annotated[int, typer.Option(help="Size limit of one upload, in MB.", min=1)] = 200,
    visitor_mb: Annotated[
        int | None,
        typer.Option(help="Size limit of one visitor's uploads, in MB. (default: twice --max-mb)", min=1),
    ] = None,
    visitor_files: Annotated[
        int, typer.Option(help="Number of uploads that one visitor may have at a time.", min=1)
    ] = 4,
    all_mb: Annotated[
        int | None,
        typer.Option(help="Size limit of all uploads together, in MB. (default: ten times --max-mb)", min=1),
    ] = None,
    all_files: Annotated[
        int, typer.Option(help="Number of uploads that all visitors may have at a time.", min=1)
    ] = 100,
    keep_minutes: Annotated[
        float, typer.Option(help="Delete an upload after this many minutes without questions.", min=0.01)
    ] = 30,
    max_minutes: Annotated[float, typer.Option(help="Longest video, in minutes.", min=0.1)] = 20,
    max_waiting: Annotated[int, typer.Option(help="Number of questions that may wait for one model.", min=1)] = 16,
    device: options.Device = None,
    dtype: options.Dtype = None,
    rope_scaling_factor: options.RopeScaling = None,
    eye: options.EyeName = None,
    base_url: options.BaseUrl = None,
    tokens_per_image: options.TokensPerImage = None,
    picture_side: options.PictureSide = None,
    max_requests: options.MaxRequests = None,
    max_tokens: options.MaxTokens = None,
) -> None:
    """Serve a web page that answers questions about videos."""
    flags = Loading.of_flags(
        model=model[0] if model else None,
        device=device,
        dtype=dtype,
        rope_scaling_factor=rope_scaling_factor,
        eye=eye,
        base_url=base_url,
        tokens_per_image=tokens_per_image,
        picture_side=picture_side,
        max_requests=max_requests,
        max_tokens=max_tokens,
    )
    names = list(dict.fromkeys(model or ([flags.model] if flags.model else [usual_model(None), "tiny"])))
    for name in names:
        check_names(name, fitting(name, flags.options))
    err.print(f"starting, with the model {names[0]}")
    with quickly():
        from dyto.demo.addresses import LOOPBACK
        from dyto.demo.app import serve
        from dyto.demo.limits import DemoLimits

    if host not in LOOPBACK:
        err.print(f"note: {host} is not loopback, so everybody who can reach this machine can ask", style="yellow")
    before = signal.signal(signal.SIGTERM, _end)
    try:
        serve(
            names,
            host=host,
            port=port,
            public_url=public_url,
            limits=DemoLimits(
                max_mb,
                max_minutes,
                visitor_megabytes=visitor_mb,
                visitor_files=visitor_files,
                all_megabytes=all_mb,
                all_files=all_files,
                keep_minutes=keep_minutes,
            ),
            waiting=max_waiting,
            ready=lambda address: out.print(f"listening on {address}\nstop with ctrl-c", soft_wrap=True),
            **flags.options,
        )
    except (KeyboardInterrupt, SystemExit) as stop:
        hurry(stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else 130)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> NoReturn:
    """Exit on SIGTERM, so that all cleanup still runs."""
    raise SystemExit(128 + signal.SIGTERM)
