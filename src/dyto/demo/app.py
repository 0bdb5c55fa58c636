"""The page of the demo, and the server behind it."""

from __future__ import annotations

import html
import io
import logging
import secrets
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from dyto.answer import Answer
from dyto.demo.addresses import Addresses
from dyto.demo.engine import WORDS, DemoEngine
from dyto.demo.events import Captioned, DemoQuestion, QuestionFailed, SideAnswered, StageBegun, TextWritten
from dyto.demo.limits import DemoLimits
from dyto.demo.look import ANNOUNCED, BUSY, IDLE, TOKEN, sample_script
from dyto.demo.messages import unforeseen
from dyto.demo.parts import NOTHING, SIDE_PARTS, controls, shown_models, side
from dyto.demo.places import own_folder
from dyto.demo.samples import make_samples
from dyto.demo.server import build_site, open_door, run_site
from dyto.demo.uploads import Uploads
from dyto.demo.visitors import Visitors
from dyto.errors import ConfigError, MissingExtraError, unknown
from dyto.strategies import PRESETS, STRATEGIES, Strategy, build_strategy
from dyto.strategies.targets import make_second
from dyto.tokens import NOT_ITS_WORLD

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
        models: Names of models to offer; the first is loaded immediately.
        host: Host to listen on.
        port: Port to listen on; 0 for any free port.
        public_url: Public address of a proxy in front of the demo; None without a proxy.
        limits: Limits on videos.
        waiting: Number of questions that may wait for one model.
        ready: Called with the address.
        until: Event that ends the demo; None to run until an interrupt.
        **loading: Options of `dyto.load_model`.

    Raises:
        MissingExtraError: The package gradio is not installed.
        ConfigError: The port is taken, the public address is invalid, or there is no room for files.
        ModelError: The first model cannot be loaded.
    """
    bounds, ended = limits or DemoLimits(), threading.Event()
    with own_folder() as folder, open_door(host, port) as door:
        engine = DemoEngine(tuple(models), bounds, loading, max(1, waiting))
        try:
            addresses = Addresses(host, door.getsockname()[1], public_url)
            gr = _gradio()
            engine.load(models[0])
            visitors = Visitors(Uploads(folder, bounds, engine.forget))
            visitors.watch(ended, min(SWEEP_SECONDS, 60 * bounds.keep_minutes))
            page = build_page(gr, engine, visitors, folder)
            site = build_site(gr, page, visitors, addresses, waiting=max(1, waiting), limits=bounds)
            run_site(site, door, lambda: ready(addresses.local), until)
        finally:
            ended.set()
            engine.stop()


def _gradio() -> Any:
    try:
        return import_module("gradio")
    except ImportError as err:
        raise MissingExtraError("The web demo", "gradio", "demo") from err


def build_page(gr: Any, engine: DemoEngine, visitors: Visitors, folder: Path) -> Any:
    """Build the page as gradio blocks.

    Args:
        gr: The gradio module.
        engine: The engine that answers.
        visitors: The visitors and their files.
        folder: Folder for samples.

    Returns:
        The blocks, to queue and mount behind a `Gate`.
    """
    samples = make_samples(folder / "samples")
    with gr.Blocks(title="dyto", analytics_enabled=False) as page:
        gr.Markdown("# Ask a video\nUpload a clip or take a sample, ask, and see which moments were read.")
        with gr.Row():
            with gr.Column(min_width=320):
                video = gr.Video(label="Video", sources=["upload"], height=300, elem_id="video", buttons=[])
                with gr.Row():
                    buttons = [gr.Button(f"Sample {n + 1}", size="sm", min_width=80) for n in range(len(samples))]
            with gr.Column(min_width=320):
                question = gr.Textbox(label="Question", placeholder="What is shown?", elem_id="question", lines=2)
                options = gr.Textbox(
                    label="Options, one a line (leave empty for an answer in words)", lines=2, elem_id="options"
                )
                ask = gr.Button("Ask", variant="primary", elem_id="ask")
                stop = gr.Button("Stop", variant="stop", elem_id="stop")
                with gr.Accordion("How the video is read", open=False):
                    how = controls(gr, engine)
        token = gr.Textbox(visible="hidden", elem_id="token")  # the video to ask about; only its token is sent
        second = gr.Number(visible="hidden", elem_id="second")
        status = gr.Markdown("", elem_id="status", elem_classes="status")
        with gr.Row(elem_id="answers"):
            sides = [side(gr, second, number) for number in range(2)]
        parts = [part for side in sides for part in side]
        page.load(None, None, None, js=ANNOUNCED, api_name=False)
        gr.on([ask.click, question.submit], None, None, None, js=BUSY, api_name=False)
        asking = gr.on(
            [ask.click, question.submit],
            _handler(gr, engine, visitors),
            [token, question, options, *how],
            [status, *parts],
            concurrency_limit=None,  # the engine manages the queue and informs waiting visitors
            postprocess=False,  # pictures are kept for their visitor, not served as public files
            api_name=False,
        )
        asking.then(None, None, None, js=IDLE, api_name=False)
        stopping = stop.click(None, None, [status], js="() => 'Stopped.'", cancels=[asking], api_name=False)
        stopping.then(None, None, None, js=IDLE, api_name=False)
        for button, sample in zip(buttons, samples, strict=True):
            visitors.uploads.add_sample(sample.path.name, sample.path)
            script = sample_script(sample.path.name, sample.question, "\n".join(sample.options))
            button.click(None, None, [video, question, options], js=script, api_name=False)
        video.change(None, [video], [token], js=TOKEN, api_name=False)
        quick = {"api_name": False, "concurrency_limit": None, "show_progress": "hidden"}
        token.change(_holder(gr, visitors), [token], None, **quick)
    return page


def _holder(gr: Any, visitors: Visitors) -> Callable[..., None]:
    """Return the handler for a page that shows another video: the previous one is removed."""

    def hold(token: str | None, request: Any) -> None:
        if not token:
            visitors.uploads.show(str(request.session_hash), None)
            return
        with suppress(ConfigError):  # the error is shown when the visitor asks about the video
            visitors.clip(request.session_hash, token)

    return _requesting(gr, hold)


def _requesting(gr: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Annotate a function so that gradio fills in its `request`."""
    function.__annotations__["request"] = gr.Request
    return function


def _handler(gr: Any, engine: DemoEngine, visitors: Visitors) -> Callable[..., Generator[list[Any], None, None]]:
    """Return the handler for a question."""
    models = shown_models(engine.models)

    def ask(
        token: str | None, question: str, options: str, model: str, strategy: str, preset: str, budget: int | None,
        versus: str, request: Any,
    ) -> Generator[list[Any], None, None]:  # fmt: skip
        page = str(request.session_hash)
        try:
            clip = visitors.clip(page, token) if token else None
            path = str(clip.path) if clip else None
            wish = read_wish(path, question, options, models[model], strategy, preset, budget, versus)
            yield from answer(page, wish, clip.name if clip else "")
        except ConfigError as err:
            yield _told(gr, str(err))
        except Exception:
            number = secrets.token_hex(4)
            logger.exception("a question failed (reference %s)", number)
            yield _told(gr, unforeseen(number))

    def answer(page: str, wish: DemoQuestion, name: str) -> Generator[list[Any], None, None]:
        count = len(wish.strategies)
        visitors.clear(page)
        shown = _blank(gr, WORDS["waiting"], count)
        yield shown
        for event in engine.ask(wish):
            if isinstance(event, QuestionFailed):
                yield _told(gr, event.words.replace(Path(wish.video).name, name), count)
                return
            changed = _changes(gr, event, wish, lambda pictures: _kept(visitors, page, pictures))
            for place, part in changed.items():
                shown[place] = part
            # Send the complete state at the end of a side, in case earlier pieces were lost.
            yield shown if isinstance(event, SideAnswered) else [changed.get(i, gr.update()) for i in range(len(shown))]

    return _requesting(gr, ask)


def _kept(visitors: Visitors, page: str, pictures: Captioned) -> list[dict[str, Any]]:
    """Return pictures for a gallery, each at an address for this visitor only."""
    files = []
    for picture, _ in pictures:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    names = visitors.show(page, files)
    return [
        {"image": {"path": name, "url": f"gradio_api/file={name}", "mime_type": "image/jpeg"}, "caption": caption}
        for name, (_, caption) in zip(names, pictures, strict=False)
    ]


def _told(gr: Any, words: str, sides: int = 1) -> list[Any]:
    """Format an error for the status line; the browser scrolls to it."""
    return _blank(gr, f"**{_plain(words)}**", sides)


def _plain(words: str) -> str:
    """Escape text for HTML and Markdown."""
    escaped = html.escape(words)
    return "".join(f"&#{ord(letter)};" if letter in "*_`[]#!|~$\\" else letter for letter in escaped)


def _blank(gr: Any, words: str, sides: int = 1) -> list[Any]:
    side = [gr.update(value=""), gr.update(value=""), gr.update(value=[]), gr.update(value=[]), []]
    columns = [gr.update(visible=True), gr.update(visible=sides > 1)]
    return [gr.update(value=words), *side, columns[0], *side, columns[1]]


def _changes(
    gr: Any,
    event: StageBegun | TextWritten | SideAnswered,
    wish: DemoQuestion,
    kept: Callable[[Captioned], list[dict[str, Any]]],
) -> dict[int, Any]:
    """Return the changes of the page after an event, by output index."""
    if isinstance(event, StageBegun):
        return {0: gr.update(value=event.words)}
    first = 1 + SIDE_PARTS * event.side
    label = f"Answer ({getattr(wish.strategies[event.side], 'name', 'own strategy')})"
    if isinstance(event, TextWritten):
        return {first: gr.update(value=_after(event.remark, event.text), label=label)}
    said = "" if event.answer.meaningful else NOT_ITS_WORLD
    shown = (
        gr.update(value=_after(said, event.answer.text or "(no answer)"), label=label),
        gr.update(value=facts_of(event.answer, wish.choices)),
        gr.update(value=kept(event.keyframes)),
        gr.update(value=kept(event.maps)),
        event.answer.keyframes.seconds.tolist(),
    )
    done = {first + place: part for place, part in enumerate(shown)}
    return {**done, 0: gr.update(value="")} if event.side + 1 == len(wish.strategies) else done


def _after(remark: str, text: str) -> str:
    """Return a text after a remark, if there is one."""
    return f"({remark})\n\n{text}" if remark else text


def facts_of(answer: Answer, choices: Sequence[str] | None) -> str:
    """Return the facts about an answer as Markdown."""
    chosen = ""
    if choices is not None:
        named = "none of the options" if answer.choice is None else choices[answer.choice]
        chosen = f"Option: **{_plain(named)}**  \n"
    budget = "no budget" if answer.token_budget is None else f"budget {answer.token_budget}"
    notes = "".join(f"  \n*{_plain(warning)}*" for warning in answer.warnings if warning != NOT_ITS_WORLD)
    read = sum(answer.seconds[stage] for stage in ("decode", "encode", "select", "merge"))
    answered = answer.seconds["prefill"] + answer.seconds["generate"]
    return (
        f"{chosen}{len(answer.keyframes)} key frames, {answer.uncompressed_tokens} → {answer.num_visual_tokens} tokens "
        f"({budget}). Video read in {read:.1f} s, question answered in {answered:.1f} s.{notes}"
    )


def read_wish(
    video: str | None, question: str, options: str, model: str, strategy: str, preset: str, budget: int | None,
    versus: str,
) -> DemoQuestion:  # fmt: skip
    """Read the fields of the page.

    Raises:
        ConfigError: The video or question is missing, or fields contradict each other.
    """
    if not video:
        raise ConfigError("there is no video yet: upload one or take a sample")
    if not (question or "").strip():
        raise ConfigError("the question is empty: ask something about the video")
    choices = [line.strip() for line in (options or "").splitlines() if line.strip()]
    most = int(budget) if budget else None
    if strategy == "dyto":
        chosen = build_strategy("dyto", preset=None if preset == NOTHING else preset, token_budget=most)
    elif preset != NOTHING:
        raise ConfigError(
            f"preset {preset!r} goes with the strategy dyto only: choose that one, or set the preset to {NOTHING!r}"
        )
    else:
        chosen = _listed(strategy, most)
    others = () if versus == NOTHING else (_listed(versus, most),)
    return DemoQuestion(video, question, model, (chosen, *others), choices or None)


def _listed(name: str, most: int | None) -> Strategy:
    """Return a strategy from the list, and no other: visitors must not name files to run."""
    if name not in STRATEGIES and name not in PRESETS:
        raise unknown("strategy", name, [*STRATEGIES, *PRESETS])
    return make_second(name, most)
