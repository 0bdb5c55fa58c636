"""The parts of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dyto.demo.engine import DemoEngine
from dyto.demo.samples import SampleVideo
from dyto.demo.wishes import NOTHING
from dyto.strategies import DEFAULT, PRESETS, STRATEGIES
from dyto.subtitles.reading import ENDINGS


def shown_models(models: Sequence[str]) -> dict[str, str]:
    """Return the model names that visitors see: for a folder only its last part, not its path.

    Example:
        >>> shown_models(["tiny", "hub/model", "/home/ann/models/mine/"])
        {'tiny': 'tiny', 'hub/model': 'hub/model', 'mine': '/home/ann/models/mine/'}
    """
    shown: dict[str, str] = {}
    for name in models:
        label = Path(name).name if Path(name).is_absolute() or Path(name).expanduser().exists() else name
        number = sum(other.partition(" (")[0] == label for other in shown)
        shown[f"{label} ({number + 1})" if number else label] = name
    return shown


@dataclass(frozen=True)
class Inputs:
    """What a visitor fills in.

    Attributes:
        file: Where a video is dropped.
        samples: A button for each sample.
        subtitles: Where a file of subtitles is dropped.
        listens: Whether subtitles are read.
        question: The question.
        options: Its options, one a line.
        ask: The button that asks.
        stop: The button that stops an answer.
        how: Model, strategy, preset, budget, and what to compare with.
    """

    file: Any
    samples: list[Any]
    subtitles: Any
    listens: Any
    question: Any
    options: Any
    ask: Any
    stop: Any
    how: list[Any]


@dataclass(frozen=True)
class Outputs:
    """What a visitor sees.

    Attributes:
        player: The video.
        line: Its timeline.
        said: What the file of subtitles holds.
        past: The conversation without its last turn.
        now: The last turn.
        status: What is happening, or an error.
        frames: The key frames.
        maps: What was merged.
    """

    player: Any
    line: Any
    said: Any
    past: Any
    now: Any
    status: Any
    frames: Any
    maps: Any


def layout(gr: Any, engine: DemoEngine, samples: Sequence[SampleVideo]) -> tuple[Inputs, Outputs]:
    """Build the page: the video beside the conversation, and the pictures below; on a phone one after the other."""
    plain = partial(gr.HTML, "", apply_default_css=False)
    gr.HTML("<h1>Ask a video</h1><p>Upload a clip or take a sample, ask, and see which moments were read.</p>")
    with gr.Row(elem_id="desk"):
        with gr.Column(min_width=320):
            player, line = plain(elem_id="video"), plain(elem_id="line")
            file = gr.File(
                label="Video", file_types=["video", ".mkv", ".avi", ".ts", ".flv", ".gif"], elem_id="file", height=140
            )
            with gr.Row(elem_id="samples"):
                buttons = [
                    gr.Button(sample.name, min_width=90, elem_classes="sample", elem_id=f"sample-{number}")
                    for number, sample in enumerate(samples, start=1)
                ]
            with gr.Accordion("Subtitles", open=False, elem_id="spoken"):
                subtitles, listens, said = spoken(gr)
        with gr.Column(min_width=320, elem_id="talk"):
            with gr.Column(elem_id="turns"):
                past, now = plain(elem_id="past"), plain(elem_id="now")
            status = gr.Markdown("", elem_id="status", elem_classes="status")
            question = gr.Textbox(
                label="Question", placeholder="What is shown?", elem_id="question", lines=1, max_lines=6
            )
            options = gr.Textbox(
                label="Options, one a line (leave empty for an answer in words)",
                lines=1,
                max_lines=6,
                elem_id="options",
            )
            with gr.Row():
                ask = gr.Button("Ask", variant="primary", elem_id="ask")
                stop = gr.Button("Stop", variant="stop", elem_id="stop")
            with gr.Accordion("Model, and how the video is read", open=False, elem_id="how"):
                how = controls(gr, engine)
    with gr.Column(elem_id="seen"), gr.Tabs():
        with gr.Tab("Key frames"):
            frames = plain(elem_id="frames")
        with gr.Tab("What was merged"):
            maps = plain(elem_id="maps")
    return (
        Inputs(file, buttons, subtitles, listens, question, options, ask, stop, how),
        Outputs(player, line, said, past, now, status, frames, maps),
    )


def spoken(gr: Any) -> tuple[Any, Any, Any]:
    """Build the controls of subtitles: a file, whether they are read, and a line about the file."""
    listens = gr.Checkbox(
        value=True, label="Read what is said: the file given here, or else a track inside the video",
        elem_id="listens",
    )  # fmt: skip
    file = gr.File(label="Subtitle file (.srt, .vtt, .ass)", file_types=list(ENDINGS), elem_id="subtitles", height=140)
    return file, listens, gr.HTML("", apply_default_css=False, elem_id="said")


def controls(gr: Any, engine: DemoEngine) -> list[Any]:
    """Build the controls: model, strategy, preset, budget, and the comparison."""
    names, models = list(STRATEGIES), list(shown_models(engine.models))
    return [
        gr.Dropdown(models, value=models[0], label="Model", elem_id="model"),
        gr.Dropdown(names, value=DEFAULT, label="Strategy", elem_id="strategy"),
        gr.Dropdown([NOTHING, *PRESETS], value=NOTHING, label="Preset of dyto", elem_id="preset"),
        gr.Number(
            value=0, label="Largest number of visual tokens (0 for the published budget)", precision=0, minimum=0
        ),
        gr.Dropdown([NOTHING, *names, *PRESETS], value=NOTHING, label="Side by side with", elem_id="versus"),
    ]
