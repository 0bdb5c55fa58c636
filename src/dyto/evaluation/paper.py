"""The paper's figures, shown next to ours if the setting is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from dyto.strategies import STRATEGIES, build_strategy


@cache
def paper_numbers() -> dict[str, Any]:
    """Read the data file: figures by setting and benchmark, and how to recognise a setting."""
    numbers: dict[str, Any] = json.loads(files("dyto.evaluation").joinpath("paper_numbers.json").read_text("utf-8"))
    return numbers


def setting_of(config: Mapping[str, Any]) -> str | None:
    """Return the paper's name for a run's setting ("DyTo 7B"), if it is one of the paper's.

    Args:
        config: As returned by `dyto.evaluation.manifest.run_config`.

    Returns:
        The name; None if model, strategy, frames or scoring differ from the paper's.

    Example:
        >>> setting_of({"model": "tiny"}) is None
        True
    """
    numbers = paper_numbers()
    size = numbers["models"].get(str(config["model"]).rstrip("/").rpartition("/")[2])
    if size is None or config.get("scoring") != "letter":
        return None
    strategy = json.loads(json.dumps(config["strategy"]))
    for method, kinds in numbers["strategies"].items():
        for kind in kinds.get(size, ()):
            if strategy == _described(*kind) and config.get("num_frames") == numbers["num_frames"][method]:
                return f"{method} {size}"
    return None


def _described(name: str, preset: str | None = None, fields: Mapping[str, Any] | None = None) -> object:
    """Return a strategy from the paper's tables in the form of a config; None if it is not built in."""
    if name not in STRATEGIES:
        return None
    from dyto.strategies.calling import describe_strategy  # it needs torch, and most reports do not

    return json.loads(json.dumps(describe_strategy(build_strategy(name, preset=preset, **(fields or {})))))


def paper_figure(setting: str | None, benchmark: str, measure: str, judge: str = "") -> float | None:
    """Return the paper's figure for a setting: accuracy in per cent, or a score from 0 to 5; None if it has none.

    Args:
        setting: As returned by `setting_of`.
        benchmark: Name of the benchmark.
        measure: "accuracy" or "score".
        judge: Name of the judge; figures from another judge than the paper's are not comparable.

    Example:
        >>> paper_figure("DyTo 7B", "nextqa", "accuracy")
        65.7
    """
    numbers = paper_numbers()
    if setting is None or (judge and judge != numbers["judge"]):
        return None
    figure: float | None = numbers.get(measure, {}).get(setting, {}).get(benchmark)
    return figure
