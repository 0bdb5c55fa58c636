"""The compared variants: `plus`, `plus-2025` with one choice undone, their rivals, and the oracle.

Each is a function of a film that was watched and a budget; it returns (L, D) tokens, or None where the budget is below
what the strategy can do.
"""

import numpy as np
import torch

from dyto import ConfigError, segments
from dyto.features import FrameFeatures
from dyto.merge import merge_tokens
from dyto.strategies import build_strategy
from dyto.strategies.plus_2025 import Plus2025
from dyto.strategies.shared import shares

MERGING = {"reduce": "max", "split": "alternate", "order": "raster", "metric_groups": 1}
"""How both merge, for other choices of key frames."""


def run(strategy, features):
    """Return the tokens of a strategy, given precomputed features."""

    def encode(positions, attention_layer=None):
        rows = np.asarray(positions)
        return FrameFeatures.from_projected(
            torch.cat([features.summary[rows, None], features.patches(rows)], 1),
            indices=features.indices[rows],
            seconds=features.seconds[rows],
        )

    return strategy(np.arange(len(features)), encode).data


def named(name, **fields):
    def tokens(film, budget):
        try:
            return run(build_strategy(name, token_budget=budget, **fields), film.features)
        except ConfigError:
            return None  # the budget is below the least that the strategy can do

    return tokens


def plus(kind=Plus2025, **fields):
    return lambda film, budget: run(kind(token_budget=budget, **fields), film.features)


def oracle(film, budget):
    """Return the middle of every true scene, merged as `plus` merges."""
    chosen = film.oracle()
    frames = film.features.patches(chosen)
    return torch.cat(
        [merge_tokens(frame[None], int(keep), **_options()).squeeze(0)
         for frame, keep in zip(frames, np.minimum(frames.shape[1], shares(budget, len(chosen))), strict=True)]
    )  # fmt: skip


def _options():
    return {"groups" if key == "metric_groups" else key: value for key, value in MERGING.items()}


class Fixed(Plus2025):
    """A fixed number of key frames, or as many as the budget holds."""

    count = 10

    def select_keyframes(self, summary, most=None):
        hierarchy = segments.ward(summary)
        number = min(self.count, hierarchy.num_frames, most or self.count)
        return segments.representatives(summary, hierarchy.cut(number), self.member)


class Fixed25(Fixed):
    count = 25


class Filled(Plus2025):
    """At least as many key frames as fit whole: the budget is used up."""

    def select_keyframes(self, summary, most=None):
        hierarchy = segments.ward(summary)
        whole = max(1, int(most * self.least_share))
        number = min(max(hierarchy.wanted(self.least_gain, self.explained), whole), most, hierarchy.num_frames)
        return segments.representatives(summary, hierarchy.cut(number), self.member)


class Twice(Plus2025):
    """Two key frames for each that the content asks for."""

    def select_keyframes(self, summary, most=None):
        hierarchy = segments.ward(summary)
        number = min(2 * hierarchy.wanted(self.least_gain, self.explained), most, hierarchy.num_frames)
        return segments.representatives(summary, hierarchy.cut(number), self.member)


class Calm(Plus2025):
    """Segments of features that a median over three frames has freed of flashes."""

    def select_keyframes(self, summary, most=None):
        x = torch.cat([summary[:1], summary, summary[-1:]])
        return super().select_keyframes(torch.stack([x[:-2], x[1:-1], x[2:]]).median(0).values, most)


class Novel(Plus2025):
    """Half of the budget in equal shares, the other half by how far a key frame is from the nearest other."""

    def share(self, features, positions, budget):
        n, count = features.num_patches, len(positions)
        x = torch.nn.functional.normalize(features.summary[positions].double(), dim=1)
        gap = (1 - x @ x.T).fill_diagonal_(torch.inf).min(1).values.clamp(0, 2).numpy() if count > 1 else np.ones(1)
        kept = shares(min(budget, count * n) // 2, count)
        kept = np.minimum(n, kept + np.floor((budget - kept.sum()) * gap / max(gap.sum(), 1e-9)).astype(np.int64))
        while kept.sum() < min(budget, count * n):
            kept[np.flatnonzero(kept < n)[np.argmax(gap[kept < n])]] += 1
        return kept


def neighbours(film, budget, frames=3):
    """Merge the patches of three frames of every segment."""
    strategy = Plus2025(token_budget=budget)
    summary, n = film.features.summary, film.features.num_patches
    hierarchy = segments.ward(summary)
    number = min(hierarchy.wanted(strategy.least_gain, strategy.explained), max(1, budget // round(n / 9)))
    bounds = hierarchy.cut(number)
    tokens = []
    for start, end, keep in zip(bounds[:-1], bounds[1:], shares(budget, number), strict=True):
        chosen = np.unique(start + (end - start) * (2 * np.arange(frames) + 1) // (2 * frames))
        together = film.features.patches(chosen).flatten(0, 1)[None]
        tokens.append(merge_tokens(together, min(n, int(keep)), **_options())[0])
    return torch.cat(tokens)


def pooled(film, budget, below=1.0):
    """The key frames of `plus`; a share of less than this part of a frame is pooled to the largest grid it holds."""
    strategy = Plus2025(token_budget=budget)
    n = film.features.num_patches
    positions = strategy.select_keyframes(film.features.summary, max(1, budget // round(n / 9)))
    kept = strategy.share(film.features, positions, budget)
    if kept.min() >= below * n:
        return run(strategy, film.features)
    shapes = sorted({(rows, columns) for rows in range(1, 7) for columns in (rows, rows + 1) if columns <= 6})
    tokens = []
    for position, keep in zip(positions, kept, strict=True):
        shape = max((rows, columns) for rows, columns in shapes if rows * columns <= keep)
        frame = film.features.patches([position]).unflatten(1, film.features.grid).movedim(-1, 1)  # (1, D, 6, 6)
        tokens.append(torch.nn.functional.adaptive_avg_pool2d(frame, shape).flatten(2)[0].T)
    return torch.cat(tokens)


RIVALS = {
    "release": named("dyto"),
    "finest": named("dyto", preset="finest"),
    "uniform": named("uniform"),
    "uniform, pooled 2 x 2": named("uniform-pool:pool=2"),
    "uniform, pooled 3 x 3": named("uniform-pool:pool=3"),
    "25 uniform, pooled to fit": named("uniform-pool:num_frames=25"),
    "57 uniform, pooled to fit": named("uniform-pool:num_frames=57"),
    "25 uniform, merged": named("uniform-merge"),
    "evs": named("evs"),
    "vidcom2": named("vidcom2"),
}

TAKEN_BACK = {
    "key frames of release": named("dyto", **MERGING),
    "key frames of finest": named("dyto", preset="finest", **MERGING),
    "10 key frames": plus(Fixed),
    "25 key frames": plus(Fixed25),
    "budget filled with frames": plus(Filled),
    "two frames for each": plus(Twice),
    "least gain 0.01": plus(least_gain=0.01),
    "least gain 0.05": plus(least_gain=0.05),
    "no guard (explained 0)": plus(explained=0.0),
    "medoid, not middle": plus(member="medoid"),
    "median over 3 frames": plus(Calm),
    "shared by novelty": plus(Novel),
    "3 frames merged together": neighbours,
    "pooled, not merged": pooled,
    "pooled below a quarter": lambda film, budget: pooled(film, budget, 0.25),
    "halves": plus(split="halves"),
    "size-weighted mean": plus(reduce="weighted-mean"),
    "order of the release": plus(order="release"),
    "metric of 16 slices": plus(metric_groups=16),
    "merging of the release": plus(split="halves", order="release", metric_groups=16),
    "least share 1/18": plus(least_share=1 / 18),
    "least share 1/4": plus(least_share=0.25),
}

VARIANTS = {
    "plus": named("plus"),
    "plus-2025": plus(),
    "oracle": oracle,
    **RIVALS,
    **{f"plus-2025, {name}": f for name, f in TAKEN_BACK.items()},
}
