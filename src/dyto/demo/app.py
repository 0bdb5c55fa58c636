"""The page of the demo, and the server behind it."""

from __future__ import annotations

import html
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from dyto.answer import Answer
from dyto.demo.engine import WORDS, Doing, Engine, Failed, Said, Shown, Wish
from dyto.demo.limits import Limits
from dyto.demo.look import ANNOUNCED, BUSY, IDLE
from dyto.demo.places import Uploads, make_folder
from dyto.demo.server import build_site, run_site
from dyto.errors import ConfigError, DytoError, MissingExtraError, unknown
from dyto.strategies import PRESETS, STRATEGIES, Strategy, build_strategy
from dyto.synthetic.videos import sample_video
from dyto.targets import make_second

NOTHING = "none"
SAMPLES = 3
SIDE_PARTS = 6
"""Outputs of one strategy: answer, facts, key frames, merge maps, times, column; before them stands the status."""

CACHE_SECONDS = (300, 3600)
"""How often old files are looked for, and after how long they are removed, uploaded and shown ones alike."""


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    limits: Limits | None = None,
    waiting: int = 16,
    ready: Callable[[str], None] = lambda address: None,
    until: threading.Event | None = None,
    **loading: Any,
) -> None:
    """Serve the demo until it is interrupted; nothing is kept of what was uploaded.

    Args:
        models: Names to offer; the first is loaded at once.
        host: Where to listen.
        port: Where to listen; 0 for any free port.
        limits: Of videos.
        waiting: Most questions that wait for one model.
        ready: Told the address.
        until: Ends the demo when it is set; None for an interruption alone.
        **loading: Options of `dyto.load_model`.

    Raises:
        MissingExtraError: gradio is not installed.
        ConfigError: The port is taken.
        ModelError: The first model cannot be loaded.
    """
    bounds = limits or Limits()
    with _folder() as folder:
        engine = Engine(tuple(models), bounds, loading, max(1, waiting))
        try:
            gr = _gradio()
            engine.load(models[0])
            site = build_site(gr, build_page(gr, engine, folder), waiting=max(1, waiting), limits=bounds)
            run_site(site, host, port, ready, until)
        finally:
            engine.close()


@contextmanager
def _folder() -> Iterator[Path]:
    """The place of uploads, removed at the end; gradio is told of it, and to tell nobody of us."""
    folder = make_folder()
    settings = {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def _gradio() -> Any:
    try:
        return import_module("gradio")
    except ImportError as err:
        raise MissingExtraError("The web demo", "gradio", "demo") from err


def build_page(gr: Any, engine: Engine, folder: Path) -> Any:
    """The page, as gradio blocks.

    Args:
        gr: gradio.
        engine: What answers.
        folder: Where uploads lie; samples are made there.

    Returns:
        The blocks, to be queued and launched.
    """
    samples = make_samples(folder / "samples")
    uploads = Uploads(folder, engine.forget)
    with gr.Blocks(title="dyto", analytics_enabled=False, delete_cache=CACHE_SECONDS) as page:
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
                    controls = _controls(gr, engine)
        status = gr.Markdown("", elem_id="status", elem_classes="status")
        with gr.Row(elem_id="answers"):
            sides = [_side(gr, video, number) for number in range(2)]
        parts = [part for side in sides for part in side]
        page.load(None, None, None, js=ANNOUNCED, api_name=False)
        gr.on([ask.click, question.submit], None, None, None, js=BUSY, api_name=False)
        asking = gr.on(
            [ask.click, question.submit],
            _handler(gr, engine),
            [video, question, options, *controls],
            [status, *parts],
            concurrency_limit=None,  # the engine keeps the line, and says so to those who stand in it
            api_name=False,
        )
        asking.then(None, None, None, js=IDLE, api_name=False)
        stopping = stop.click(lambda: "Stopped.", None, [status], cancels=[asking], queue=False, api_name=False)
        stopping.then(None, None, None, js=IDLE, api_name=False)
        for button, (path, asked, choices) in zip(buttons, samples, strict=True):
            button.click(_constant(str(path), asked, "\n".join(choices or ())), None, [video, question, options],
                         api_name=False)  # fmt: skip

        def hold(path: str | None, request: gr.Request) -> None:
            uploads.hold(str(request.session_hash), path)

        def leave(request: gr.Request) -> None:
            uploads.hold(str(request.session_hash), None)

        # The annotations above are read by gradio, which knows its request by them.
        hold.__annotations__["request"] = leave.__annotations__["request"] = gr.Request
        video.change(hold, [video], None, api_name=False, queue=False)
        page.unload(leave)
    return page


def _constant(*values: Any) -> Callable[[], tuple[Any, ...]]:
    return lambda: values


def make_samples(folder: Path) -> list[tuple[Path, str, tuple[str, ...] | None]]:
    """Write clips of the synthetic world to try, each with a question that suits it.

    Args:
        folder: Where to; made.

    Returns:
        (file, question, options or None) of each.
    """
    folder.mkdir(parents=True)
    made = []
    for number in range(SAMPLES):
        path = folder / f"sample{number + 1}.mp4"
        asked = sample_video(path, number)
        question, choices, _ = next((a for a in asked if a[1] is not None), asked[0]) if number % 2 else asked[0]
        made.append((path, question, choices))
    return made


def _controls(gr: Any, engine: Engine) -> list[Any]:
    names = list(STRATEGIES)
    return [
        gr.Dropdown(list(engine.models), value=engine.models[0], label="Model", elem_id="model"),
        gr.Dropdown(names, value="dyto", label="Strategy", elem_id="strategy"),
        gr.Dropdown([NOTHING, *PRESETS], value=NOTHING, label="Preset of dyto", elem_id="preset"),
        gr.Number(value=0, label="Most visual tokens (0 for the published budget)", precision=0, minimum=0),
        gr.Dropdown([NOTHING, *names, *PRESETS], value=NOTHING, label="Side by side with", elem_id="versus"),
    ]


def _side(gr: Any, video: Any, number: int) -> list[Any]:
    """One strategy's answer, key frames and merge maps; its column last."""
    letter = "ab"[number]
    with gr.Column(visible=not number, min_width=320, elem_id=f"side-{letter}") as column:
        answer = gr.Textbox(label="Answer", interactive=False, lines=2, elem_id=f"answer-{letter}")
        facts = gr.Markdown("", elem_id=f"facts-{letter}")
        with gr.Tab("Key frames"):
            frames = gr.Gallery(
                show_label=False, allow_preview=False, buttons=[], elem_classes="seen", elem_id=f"frames-{letter}"
            )
        with gr.Tab("What was merged"):
            maps = gr.Gallery(show_label=False, buttons=[], elem_classes=["seen", "maps"], elem_id=f"maps-{letter}")
        times = gr.State([])

    def jump(seconds: list[float], event: Any) -> Any:
        return gr.update(playback_position=seconds[event.index])

    jump.__annotations__["event"] = gr.SelectData
    frames.select(jump, [times], [video], api_name=False, queue=False, show_progress="hidden")
    return [answer, facts, frames, maps, times, column]


def _handler(gr: Any, engine: Engine) -> Callable[..., Generator[dict[Any, Any] | list[Any], None, None]]:
    """What happens when somebody asks."""

    def ask(
        video: str | None, question: str, options: str, model: str, strategy: str, preset: str, budget: int | None,
        versus: str,
    ) -> Generator[list[Any], None, None]:  # fmt: skip
        try:
            wish = read_wish(video, question, options, model, strategy, preset, budget, versus)
        except DytoError as err:
            yield _told(gr, str(err))
            return
        count = len(wish.strategies)
        page = _blank(gr, WORDS["waiting"], count)
        yield page
        for event in engine.ask(wish):
            if isinstance(event, Failed):
                yield _told(gr, event.words, count)
                return
            changed = _changes(gr, event, wish)
            for place, part in changed.items():
                page[place] = part
            # The page as a whole at the end of a side, whatever of the pieces before came through.
            yield page if isinstance(event, Shown) else [changed.get(i, gr.update()) for i in range(len(page))]

    return ask


def _told(gr: Any, words: str, sides: int = 1) -> list[Any]:
    """An error, in the line that tells what is done; the browser brings it into view."""
    return _blank(gr, f"**{_plain(words)}**", sides)


def _plain(words: str) -> str:
    """Text that neither HTML nor Markdown takes for its own."""
    escaped = html.escape(words)
    return "".join(f"&#{ord(letter)};" if letter in "*_`[]#!|~$\\" else letter for letter in escaped)


def _blank(gr: Any, words: str, sides: int = 1) -> list[Any]:
    side = [gr.update(value=""), gr.update(value=""), gr.update(value=[]), gr.update(value=[]), []]
    columns = [gr.update(visible=True), gr.update(visible=sides > 1)]
    return [gr.update(value=words), *side, columns[0], *side, columns[1]]


def _changes(gr: Any, event: Doing | Said | Shown, wish: Wish) -> dict[int, Any]:
    """What changes on the page when something has happened, by its place among the outputs."""
    if isinstance(event, Doing):
        return {0: gr.update(value=event.words)}
    first = 1 + SIDE_PARTS * event.side
    label = f"Answer ({getattr(wish.strategies[event.side], 'name', 'own strategy')})"
    if isinstance(event, Said):
        return {first: gr.update(value=event.text, label=label)}
    shown = (
        gr.update(value=event.answer.text or "(no answer)", label=label),
        gr.update(value=facts_of(event.answer, wish.choices)),
        gr.update(value=event.keyframes),
        gr.update(value=event.maps),
        event.answer.keyframes.seconds.tolist(),
    )
    done = {first + place: part for place, part in enumerate(shown)}
    return {**done, 0: gr.update(value="")} if event.side + 1 == len(wish.strategies) else done


def facts_of(answer: Answer, choices: Sequence[str] | None) -> str:
    """What an answer rests on, as Markdown."""
    chosen = ""
    if choices is not None:
        named = "none of the options" if answer.choice is None else choices[answer.choice]
        chosen = f"Option: **{_plain(named)}**  \n"
    budget = "no budget" if answer.token_budget is None else f"budget {answer.token_budget}"
    notes = "".join(f"  \n*{_plain(warning)}*" for warning in answer.warnings)
    read = sum(answer.seconds[stage] for stage in ("decode", "encode", "select", "merge"))
    answered = answer.seconds["prefill"] + answer.seconds["generate"]
    return (
        f"{chosen}{len(answer.keyframes)} key frames, {answer.uncompressed_tokens} → {answer.num_visual_tokens} tokens "
        f"({budget}). Video read in {read:.1f} s, question answered in {answered:.1f} s.{notes}"
    )


def read_wish(
    video: str | None, question: str, options: str, model: str, strategy: str, preset: str, budget: int | None,
    versus: str,
) -> Wish:  # fmt: skip
    """What the fields of the page ask for.

    Raises:
        ConfigError: No video or question, or fields that do not go together.
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
        raise ConfigError(f"preset {preset!r} goes with the strategy dyto only: set it to {NOTHING!r}")
    else:
        chosen = _listed(strategy, most)
    others = () if versus == NOTHING else (_listed(versus, most),)
    return Wish(video, question, model, (chosen, *others), choices or None)


def _listed(name: str, most: int | None) -> Strategy:
    """A strategy of the lists, and no other: whoever only sees the page must not name files to be run."""
    if name not in STRATEGIES and name not in PRESETS:
        raise unknown("strategy", name, [*STRATEGIES, *PRESETS])
    return make_second(name, most)
