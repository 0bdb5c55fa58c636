"""The published names of strategies, the values of TEMPORAL_AGGREGATION."""

from __future__ import annotations

import re
from typing import Any

from dyto.errors import unknown

RELEASE = "spatial_tome_finch_dynamic_all_frms"
"""DyTo as released."""

_SLOWFAST = re.compile(r"slowfast-slow_(\d+)frms_(\w+)-fast_(\d+)x(\d+)")


def aggregation_strategy(value: object) -> tuple[str, dict[str, Any]]:
    """The strategy that a value of TEMPORAL_AGGREGATION stands for, and its fields.

    Args:
        value: A published value or a strategy's own name; False and None stand for no aggregation.

    Raises:
        ConfigError: An unknown value; the nearest known one is named.

    Example:
        >>> aggregation_strategy("spatial_tome_finch_dynamic_all_frms")
        ('dyto', {})
    """
    from dyto.strategies import STRATEGIES  # which holds every strategy, and so comes after this file

    text = str(value).strip().lower()
    if text in ("none", "false", "concat"):
        return "concat", {}
    if text == RELEASE:
        return "dyto", {}
    match = _SLOWFAST.fullmatch(text)
    if match:
        frames, pool, height, width = match.groups()
        return "slowfast", {
            "slow_frames": int(frames),
            "slow_pool": pool,
            "fast_grid": (int(height), int(width)),
        }
    if text not in STRATEGIES:
        raise unknown("TEMPORAL_AGGREGATION", text, [RELEASE, "none", "false", *STRATEGIES])
    return text, {}
