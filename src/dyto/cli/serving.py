"""The command `dyto serve`; `register` adds it to the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dyto.cli import options
from dyto.cli.console import out
from dyto.cli.groups import with_flags
from dyto.cli.process import Terminated, hurry
from dyto.cli.waiting import loading_model
from dyto.errors import ConfigError
from dyto.models.loading.chosen import chosen_model
from dyto.models.loading.options import Loading


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("serve")(serve_command)


@with_flags
def serve_command(
    loading: options.ModelOptions,
    chosen: options.StrategyOptions,
    savings: options.SavingOptions,
    prompt: options.PromptName = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            help="Stand in front of this OpenAI-compatible server, such as http://127.0.0.1:8001/v1: key frames are "
            "chosen here, and it answers.",
            metavar="URL",
        ),
    ] = None,
    upstream_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the key of that server.", metavar="NAME")
    ] = None,
    upstream_model: Annotated[
        str | None, typer.Option(help="Name of the model there. (default: the only one)", metavar="NAME")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback needs --api-key-env.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any free port.", min=0, max=65535)] = 8000,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Public address of a proxy in front of the service, such as https://video.example.org. Requests for "
            "other addresses are refused."
        ),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(help="Environment variable with the keys of clients, separated by commas.", metavar="NAME"),
    ] = None,
    media_root: Annotated[
        Path | None, typer.Option(help="Folder with files that clients may name (file:).", metavar="DIR")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Host from which media may be downloaded; repeatable.", metavar="HOST[:PORT]"),
    ] = None,
    max_media_mb: Annotated[float, typer.Option(help="Size limit of one video, in MB.", min=0.001)] = 200,
    max_minutes: Annotated[float, typer.Option(help="Longest video, in minutes.", min=0.1)] = 120,
    max_queue: Annotated[int, typer.Option(help="Number of questions that may wait.", min=1)] = 64,
    max_batch: Annotated[int, typer.Option(help="Largest number of questions in one batch.", min=1)] = 16,
    keep_gb: Annotated[float, typer.Option(help="GB for tokens and prefixes of known videos.", min=0)] = 1.0,
    drain_seconds: Annotated[
        float, typer.Option(help="Longest time to finish answers after SIGTERM, in seconds.", min=0)
    ] = 30.0,
) -> None:
    """Serve a model to programs, in the protocol of OpenAI's chat completions."""
    from dyto.serving.engine import Engine
    from dyto.serving.keys import Keys
    from dyto.serving.media import MediaPolicy
    from dyto.serving.server import check_extra, check_reach, serve
    from dyto.video.limits import Limits

    check_extra()
    keys = Keys.from_environment(api_key_env)
    check_reach(host, keys)
    policy = MediaPolicy(media_root, tuple(allow_host or ()), max_media_mb)
    strategy = chosen.make()
    how = _loading(loading, upstream, upstream_key_env, upstream_model)
    with loading_model(loading.model):
        engine = Engine(
            strategy=strategy,
            prompt=prompt,
            savings=savings.make(),
            limits=Limits(hours=max_minutes / 60, fixed=True),
            keep_gb=keep_gb,
            max_batch=max_batch,
            max_queue=max_queue,
            **how,
        )
    try:
        serve(
            engine,
            host=host,
            port=port,
            public_url=public_url,
            keys=keys,
            policy=policy,
            drain_seconds=drain_seconds,
            ready=lambda address: out.print(f"listening on {address}v1\nstop with ctrl-c", soft_wrap=True),
        )
    except (KeyboardInterrupt, Terminated) as stop:
        hurry(130 if isinstance(stop, KeyboardInterrupt) else 143)
        raise


HERE = ("eye", "tokens_per_image", "picture_side", "max_requests", "max_tokens")
"""Options of a model that go with a server that answers."""


def _loading(loading: Loading, upstream: str | None, key_env: str | None, model: str | None) -> dict[str, Any]:
    """Return the model of a service and how to load it.

    Raises:
        ConfigError: Options contradict each other.
    """
    if upstream is None:
        if key_env is not None or model is not None:
            raise ConfigError("found an option of --upstream without --upstream: give its address, too")
        return {"model": loading.model, **loading.options}
    chosen = chosen_model()  # the choice of the environment is for commands that name nothing
    own = {} if chosen is None else {**chosen.options, "model": chosen.model}
    for name, value in (("model", loading.model), ("base_url", loading.base_url)):
        if value is not None and own.get(name) != value:
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"found {flag} {value} and --upstream, expected one: leave {flag} out")
    from dyto.models.endpoint.upstream import upstream_options

    held = {name: value for name, value in loading.options.items() if name in HERE}
    return {**held, **upstream_options(upstream, key_env=key_env, model=model)}
