"""Tables of named things: models, strategies, presets, benchmarks, prompts and savings."""

from __future__ import annotations

import inspect
import re
from typing import TypeAlias

from dyto.benchmarks import BENCHMARKS
from dyto.errors import unknown
from dyto.models.catalog import CATALOG
from dyto.models.facts import FACTS, LARGE
from dyto.models.ranking import ranking
from dyto.prompts import PROMPTS
from dyto.savings import Savings
from dyto.strategies.presets import PRESETS
from dyto.strategies.table import ROWS

Table: TypeAlias = tuple[list[str], list[list[str]]]
"""A table: column titles, and rows of cells."""


def table(what: str) -> Table:
    """Return the table of one kind.

    Args:
        what: "models", "strategies", "presets", "benchmarks", "prompts" or "savings".

    Raises:
        ConfigError: The kind is unknown.
    """
    if what not in TABLES:
        raise unknown("list", what, TABLES)
    return TABLES[what]()


def _models() -> Table:
    rows = []
    for place in ranking():
        entry = CATALOG[place.name]
        rows.append(
            [
                place.name,
                place.reason,
                f"{entry.size:.1f} GB" if entry.size else "none",
                *_needs(place.name),
                entry.licence,
                entry.source or "-",
                entry.run_by or "nobody yet",
                entry.note,
            ]
        )
    heads = ["model", "on this machine", "download", "on a CPU", "on a GPU", "licence", "hub name"]
    heads += ["true weights run by", "note"]
    return heads, rows


def _needs(name: str) -> tuple[str, str]:
    """Memory on a CPU, in the numbers that are taken there by default, and on a GPU; GB, computed."""
    facts = FACTS.get(name)
    if facts is None:
        return "1 GB", "1 GB"  # a bundled one
    bits = 32 if 4 * facts.weights * 1e9 <= LARGE else 16
    return f"{facts.memory(bits):.0f} GB", f"{facts.memory(16):.0f} GB"


def _strategies() -> Table:
    rows = [
        [name, row.line, ", ".join(row.needs.split()) or "-", ", ".join(row.options.split()) or "-"]
        for name, row in ROWS.items()
    ]
    return ["strategy", "what it does", "needs", "options"], rows


def _presets() -> Table:
    rows = []
    for name, preset in PRESETS.items():
        clusters, most = preset.fields.get("partition", "over time"), str(preset.fields.get("max_keyframes", "any"))
        rows.append([name, clusters, most, str(preset.fields["reference_budget"]), preset.note])
    return ["preset", "partition", "key frames", "budget", "note"], rows


def _benchmarks() -> Table:
    rows = [[b.name, b.kind, str(b.rows or "-"), ", ".join(b.columns), b.source] for b in BENCHMARKS.values()]
    return ["benchmark", "kind", "questions", "columns", "source"], rows


def _prompts() -> Table:
    rows = [[p.name, "multiple choice" if p.takes_choices else "open"] for p in PROMPTS.values()]
    return ["prompt", "for"], rows


def _savings() -> Table:
    told = (inspect.getdoc(Savings) or "").partition("Attributes:")[2].partition("Example:")[0]
    lines = [" ".join(line.split()) for line in re.split(r"\n    (?=\w)", told) if line.strip()]
    words = dict(line.split(": ", 1) for line in lines)
    default = {name: "off" if value in (None, False) else "on" for name, value in vars(Savings()).items()}
    default["overlap"] = "on, but not on a CPU"
    rows = [[name, default[name], text.partition(". ")[0].rstrip(".")] for name, text in words.items()]
    return ["saving", "by default", "what it does"], rows


TABLES = {
    "models": _models,
    "strategies": _strategies,
    "presets": _presets,
    "benchmarks": _benchmarks,
    "prompts": _prompts,
    "savings": _savings,
}
