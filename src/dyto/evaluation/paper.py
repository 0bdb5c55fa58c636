"""The paper's numbers, shown beside ours where the setting is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from dyto.strategies import STRATEGIES, build_strategy
from dyto.strategies.targets import describe_strategy


@cache
def paper_numbers() -> dict[str, Any]:
    """The data file: figures by setting and benchmark, and how a setting is recognised."""
    numbers: dict[str, Any] = json.loads(files("dyto.evaluation").joinpath("paper_numbers.json").read_text("utf-8"))
    return numbers


def setting_of(config: Mapping[str, Any]) -> str | None:
    """The paper's name of a run's setting ("DyTo 7B"), if it is one of the paper's.

    Args:
        config: As `dyto.evaluation.manifest.run_config` gives it.

    Returns:
        The name; None where model, strategy, frames, or the scoring are not the paper's.

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
    """A strategy of the paper's tables in the form of a config; None where it is not built in."""
    if name not in STRATEGIES:
        return None
    return json.loads(json.dumps(describe_strategy(build_strategy(name, preset=preset, **(fields or {})))))


def paper_figure(setting: str | None, benchmark: str, measure: str, judge: str = "") -> float | None:
    """The paper's figure for a setting: accuracy in per cent, or a score from 0 to 5; None where it has none.

    Args:
        setting: As `setting_of` gives it.
        benchmark: The benchmark's name.
        measure: "accuracy" or "score".
        judge: Who judged; another judge than the paper's gives figures that do not compare.

    Example:
        >>> paper_figure("DyTo 7B", "nextqa", "accuracy")
        65.7
    """
    numbers = paper_numbers()
    if setting is None or (judge and judge != numbers["judge"]):
        return None
    figure: float | None = numbers.get(measure, {}).get(setting, {}).get(benchmark)
    return figure
