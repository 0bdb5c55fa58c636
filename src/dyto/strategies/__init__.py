"""Strategies: what becomes of a video's frames before a language model reads them. One file each."""

from __future__ import annotations

import dataclasses
from typing import Any

from dyto.errors import ConfigError, unknown
from dyto.strategies.base import Encode, Strategy
from dyto.strategies.dyto import PRESETS, DyTo
from dyto.strategies.slowfast import SlowFast
from dyto.strategies.uniform import Concat, Uniform

__all__ = ["PRESETS", "STRATEGIES", "Concat", "DyTo", "Encode", "SlowFast", "Strategy", "Uniform", "build_strategy"]

STRATEGIES: dict[str, type[Any]] = {
    "dyto": DyTo,
    "uniform": Uniform,
    "concat": Concat,
    "slowfast": SlowFast,
}
"""Every strategy by its name. A strategy of your own needs no entry here: pass the object."""


def build_strategy(name: str, *, preset: str | None = None, **fields: Any) -> Strategy:
    """Make a strategy from its name.

    Args:
        name: One of `STRATEGIES`.
        preset: A preset of "dyto".
        **fields: Fields of the strategy to set; None values are left at their default.

    Returns:
        The strategy.

    Raises:
        ConfigError: An unknown name, preset or field; the nearest known one is named.

    Example:
        >>> build_strategy("dyto", preset="finest", token_budget=1000).token_budget
        1000
    """
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    kind = STRATEGIES[name]
    given = {key: value for key, value in fields.items() if value is not None}
    known = [field.name for field in dataclasses.fields(kind)]
    for key in given:
        if key not in known:
            if not known:
                raise ConfigError(f"strategy {name!r} has no options, but {key!r} was given: leave it out")
            raise unknown(f"option of strategy {name!r}", key, known)
    if preset is None:
        strategy: Strategy = kind(**given)
    elif kind is DyTo:
        strategy = DyTo.preset(preset, **given)
    else:
        raise ConfigError(f"preset {preset!r} given with strategy {name!r}, but only 'dyto' has presets")
    return strategy
