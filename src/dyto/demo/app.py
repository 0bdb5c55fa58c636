"""The page of the demo, and the server behind it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from dyto.demo.addresses import Addresses
from dyto.demo.engine import DemoEngine
from dyto.demo.handling import ASKED, SHOWN, Handlers
from dyto.demo.limits import DemoLimits
from dyto.demo.look import BUSY, CLEARED, CSS, IDLE, OPENED, UPLOADED, sample_script, sample_style
from dyto.demo.parts import layout, shown_models
from dyto.demo.places import own_folder
from dyto.demo.samples import make_samples
from dyto.demo.server import build_site, open_door, run_site
from dyto.demo.uploads import Uploads
from dyto.demo.visitors import Visitors
from dyto.errors import MissingExtraError

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 20
"""Seconds between searches for old files."""


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    public_url: str | None = None,
    limits: DemoLimits | None = None,
    waiting: int = 16,
    ready: Callable[[str], None] = lambda address: None,
    until: threading.Event | None = None,
    **loading: Any,
) -> None:
    """Serve the demo until it is interrupted; no uploads are kept.

    Args:
        models: Names of models to offer; the first is loaded at once, while the page is already there.
        host: Host to listen on.
        port: Port to listen on; 0 for any free port.
        public_url: Public address of a proxy in front of the demo; None without a proxy.
        limits: Limits on videos.
        waiting: Number of questions that may wait for one model.
        ready: Called with the address.
        until: Event that ends the demo; None to run until an interrupt. It is also set if the first model cannot be
            loaded.
        **loading: Options of `dyto.load_model`.

    Raises:
        MissingExtraError: The package gradio is not installed.
        ConfigError: The port is taken, the public address is invalid, or there is no room for files.
        ModelError: The first model cannot be loaded.
    """
    bounds, ended = limits or DemoLimits(), threading.Event()
    over = until or threading.Event()
    with own_folder() as folder, open_door(host, port) as door:
        engine = DemoEngine(tuple(models), bounds, loading, max(1, waiting))
        try:
            addresses = Addresses(host, door.getsockname()[1], public_url)
            gr = _gradio()
            first = engine.begin(models[0])
            first.add_done_callback(lambda done: over.set() if not done.cancelled() and done.exception() else None)
            visitors = Visitors(Uploads(folder, bounds, engine.forget))
            visitors.watch(ended, min(SWEEP_SECONDS, 60 * bounds.keep_minutes))
            page, style = build_page(gr, engine, visitors, folder)
            site = build_site(gr, page, visitors, addresses, waiting=max(1, waiting), limits=bounds, css=style)
            run_site(site, door, lambda: ready(addresses.local), over)
            if first.done() and not first.cancelled():
                first.result()
        finally:
            ended.set()
            engine.stop()


def _gradio() -> Any:
    try:
        return import_module("gradio")
    except ImportError as err:
        raise MissingExtraError("The web demo", "gradio", "demo") from err


def build_page(gr: Any, engine: DemoEngine, visitors: Visitors, folder: Path) -> tuple[Any, str]:
    """Build the page as gradio blocks.

    Args:
        gr: The gradio module.
        engine: The engine that answers.
        visitors: The visitors and their files.
        folder: Folder for samples.

    Returns:
        The blocks, to queue and mount behind a `Gate`, and their style sheet.
    """
    samples = make_samples(folder / "samples")
    handlers = Handlers(gr, engine, visitors)
    with gr.Blocks(title="dyto", analytics_enabled=False) as page:
        given, shown = layout(gr, engine, samples)
        # The video to ask about and the subtitles beside it: only their tokens are sent.
        token, spoken = (gr.Textbox(visible="hidden", elem_id=name) for name in ("token", "spoken-token"))
        turns = gr.State(())
        parts = {**vars(shown), "question": given.question, "options": given.options, "turns": turns}
        quick = {"api_name": False, "concurrency_limit": None, "show_progress": "hidden", "postprocess": False}
        page.load(None, None, None, js=OPENED, api_name=False)
        page.load(handlers.greet, None, [shown.status], **quick)
        asks = [given.ask.click, given.question.submit]
        gr.on(asks, None, None, None, js=BUSY, api_name=False)
        asking = gr.on(
            asks,
            handlers.ask(),
            [token, spoken, given.listens, given.question, given.options, *given.how, turns],
            [parts[name] for name in ASKED],
            # The engine manages the queue and informs waiting visitors. Nothing is served as a public file.
            **quick,
        )
        asking.then(None, None, None, js=IDLE, api_name=False)
        stopping = given.stop.click(None, None, [shown.status], js="() => 'Stopped.'", cancels=[asking], api_name=False)
        stopping.then(None, None, None, js=IDLE, api_name=False)
        for button, sample in zip(given.samples, samples, strict=True):
            visitors.uploads.add_sample(sample.path.name, sample.path, sample.name)
            script = sample_script(sample, list(shown_models(engine.models)))
            filled = [token, given.file, given.question, given.options, given.how[0], given.subtitles, spoken]
            button.click(None, [given.how[0]], filled, js=script, api_name=False)
        given.file.upload(None, [given.file], [token], js=UPLOADED, api_name=False)
        given.file.clear(None, None, [token, given.subtitles, spoken], js=CLEARED, api_name=False)
        given.subtitles.upload(None, [given.subtitles], [spoken], js=UPLOADED, api_name=False)
        given.subtitles.clear(None, None, [spoken], js="() => ''", api_name=False)
        token.change(handlers.hold(), [token, spoken], [parts[name] for name in SHOWN], **quick)
        spoken.change(handlers.hear(), [token, spoken], [shown.said], **quick)
    return page, CSS + sample_style(samples)
