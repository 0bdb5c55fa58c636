"""The yardstick: the right answers and the kept events of strategies on long films of every regime."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from accuracy import difference, load
from dyto import ConfigError
from dyto.features import FrameFeatures
from dyto.merge import merge_tokens
from dyto.strategies import build_strategy
from dyto.strategies.shared import shares
from films import load_model
from long_watch import cells, watch
from scoring import right_by_type
from variants import _options

BUDGETS = (9, 18, 36, 58, 115, 230, 461, 922, 1440)
"""0.25 to 40 frames of 36 tokens."""


def run(strategy, features):
    """Return the tokens of a strategy, given precomputed features."""

    def encode(positions, attention_layer=None):
        rows = np.asarray(positions)
        if len(rows) == len(features):
            return features
        seen = FrameFeatures.from_projected(
            torch.cat([features.summary[rows, None], features.patches(rows)], 1),
            indices=features.indices[rows],
            seconds=features.seconds[rows],
        )
        return seen if features.attention is None else replace(seen, attention=features.attention[rows])

    return strategy(np.arange(len(features)), encode)


def named(name):
    return lambda film, budget: run(build_strategy(name, token_budget=budget), film.features)


def _merged(frames, budget):
    return torch.cat(
        [merge_tokens(frame[None], int(keep), **_options())[0]
         for frame, keep in zip(frames, np.minimum(frames.shape[1], shares(budget, len(frames))), strict=True)]
    )  # fmt: skip


def oracle(film, budget):
    """Return the middle of every run of a scene among the sampled frames; of every scene if these are too many."""
    chosen = film.runs() if len(film.runs()) <= budget else film.middles()[:budget]
    return _merged(film.features.patches(chosen), budget)


def told(film, budget):
    """Return the middle of every true shot, sampled or not."""
    return _merged(film.told[:budget], budget)


VARIANTS = {
    "plus": named("plus"),
    "told every shot": told,
    "told every sampled shot": oracle,
    "plus-2025": named("plus-2025"),
    "peaks": named("peaks"),
    "kmeans": named("kmeans"),
    "evs": named("evs"),
    "uniform, pooled 3 x 3": named("uniform-pool:pool=3"),
    "25 uniform, merged": named("uniform-merge"),
}
MORE = {
    "uniform, pooled 2 x 2": named("uniform-pool:pool=2"),
    "release": named("dyto"),
    "uniform": named("uniform"),
    "vidcom2": named("vidcom2"),
}


def kept(tokens, events):
    """Find the kept events: those with a token that has at least half of its patches in their frames."""
    frame = np.asarray(tokens.keyframes.positions)[tokens.sources.keyframe]
    held = np.bincount(tokens.sources.token, minlength=len(tokens))
    found = []
    for frames in events.values():
        inside = np.bincount(tokens.sources.token, np.isin(frame, frames), len(tokens))
        found.append(bool((2 * inside >= held)[held > 0].any()))
    return found


def measure(split, films, names, budgets=BUDGETS, path=None, work=None, first=0, model=None):
    """Measure the films; with a path, continue an earlier run.

    Returns:
        Rows (variant, budget, film, regime, tokens, {type: [right or not, ...]}, facts), where facts are the seconds of
        the film, the frames sampled, its sampled scenes, key frames, and which of its events were kept.
    """
    loaded = load_model(model)
    rows = load(path) if path else []
    known = {tuple(row[:3]) for row in rows}
    every = {**VARIANTS, **MORE}
    for cell in cells(split, films, first=first):
        wanted = [(name, b) for b in budgets for name in names if (name, b, cell.name) not in known]
        if not wanted:
            continue
        film, answered = watch(loaded, work, cell), {}
        fresh = [row for name, b in wanted if (row := _row(loaded, film, name, every[name], b, answered))]
        if path:
            with Path(path).open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in fresh)
        rows += fresh
    return rows


def _row(model, film, name, variant, budget, answered):
    try:
        tokens = variant(film, budget)
    except ConfigError:
        return None  # the budget is below the least that the strategy can do
    data = tokens if isinstance(tokens, torch.Tensor) else tokens.data
    if len(data) > budget:
        raise AssertionError(f"{name} gave {len(data)} tokens at a budget of {budget}")
    right = right_by_type(model, data, film.asked, answered)
    facts = {
        "seconds": film.cell.seconds,
        "frames": film.cell.num_frames,
        "scenes": len(film.middles()),
        "events": None if isinstance(tokens, torch.Tensor) else kept(tokens, film.events),
    }
    return [name, budget, film.cell.name, film.cell.regime, len(data), right, facts]


def report(rows):
    """Return Markdown tables: percent right, events kept, and the leads of `plus` by budget, regime and length."""
    films = len({row[2] for row in rows})
    asked = sum(len(kind) for row in {row[2]: row for row in rows}.values() for kind in row[5].values())
    parts = {
        "Percent right": _table(rows, _right),
        "Percent of sampled events kept, where there is a token for each sampled scene": _table(rows, _events),
        "Tokens used": _table(rows, _tokens),
        "`plus` minus, by budget": _leads(rows, lambda row: row[1]),
        "by regime": _leads(rows, lambda row: row[3]),
        "by seconds": _leads(rows, lambda row: row[6]["seconds"]),
        "by sampled frames": _leads(rows, lambda row: row[6]["frames"]),
    }
    tables = [f"{title}\n\n" + "\n".join(lines) for title, lines in parts.items()]
    return "\n\n".join([f"{films} films, {asked} questions", *tables])


def _right(rows):
    return f"{100 * np.mean([r for row in rows for kind in row[5].values() for r in kind]):.1f}"


def _events(rows):
    found = [k for row in rows if row[6]["events"] and row[1] >= row[6]["scenes"] for k in row[6]["events"]]
    return f"{100 * np.mean(found):.0f} of {len(found)}" if found else "-"


def _tokens(rows):
    return f"{np.mean([row[4] for row in rows]):.0f}"


def _table(rows, cell):
    budgets = sorted({row[1] for row in rows})
    lines = ["| variant | " + " | ".join(map(str, budgets)) + " |", "|---" * (len(budgets) + 1) + "|"]
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [[row for row in rows if row[:2] == [name, budget]] for budget in budgets]
        lines.append(f"| {name} | " + " | ".join(cell(part) if part else "-" for part in mine) + " |")
    return lines


def _leads(rows, key):
    values = sorted({key(row) for row in rows})
    lines = ["| plus minus | " + " | ".join(map(str, values)) + " |", "|---" * (len(values) + 1) + "|"]
    for name in [name for name in dict.fromkeys(row[0] for row in rows) if name != "plus"]:
        cells_ = []
        for value in values:
            gap, spread = difference([row[:6] for row in rows if key(row) == value], "plus", name)
            cells_.append("-" if np.isnan(gap) else f"{gap:+.1f} ± {spread:.1f}")
        lines.append(f"| {name} | " + " | ".join(cells_) + " |")
    return lines
