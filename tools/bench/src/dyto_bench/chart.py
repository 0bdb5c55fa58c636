"""The measurement as a picture: the stages of a first answer as bars, one for each side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dyto.errors import MissingExtraError
from dyto_bench.sides import STAGES

COLOURS = {
    "decode": "#0072B2",
    "encode": "#D55E00",
    "project": "#CC79A7",
    "select": "#000000",
    "merge": "#F0E442",
    "prefill": "#009E73",
    "generate": "#56B4E9",
    "other": "#BBBBBB",
}
"""Colours of Okabe and Ito, "Color universal design" (2008)."""

HATCHES = {"project": "xx", "merge": "//", "generate": "..", "prefill": "\\\\"}


def draw(document: Mapping[str, Any], path: Path) -> Path:
    """Draw stacked bars of the median seconds of each stage, scaled to the median total; its quartiles are a line.

    Args:
        document: As `dyto_bench.running.bench` makes it.
        path: The PNG file to write.

    Returns:
        The path.

    Raises:
        MissingExtraError: The package matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise MissingExtraError("Drawing pictures", "matplotlib", "plots") from err
    sides = list(reversed(document["sides"]))  # the first at the top
    figure = Figure(figsize=(9.0, 1.9 + 0.42 * len(sides)), layout="constrained")
    axes = figure.add_subplot()
    left = [0.0] * len(sides)
    places = list(range(len(sides)))
    for stage in STAGES:
        widths = [scaled(side)[stage] for side in sides]
        axes.barh(
            places, widths, left=left, height=0.68, color=COLOURS[stage], hatch=HATCHES.get(stage), label=stage,
            edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, side in zip(places, sides, strict=True):
        total = side["figures"]["total"]
        axes.plot([total["low"], total["high"]], [place, place], color="black", linewidth=1.6)
        right = max(total["high"], sum(scaled(side).values()))
        axes.annotate(f" {total['median']:.2f} s", (right, place), va="center", fontsize=9)
    axes.set_yticks(places, [f"{side['name']}, frames: {len(side['first'][0]['frames'])}" for side in sides])
    axes.set_xlim(0, 1.12 * max(side["figures"]["total"]["high"] for side in sides))
    plan = document["settings"]
    axes.set_xlabel("seconds to a first answer, from the file on (medians; black: quartiles of the total)")
    axes.set_title(f"{plan['model']}, {plan['dtype']}, {document['machine']['name']}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e2e8f0")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=len(STAGES), frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    return path


def scaled(side: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of each stage, scaled to add up to the total.

    Medians do not add up, nor do stages that overlap.
    """
    stages = {stage: figure["median"] for stage, figure in side["figures"]["stages"].items()}
    total, together = side["figures"]["total"]["median"], sum(stages.values())
    factor = total / together if together else 1.0
    return {stage: seconds * factor for stage, seconds in stages.items()}
