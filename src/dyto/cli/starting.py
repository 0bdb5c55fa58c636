"""The start of a command that asks: the model is loaded, and the terminal says what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dyto.cli import clock
from dyto.cli.quick import quickly

if TYPE_CHECKING:
    from rich.status import Status

    from dyto.models.loading.options import Loading
    from dyto.pipeline import VideoQA
    from dyto.strategies import Strategy

STAGE_WORDS = {
    "load": "loading the model",
    "decode": "reading the video",
    "strategy": "choosing and merging",
    "encode": "encoding the frames",
    "prefill": "reading the tokens",
    "generate": "answering",
}


def load_qa(
    loading: Loading, strategy: Callable[[], Strategy], status: Status, **options: Any
) -> tuple[VideoQA, dict[str, float]]:
    """Load a model and combine it with a strategy.

    Args:
        loading: The model and how to load it; without a name it is `usual_model`.
        strategy: Makes the strategy.
        status: Line on the terminal that names each stage.
        **options: Further options of `VideoQA.from_pretrained`.

    Returns:
        What answers, and the seconds of "start" and "load".
    """
    with quickly():
        from dyto.models.loading.naming import usual_model
        from dyto.pipeline import VideoQA

        made = strategy()
    started = clock.since_start()
    with quickly():
        qa = VideoQA.from_pretrained(usual_model(loading.model), made, **options, **loading.options)
    qa.on_stage = lambda stage: status.update(STAGE_WORDS.get(stage, stage))
    return qa, {"start": started, "load": clock.since_start() - started}
