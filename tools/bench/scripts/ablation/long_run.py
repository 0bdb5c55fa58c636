"""The yardstick: the right answers and the kept events of strategies on long films of every regime."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from accuracy import difference, load
from dyto import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.merge import merge_tokens
from dyto.strategies import build_strategy
from dyto.strategies.shared import shares
from films import load_model
from long_watch import cells, watch
from scoring import exactly_right
from variants import _options

BUDGETS = (9, 18, 36, 58, 115, 230, 461, 922, 1440)
"""0.25 to 40 frames of 36 tokens."""


def run(strategy, features, question=None, model=None):
    """Return the tokens of a strategy that gets features already made; one that asks needs a model, too."""

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

    if model is not None:
        vars(encode)["embed_text"] = model.embed_text
    return strategy(np.arange(len(features)), encode, question)


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
    "vcast": named("vcast"),
    "flashvid-outer": named("flashvid-outer"),
    "holitom-outer": named("holitom-outer"),
    "fastvid": named("fastvid"),
    "vidcom2": named("vidcom2"),
    "release": named("dyto"),
    "uniform": named("uniform"),
    "random": named("random"),
    "uniform, pooled 2 x 2": named("uniform-pool:pool=2"),
    "random-frames": named("random-frames"),
    "visionzip": named("visionzip"),
}
ASKING = ("aks", "echo-like", "query", "plus-query")
"""Strategies that look at the question; they are asked once for each."""


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
        fresh = [row for name, b in wanted if (row := _row(loaded, film, name, every.get(name), b, answered))]
        if path:
            with Path(path).open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in fresh)
        rows += fresh
    return rows


def _row(model, film, name, variant, budget, answered):
    try:
        given = [variant(film, budget)] if variant else _asked(model, film, name, budget)
    except ConfigError:
        return None  # the budget is below the least that the strategy can do
    data = [tokens if isinstance(tokens, torch.Tensor) else tokens.data for tokens in given]
    longest = max(map(len, data))
    if longest > budget:
        raise AssertionError(f"{name} gave {longest} tokens at a budget of {budget}")
    right = defaultdict(list)
    for asked, r in zip(film.asked, _answered(model, film.asked, data, answered), strict=True):
        right[asked.type].append(r)
    facts = {
        "seconds": film.cell.seconds,
        "frames": film.cell.num_frames,
        "scenes": len(film.middles()),
        "events": kept(given[0], film.events) if variant and isinstance(given[0], VisualTokens) else None,
    }
    return [name, budget, film.cell.name, film.cell.regime, longest, dict(right), facts]


def _asked(model, film, name, budget):
    """Tokens for every question."""
    strategy = build_strategy(name, token_budget=budget)
    return [run(strategy, film.features, asked.question, model) for asked in film.asked]


def _answered(model, asked, data, known):
    """Which questions are answered right with the one matrix of tokens, or each with its own; none is asked twice."""
    data = data * (len(asked) if len(data) == 1 else 1)
    keys = [x.numpy().tobytes() for x in data]
    for key in dict.fromkeys(keys):
        fresh = [i for i, k in enumerate(keys) if k == key and (key, i) not in known]
        if fresh:
            right = exactly_right(model, data[fresh[0]], [asked[i] for i in fresh]).tolist()
            known |= {(key, i): r for i, r in zip(fresh, right, strict=True)}
    return [known[key, i] for i, key in enumerate(keys)]


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
        "by kind of question": _leads(_by_kind(rows), lambda row: "".join(row[5])),
    }
    tables = [f"{title}\n\n" + "\n".join(lines) for title, lines in parts.items()]
    return "\n\n".join([f"{films} films, {asked} questions", *tables])


def _by_kind(rows):
    """A row for each kind of question."""
    return [[*row[:5], {kind: right}, row[6]] for row in rows for kind, right in row[5].items()]


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
