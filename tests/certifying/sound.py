"""Strategies such as people write for themselves, with nothing wrong in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from certifying.strays import Even, pooled
from dyto.errors import ConfigError
from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.strategies.uniform import spread


def chosen(features, frame, patch, budget, total):
    """Single patches: (L,) positions of frames, and (L,) places in them, in the order of time."""
    positions = np.unique(frame)
    keyframe = np.searchsorted(positions, frame)
    return VisualTokens(
        data=features.patches(positions)[torch.as_tensor(keyframe), torch.as_tensor(patch)],
        keyframes=KeyFrames.of(features, positions),
        keyframe=keyframe,
        sources=Sources(np.arange(len(frame)), keyframe, patch),
        grid=features.grid,
        budget=budget,
        uncompressed=total * features.num_patches,
    )


def whole_frames_of(features, positions, budget, total):
    n = features.num_patches
    return chosen(features, np.repeat(positions, n), np.tile(np.arange(n), len(positions)), budget, total)


def loudest_patches(frames, encode, question=None, token_budget=100):
    """The patches with the largest norm, wherever they stand."""
    features = encode(frames)
    norms = features.patches().float().norm(dim=-1).flatten()
    count = min(len(norms), token_budget)
    places = norms.sort(stable=True, descending=True).indices[:count].sort().values.numpy()
    frame, patch = np.divmod(places, features.num_patches)
    return chosen(features, frame, patch, token_budget, len(frames))


def largest_numbers(frames, encode, question=None, token_budget=150):
    """The maximum of every frame, of as many frames as there is room for."""
    positions = spread(len(frames), min(len(frames), token_budget))
    tokens = pooled(encode, frames, positions, 1, token_budget, len(frames))
    most = encode(frames[positions]).patches().amax(1)
    return VisualTokens(**{**vars(tokens), "data": most})


def first_middle_last(frames, encode, question=None, token_budget=108):
    """Three frames at most, whole; a smaller budget is refused."""
    features = encode(frames)
    n = features.num_patches
    if token_budget < n:
        raise ConfigError(f"token budget {token_budget}, but one frame has {n} tokens: raise it to {n}")
    three = np.unique([0, len(frames) // 2, len(frames) - 1])[: token_budget // n]
    if token_budget // n == 1:
        three = np.array([len(frames) // 2])
    return whole_frames_of(features, three, token_budget, len(frames))


@dataclass(frozen=True)
class ByLot:
    """Patches drawn by a generator of its own, the same ones every time."""

    token_budget: int | None = None

    def __call__(self, frames, encode, question=None):
        features = encode(frames)
        n = features.num_patches
        budget = self.token_budget or 4 * n
        places = np.random.default_rng(3).permutation(len(frames) * n)[:budget]
        return chosen(features, *np.divmod(np.sort(places), n), budget, len(frames))


@dataclass
class StretchesOfTime:
    """Every token is the mean of one place over a stretch of time."""

    token_budget: int = 144

    def __call__(self, frames, encode, question=None):
        features = encode(frames)
        n, total = features.num_patches, len(frames)
        if self.token_budget < n:
            raise ConfigError(f"token budget {self.token_budget}, but a stretch has {n} tokens: raise it to {n}")
        count = min(total, self.token_budget // n)
        stretch = np.arange(total) * count // total  # (T,)
        patches = features.patches()  # (T, N, D)
        data = torch.cat([patches[torch.as_tensor(stretch == one)].mean(0) for one in range(count)])
        frame, patch = np.repeat(np.arange(total), n), np.tile(np.arange(n), total)
        token = stretch[frame] * n + patch
        order = np.argsort(token, kind="stable")
        first = np.searchsorted(stretch, np.arange(count))
        return VisualTokens(
            data=data,
            keyframes=KeyFrames.of(features, np.arange(total)),
            keyframe=np.repeat(first, n),
            sources=Sources(token[order], frame[order], patch[order]),
            grid=features.grid,
            budget=self.token_budget,
            uncompressed=total * n,
        )


class WhereThePictureChanges:
    """The frames before which the picture changes most, whole."""

    name = "changes"

    def __init__(self, token_budget=180):
        self.token_budget = token_budget

    def __call__(self, frames, encode, question=None):
        features = encode(frames)
        n = features.num_patches
        if self.token_budget < n:
            raise ConfigError(f"token budget {self.token_budget}, but one frame has {n} tokens: raise it to {n}")
        summary = F.normalize(features.summary.float(), dim=-1)
        change = torch.cat([torch.full((1,), 9.0), 1 - (summary[1:] * summary[:-1]).sum(-1)])
        most = change.sort(stable=True, descending=True).indices[: self.token_budget // n]
        return whole_frames_of(features, np.sort(most.numpy()), self.token_budget, len(frames))


class Remembering(Even):
    """Keeps what it made, by everything that it depends on."""

    kept: dict = {}  # noqa: RUF012

    def __call__(self, frames, encode, question=None):
        key = self.token_budget, frames.data.tobytes(), frames.indices.tobytes(), frames.seconds.tobytes()
        if key not in self.kept:
            if len(self.kept) > 8:
                self.kept.clear()
            self.kept[key] = super().__call__(frames, encode, question)
        return self.kept[key]


class FewFramesOfAll(Even):
    """Never more than sixteen frames."""

    def positions(self, frames, count):
        return spread(len(frames), min(count, 16))


class FromTheStart(Even):
    """Frames at equal distances, the first one first."""

    def positions(self, frames, count):
        return np.arange(count) * len(frames) // count


def without_a_setting(frames, encode, question=None):
    """Eight frames of four tokens each, always."""
    return pooled(encode, frames, spread(len(frames), min(8, len(frames))), 4, 32, len(frames))


class AsTheQuestionSays:
    """The frames that are most like a picture drawn from the letters of the question."""

    uses_question = True

    def __init__(self, token_budget=144):
        self.token_budget = token_budget

    def __call__(self, frames, encode, question=None):
        features = encode(frames)
        n = features.num_patches
        keep = min(n, self.token_budget)
        letters = torch.zeros(features.summary.shape[1])
        for place, letter in enumerate(question or ""):
            letters[(7 * place + ord(letter)) % len(letters)] += 1
        fit = features.summary.float() @ letters
        best = fit.sort(stable=True, descending=True).indices[: max(1, self.token_budget // n)]
        return pooled(encode, frames, np.sort(best.numpy()), keep, self.token_budget, len(frames))


SOUND = [
    Even,
    loudest_patches,
    largest_numbers,
    first_middle_last,
    ByLot,
    StretchesOfTime,
    WhereThePictureChanges,
    Remembering,
    FewFramesOfAll,
    FromTheStart,
    without_a_setting,
    AsTheQuestionSays,
]
