"""The notation of strategies in commands and configs: names, published names, and options after a colon."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from dyto.errors import ConfigError, unknown
from dyto.strategies.base import resolve_budget
from dyto.strategies.presets import PRESETS
from dyto.strategies.table import ROWS

RELEASE = "spatial_tome_finch_dynamic_all_frms"
"""DyTo as released."""

HAVE_PRESETS = ("dyto", "dyto-no-clustering", "dyto-no-merging")
"""Strategies whose class has `preset`."""

TARGETS = (*ROWS, *PRESETS, "MODULE:CALLABLE", "FILE.py:CALLABLE")
"""Names of strategies as commands take them."""

_SLOWFAST = re.compile(r"slowfast-slow_(\d+)frms_(\w+)-fast_(\d+)x(\d+)")


def aggregation_strategy(value: object) -> tuple[str, dict[str, Any]]:
    """Return the strategy for a value of TEMPORAL_AGGREGATION, and its fields.

    Args:
        value: A published value or a strategy's own name, alone or with options; False and None stand for no
            aggregation.

    Raises:
        ConfigError: The value is unknown; the nearest known one is named.

    Example:
        >>> aggregation_strategy("spatial_tome_finch_dynamic_all_frms")
        ('dyto', {})
    """
    text = str(value).strip()
    return named_strategy("concat" if text.lower() in ("none", "false") else text, "TEMPORAL_AGGREGATION")


def named_strategy(text: str, kind: str) -> tuple[str, dict[str, Any]]:
    """Return the strategy that a text names, and its fields.

    Args:
        text: A strategy's name, alone or with options ("uniform-pool:pool=3"), or a published name; case does not
            matter.
        kind: Word for the text in the error about an unknown name.

    Raises:
        ConfigError: A name is unknown (the nearest known one is named), or options cannot be read.

    Example:
        >>> named_strategy("slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4", "strategy")
        ('slowfast', {'slow_frames': 10, 'slow_pool': 'spatial_1d_max_pool', 'fast_grid': (4, 4)})
        >>> named_strategy("slowfast:fast_grid=3x3,slow_frames=4", "strategy")
        ('slowfast', {'fast_grid': (3, 3), 'slow_frames': 4})
    """
    name, colon, options = text.strip().partition(":")
    name = name.strip().lower()
    fields = _options(text, options) if colon else {}
    match = _SLOWFAST.fullmatch(name)
    if match:
        frames, pool, height, width = match.groups()
        pattern = {"slow_frames": int(frames), "slow_pool": pool, "fast_grid": (int(height), int(width))}
        return "slowfast", {**pattern, **fields}
    if name == RELEASE:
        return "dyto", fields
    if name not in ROWS:
        raise unknown(kind, name, [RELEASE, *ROWS])
    return name, fields


def is_named(text: str) -> bool:
    """Return whether a text begins with a known strategy name; its options may still be wrong.

    Example:
        >>> is_named("uniform-pool:pool=3"), is_named("my_module:Pool")
        (True, False)
    """
    name = text.partition(":")[0].strip().lower()
    return name in ROWS or name == RELEASE or bool(_SLOWFAST.fullmatch(name))


def check_target(target: str, preset: str | None = None, token_budget: int | None = None) -> None:
    """Check what can be told of a strategy from its name, as commands take it, before anything is imported.

    Args:
        target: As in `dyto.strategies.targets.find_strategy`; a module or a file is left to it.
        preset: A preset of "dyto", or None.
        token_budget: Largest number of visual tokens; None for the strategy's own choice.

    Raises:
        ConfigError: A name is unknown, or the budget is below 1.

    Example:
        >>> check_target("uniform-pool:pool=3", token_budget=400)
    """
    if token_budget is not None:
        resolve_budget(token_budget, 1, 1)
    if is_named(target):
        name, fields = named_strategy(target, "strategy")
        check_options(name, fields, preset)
    elif target not in PRESETS and not all(target.rpartition(":")):
        raise unknown("strategy", target, TARGETS)


def check_options(name: str, given: Iterable[str], preset: str | None = None) -> None:
    """Check the names of a strategy's options and of its preset, without importing the strategy.

    Args:
        name: A name of `dyto.strategies.STRATEGIES`.
        given: Names of options.
        preset: A preset of "dyto", or None.

    Raises:
        ConfigError: A name is unknown (the nearest known one is named), or the strategy has no presets.

    Example:
        >>> check_options("uniform-pool", ["pool"])
    """
    if preset is not None and name not in HAVE_PRESETS:
        raise ConfigError(f"preset {preset!r} given with strategy {name!r}, but only 'dyto' has presets")
    if preset is not None and preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    known = ROWS[name if preset is None else PRESETS[preset].strategy].options.split()
    for key in given:
        if not known:
            raise ConfigError(f"strategy {name!r} has no options, but {key!r} was given: leave it out")
        if key not in known:
            what = f"option of strategy {name!r}" if preset is None else f"option of preset {preset!r}"
            raise unknown(what, key, known)


def split_names(text: str) -> list[str]:
    """Split comma-separated names of strategies; commas between the options of a name do not split it.

    Example:
        >>> split_names("dyto, uniform-pool:pool=3,num_frames=57, uniform")
        ['dyto', 'uniform-pool:pool=3,num_frames=57', 'uniform']
    """
    names: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        option = "=" in part and ":" not in part.partition("=")[0]
        if option and names and is_named(names[-1]) and ":" in names[-1]:
            names[-1] += f",{part}"
        else:
            names.append(part)
    return names


def _options(text: str, options: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for option in options.split(","):
        key, equals, value = (part.strip() for part in option.partition("="))
        if not key or not equals or not value:
            raise ConfigError(
                f"strategy {text!r} has option {option!r}, expected name:key=value,key=value, such as "
                "uniform-pool:pool=3,num_frames=57"
            )
        if key in fields:
            raise ConfigError(f"strategy {text!r} sets {key!r} twice, expected once: leave one out")
        fields[key] = _value(value)
    return fields


def _value(text: str) -> Any:
    """Parse a number, true, false, null, a grid (4x4) or a word."""
    grid = re.fullmatch(r"(\d+)x(\d+)", text)
    if grid:
        return int(grid[1]), int(grid[2])
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if value is None or isinstance(value, (bool, int, float, str)) else text
