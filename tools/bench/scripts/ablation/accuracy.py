"""Accuracy of the bundled model on synthetic films: variants x budgets, paired differences to one of them."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from films import load_model, watch
from scoring import right_by_type
from variants import VARIANTS

BUDGETS = (58, 115, 230, 461, 922)
"""1.6, 3.2, 6.4, 12.8 and 25.6 frames of 36 tokens."""


def measure(work, split, videos, names, budgets=BUDGETS, model=None, path=None):
    """Answer the questions of `videos` films of every regime; with a path, continue an earlier run.

    Args:
        work: Folder for films and features.
        split: "dev" or "test".
        videos: Films of every regime.
        names: Of `VARIANTS`.
        budgets: Tokens.
        model: A checkpoint; None for the bundled one.
        path: A file of JSON lines to which the rows of every film are added.

    Returns:
        Rows (variant, budget, film, regime, tokens, {type: [right or not, ...]}).
    """
    loaded = load_model(model)
    rows = load(path) if path else []
    known = {tuple(row[:3]) for row in rows}
    for film in watch(loaded, work, split, videos):
        fresh = []
        answered = {}
        for budget in budgets:
            for name in names:
                if (name, budget, film.name) not in known:
                    fresh += _answer(loaded, film, name, budget, answered)
        if path and fresh:
            with Path(path).open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in fresh)
        rows += fresh
    wanted = {(name, budget) for name in names for budget in budgets}
    return [row for row in rows if (row[0], row[1]) in wanted and int(row[2].rsplit("_", 1)[1]) < videos]


def _answer(model, film, name, budget, answered):
    """Return one row, or none if the variant needs more than the budget."""
    data = VARIANTS[name](film, budget)
    if data is None:
        return []
    if len(data) > budget:
        raise AssertionError(f"{name} gave {len(data)} tokens at a budget of {budget}")
    return [[name, budget, film.name, film.regime, len(data), right_by_type(model, data, film.asked, answered)]]


def load(path):
    """Return the rows of an earlier run."""
    if not Path(path).exists():
        return []
    data = Path(path).read_bytes()
    text = (gzip.decompress(data) if Path(path).suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines()]


def table(rows, versus="plus"):
    """Return Markdown: percent right by budget, their mean, and the difference to one variant with its interval."""
    names = list(dict.fromkeys(row[0] for row in rows))
    budgets = sorted({row[1] for row in rows})
    lines = [
        "| variant | " + " | ".join(map(str, budgets)) + f" | mean | {versus} minus it | tokens |",
        "|---" * (len(budgets) + 4) + "|",
    ]
    for name in names:
        mine = [row for row in rows if row[0] == name]
        cells = [_percent([row for row in mine if row[1] == budget]) for budget in budgets]
        value, spread = difference(rows, versus, name)
        gap = "" if name == versus else f"{value:+.1f} ± {spread:.1f}"
        used = [np.mean([row[4] for row in mine if row[1] == b]) for b in budgets if any(row[1] == b for row in mine)]
        known = [float(cell) for cell in cells if cell != "-"]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {np.mean(known):.1f} | {gap} | {' '.join(f'{u:.0f}' for u in used)} |"
        )
    return "\n".join(lines)


def leads(rows, column, versus="plus"):
    """Return Markdown: how many points a variant is ahead of each other, with 95 % intervals.

    Args:
        rows: As `measure` returns them.
        column: "budget", or "regime" for all budgets together.
        versus: The variant.
    """
    at = {"budget": 1, "regime": 3}[column]
    values = list(dict.fromkeys(row[at] for row in rows))
    names = [name for name in dict.fromkeys(row[0] for row in rows) if name != versus]
    lines = [f"| {versus} minus | " + " | ".join(map(str, values)) + " |", "|---" * (len(values) + 1) + "|"]
    for name in names:
        gaps = [difference([row for row in rows if row[at] == value], versus, name) for value in values]
        lines.append(f"| {name} | " + " | ".join(f"{gap:+.1f} ± {spread:.1f}" for gap, spread in gaps) + " |")
    return "\n".join(lines)


def by_regime(rows, budget=None):
    """Return Markdown: percent right by regime, at all budgets or at one; questions about needles come last."""
    rows = [row for row in rows if budget in (None, row[1])]
    regimes = list(dict.fromkeys(row[3] for row in rows))
    lines = ["| variant | " + " | ".join(regimes) + " | needle questions |", "|---" * (len(regimes) + 2) + "|"]
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == name]
        cells = [_percent([row for row in mine if row[3] == regime]) for regime in regimes]
        needles = [right for row in mine for right in row[5].get("needle", [])]
        cells.append(f"{100 * np.mean(needles):.1f}" if needles else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def difference(rows, one, other):
    """Return the lead of `one` over `other` in points, where both answered, and half of its 95 % interval (by film)."""
    answers = defaultdict(dict)
    for name, budget, film, _, _, right in rows:
        if name in (one, other):
            answers[film, budget][name] = [r for kind in right.values() for r in kind]
    ahead, asked = defaultdict(float), defaultdict(int)
    for (film, _), both in answers.items():
        if len(both) == 2 or one == other:
            ahead[film] += sum(both[one]) - sum(both[other])
            asked[film] += len(both[one])
    total = sum(asked.values())
    if not total:
        return float("nan"), float("nan")
    value = sum(ahead.values()) / total
    excess = np.array([ahead[film] - value * asked[film] for film in ahead])
    count = len(excess)
    return 100 * value, 196 * float(np.sqrt(np.square(excess).sum() * count / max(1, count - 1))) / total


def _percent(rows):
    right = [r for row in rows for kind in row[5].values() for r in kind]
    return f"{100 * np.mean(right):.1f}" if right else "-"
