"""Pictures of a comparison: accuracy over the budget, over seconds, and in every group of a breakdown.

Each strategy has its own colour, marker and dash, so that they can be distinguished in grey as well; the colours
come from Okabe and Ito, "Color universal design" (2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dyto.comparing.cells import BASELINE
from dyto.comparing.tables import short
from dyto.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]
Line = Mapping[str, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C510A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
BLACK, GREY = "#000000", "#777777"
SPREAD = 0.02
"""Distance between strategies at one budget, as a share of the axis, so that their error bars do not cover each
other."""
COLUMNS = 3
MOST_PANELS = 12
WIDE = 5
"""Ratio of seconds from which their axis is logarithmic."""
CROWD = 6
"""Number of strategies above which error bars are pale, and missing in panels."""


class Look(NamedTuple):
    """The style of a strategy."""

    colour: str
    marker: str
    dash: Any


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Choose a style for every strategy; uniform is always black.

    Example:
        >>> looks(["dyto", "uniform"])["uniform"].colour
        '#000000'
    """
    others = [name for name in names if name != BASELINE]
    styles = zip(cycle(COLOURS), cycle(MARKERS), cycle(DASHES))
    found = {name: Look(*style) for name, style in zip(others, islice(styles, len(others)), strict=True)}
    return found | {BASELINE: Look(BLACK, "o", "-")}


def draw_all(found: Results, folder: Path) -> list[Path]:
    """Draw everything, each picture as PNG for the screen and as PDF for a paper.

    Returns:
        The paths; none if no strategy answered anything.

    Raises:
        MissingExtraError: The package matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise MissingExtraError("Drawing pictures", "matplotlib", "plots") from err
    if not any(_drawn(cell) for cell in found["cells"]):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Figure] = {
        "accuracy_over_tokens": over_tokens(found, Figure(figsize=(6.4, 4.0), layout="constrained")),
        "accuracy_over_seconds": over_seconds(found, Figure(figsize=(6.4, 4.0), layout="constrained")),
    }
    for grouping, names in _groups(found).items():
        if 2 <= len(names) <= MOST_PANELS:
            rows = -(-len(names) // COLUMNS)
            figure = Figure(figsize=(7.6, 0.6 + 2.1 * rows), layout="constrained")
            figures[f"accuracy_by_{grouping}"] = by_group(found, figure, grouping, names)
    paths = []
    for name, figure in figures.items():
        for suffix in ("png", "pdf"):
            paths.append(folder / f"{name}.{suffix}")
            figure.savefig(paths[-1], dpi=200, metadata={"CreationDate": None} if suffix == "pdf" else None)
    return paths


def over_tokens(found: Results, figure: Figure) -> Figure:
    """Accuracy over the budget, with error bars."""
    axes = figure.add_subplot()
    _curves(axes, found, _strategies(found), lambda cell: cell["accuracy"])
    _blind_line(axes, found, lambda cell: cell["accuracy"])
    _token_axis(axes, found)
    axes.set_ylabel("accuracy (%), 95 % interval")
    _legend(figure, axes)
    return figure


def over_seconds(found: Results, figure: Figure) -> Figure:
    """Accuracy over the seconds that a video takes, from the file to the last answer; lines join the budgets."""
    axes = figure.add_subplot()
    strategies = _strategies(found)
    for name, look in strategies.items():
        cells = [cell for cell in found["cells"] if cell["strategy"] == name and _drawn(cell) and cell["total_seconds"]]
        if not cells:
            continue
        values = [cell["accuracy"] for cell in cells]
        seconds = [cell["total_seconds"] for cell in cells]
        _points(axes, seconds, _heights(values), _bars(values), name, look, pale=len(strategies) > CROWD)
    _blind_line(axes, found, lambda cell: cell["accuracy"])
    axes.set_xlabel("seconds a video, from the file to the last answer\n(lines join the budgets, small to large)")
    axes.set_ylabel("accuracy (%), 95 % interval")
    _seconds_axis(axes, [cell["total_seconds"] for cell in found["cells"] if _drawn(cell) and cell["total_seconds"]])
    axes.margins(x=0.08)
    _tidy(axes)
    _legend(figure, axes)
    return figure


def by_group(found: Results, figure: Figure, grouping: str, names: Sequence[str]) -> Figure:
    """Accuracy over the budget in every group of a breakdown, side by side on one scale."""
    rows = -(-len(names) // COLUMNS)
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    strategies = _strategies(found)
    with_bars = len(strategies) <= CROWD
    for axes, name in zip(panels, names, strict=False):
        figure_of = partial(_group_figure, grouping=grouping, name=name)
        _curves(axes, found, strategies, figure_of, with_bars=with_bars)
        _blind_line(axes, found, figure_of, with_band=with_bars)
        _token_axis(axes, found)
        count = max(_questions(cell, grouping, name) for cell in found["cells"])
        axes.set_title(f"{name} ({count} questions)", fontsize=9)
        axes.set_xlabel("")
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(names) - COLUMNS) : len(names)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("budget (visual tokens)", fontsize=10)
    figure.supylabel("accuracy (%), 95 % interval" if with_bars else "accuracy (%)", fontsize=10)
    _legend(figure, panels[0])
    return figure


def _curves(
    axes: Axes, found: Results, strategies: Mapping[str, Look], figure_of: Any, *, with_bars: bool = True
) -> None:
    """Draw one line for every strategy, over the budget."""
    middle = (len(strategies) - 1) / 2
    budgets = _budgets(found)
    width = (budgets[-1] / budgets[0]) if len(budgets) > 1 else 2.0
    for place, (name, look) in enumerate(strategies.items()):
        shown = [
            (cell["budget"], figure_of(cell))
            for cell in found["cells"]
            if cell["strategy"] == name and cell["budget"] is not None and _has_value(figure_of(cell))
        ]
        if shown:
            aside = width ** (SPREAD * (place - middle) * 6 / max(6, len(strategies)))
            values = [value for _, value in shown]
            x = [budget * aside for budget, _ in shown]
            bars = _bars(values) if with_bars else None
            _points(axes, x, _heights(values), bars, name, look, pale=len(strategies) > CROWD)


def _points(
    axes: Axes, x: Sequence[float], y: Sequence[float], bars: Any, name: str, look: Look, *, pale: bool
) -> None:
    """Draw one strategy: its points, joined, and their error bars."""
    axes.plot(
        x,
        y,
        label=short(name),
        color=look.colour,
        marker=look.marker,
        linestyle=look.dash,
        markersize=5,
        linewidth=1.3,
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=3 if name == BASELINE else 2.5,
    )
    if bars is not None:
        axes.errorbar(
            x, y, yerr=bars, color=look.colour, fmt="none", elinewidth=0.8, capsize=2, alpha=0.35 if pale else 0.9
        )


def _group_figure(cell: Line, *, grouping: str, name: str) -> Line | None:
    """Return a cell's figure in one group of a breakdown."""
    figure: Line | None = cell["groups"].get(grouping, {}).get(name)
    return figure


def _blind_line(axes: Axes, found: Results, figure_of: Any, *, with_band: bool = True) -> None:
    """Draw what the model guesses without video as a band across the picture."""
    for cell in found["cells"]:
        figure = figure_of(cell)
        if cell["budget"] is None and _has_value(figure):
            if with_band:
                axes.axhspan(100 * figure["low"], 100 * figure["high"], color=GREY, alpha=0.15, linewidth=0)
            axes.axhline(100 * figure["value"], color=GREY, linestyle=(0, (2, 2)), linewidth=1, label="no video")


def _token_axis(axes: Axes, found: Results) -> None:
    budgets = _budgets(found)
    axes.set_xscale("log", base=2)
    axes.set_xticks(budgets, [str(budget) for budget in budgets])
    axes.minorticks_off()
    axes.set_xlabel("budget (visual tokens)")
    axes.margins(x=0.08)
    _tidy(axes)


def _seconds_axis(axes: Axes, seconds: Sequence[float]) -> None:
    """Use a logarithmic axis if the slowest takes many times as long as the fastest; otherwise points would overlap."""
    if not seconds or max(seconds) < WIDE * min(seconds):
        return
    steps = [m * 10**e for e in range(-4, 6) for m in (1, 2, 5)]
    axes.set_xscale("log")
    shown = [step for step in steps if min(seconds) / 1.5 <= step <= max(seconds) * 1.5]
    axes.set_xticks(shown, [f"{step:g}" for step in shown])
    axes.minorticks_off()


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    kept = dict(zip(labels, handles, strict=True))
    kept = {label: kept[label] for label in sorted(kept, key=lambda label: label == "no video")}  # that one last
    figure.legend(
        list(kept.values()), list(kept), loc="outside right upper", frameon=False, fontsize=9, handlelength=3.2
    )


def _strategies(found: Results) -> dict[str, Look]:
    names = dict.fromkeys(cell["strategy"] for cell in found["cells"] if _drawn(cell))
    chosen = looks(list(names))
    return {name: chosen[name] for name in names}


def _budgets(found: Results) -> list[int]:
    return sorted({cell["budget"] for cell in found["cells"] if cell["budget"] is not None})


def _groups(found: Results) -> dict[str, list[str]]:
    groups: dict[str, dict[str, None]] = {}
    for cell in found["cells"]:
        for grouping, members in cell["groups"].items():
            groups.setdefault(grouping, {}).update(dict.fromkeys(members))
    return {grouping: list(members) for grouping, members in groups.items()}


def _questions(cell: Line, grouping: str, name: str) -> int:
    return int(cell["groups"].get(grouping, {}).get(name, {"questions": 0})["questions"])


def _drawn(cell: Line) -> bool:
    """Return whether a cell belongs in the pictures: a strategy with answers, within its budget."""
    within = cell["most_tokens"] is None or cell["budget"] is None or cell["most_tokens"] <= cell["budget"]
    return cell["budget"] is not None and _has_value(cell["accuracy"]) and within


def _has_value(figure: Line | None) -> bool:
    return figure is not None and figure["value"] is not None


def _heights(values: Sequence[Line]) -> list[float]:
    return [100 * value["value"] for value in values]


def _bars(values: Sequence[Line]) -> list[list[float]]:
    """Return the lengths of the error bars, down and up."""
    down = [100 * (value["value"] - value["low"]) for value in values]
    up = [100 * (value["high"] - value["value"]) for value in values]
    return [down, up]
