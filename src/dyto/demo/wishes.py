"""What a visitor asks for: the fields of the page, read and checked."""

from __future__ import annotations

from dyto.demo.events import DemoQuestion
from dyto.errors import ConfigError, unknown
from dyto.strategies import PRESETS, STRATEGIES, Strategy, build_strategy
from dyto.strategies.targets import make_second
from dyto.subtitles.finding import SubtitleChoice

NOTHING = "none"
"""The entry of a menu that stands for no choice."""


def read_wish(
    video: str | None, question: str, options: str, model: str, strategy: str, preset: str, budget: int | None,
    versus: str, subtitles: SubtitleChoice = None,
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
    return DemoQuestion(video, question, model, (chosen, *others), choices or None, subtitles=subtitles)


def _listed(name: str, most: int | None) -> Strategy:
    """Return a strategy from the list, and no other: visitors must not name files to run."""
    if name not in STRATEGIES and name not in PRESETS:
        raise unknown("strategy", name, [*STRATEGIES, *PRESETS])
    return make_second(name, most)
