"""The parts of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dyto.demo.engine import DemoEngine
from dyto.demo.look import JUMP
from dyto.strategies import DEFAULT, PRESETS, STRATEGIES

NOTHING = "none"
SIDE_PARTS = 6
"""Number of outputs per strategy: answer, facts, key frames, merge maps, times, column; the status comes first."""


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


def side(gr: Any, second: Any, number: int) -> list[Any]:
    """Build one strategy's answer, key frames and merge maps; the column comes last."""
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

    def jump(seconds: list[float], event: Any) -> float:
        return seconds[event.index] if event.index < len(seconds) else 0.0

    jump.__annotations__["event"] = gr.SelectData
    quick = {"api_name": False, "concurrency_limit": None, "show_progress": "hidden"}
    frames.select(jump, [times], [second], **quick).then(None, [second], None, js=JUMP, api_name=False)
    return [answer, facts, frames, maps, times, column]
