"""Strategies with one fault each, around one that has none."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from dyto.errors import ConfigError
from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.strategies.uniform import spread


@dataclass(frozen=True)
class Good:
    """Spread frames, of each the mean of equal stretches of its patches."""

    token_budget: int | None = None

    def __call__(self, frames, encode, question=None):
        first = encode(frames[:1])
        n = first.num_patches
        budget = self.token_budget or 4 * n
        if budget < 2:
            raise ConfigError("too small: at least 2 tokens")
        positions = spread(len(frames), min(4, budget // 2))
        features = encode(frames[positions])
        keep = min(n, budget // len(positions))
        owner = np.arange(n) * keep // n  # (N,)
        patches = features.patches()  # (K, N, D)
        merged = torch.stack([patches[:, owner == token].mean(1) for token in range(keep)], 1)  # (K, keep, D)
        return self.finish(
            VisualTokens(
                data=merged.flatten(0, 1),
                keyframes=KeyFrames(features.indices, features.seconds, positions),
                keyframe=np.repeat(np.arange(len(positions)), keep),
                sources=Sources.from_owners(np.tile(owner, (len(positions), 1)), keep),
                grid=features.grid,
                budget=self.token_budget or budget,
                uncompressed=len(frames) * n,
            ),
            frames,
            question,
        )

    def finish(self, tokens, frames, question):
        return tokens


class DoesNothing(Good):
    def __call__(self, frames, encode, question=None):
        features = encode(frames)
        n = features.num_patches
        owners = np.tile(np.arange(n), (len(frames), 1))
        return VisualTokens(
            data=features.patches().flatten(0, 1),
            keyframes=KeyFrames(frames.indices, frames.seconds, np.arange(len(frames))),
            keyframe=np.repeat(np.arange(len(frames)), n),
            sources=Sources.from_owners(owners, n),
            grid=features.grid,
            budget=None,
            uncompressed=len(frames) * n,
        )


def does_nothing_without_a_setting(frames, encode, question=None):
    return DoesNothing()(frames, encode, question)


class OverBudget(Good):
    def __call__(self, frames, encode, question=None):
        more = Good(None if self.token_budget is None else self.token_budget + 3)(frames, encode, question)
        return replace(more, budget=None)


class OtherBudget(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, budget=tokens.budget + 1)


class IgnoresBudget(Good):
    def __call__(self, frames, encode, question=None):
        tokens = Good(8)(frames, encode, question)
        if self.token_budget is not None and self.token_budget < len(tokens):
            raise ConfigError("too small: at least 8 tokens")
        return replace(tokens, budget=self.token_budget or 8)


class WrongUncompressed(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, uncompressed=len(tokens))


class RefusesWithoutReason(Good):
    def __call__(self, frames, encode, question=None):
        if self.token_budget is not None and self.token_budget < 30:
            raise ConfigError("this budget is too small")
        return Good(self.token_budget)(frames, encode, question)


class Blind(Good):
    def finish(self, tokens, frames, question):
        steps = torch.arange(tokens.data.numel(), dtype=torch.float32) % 7
        return replace(tokens, data=steps.view_as(tokens.data))


class AllTheSame(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data.mean(0, keepdim=True).expand_as(tokens.data))


class Random(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data + 1e-4 * torch.randn_like(tokens.data))


class Remembers(Good):
    seen: ClassVar[list] = []

    def finish(self, tokens, frames, question):
        self.seen.append(len(frames))
        return replace(tokens, data=tokens.data * (1 + 1e-3 * len(self.seen)))


class WritesToFrames(Good):
    def finish(self, tokens, frames, question):
        frames.data[:, 0, 0] += 1
        return tokens


class BlanksFrames(Good):
    """Always in the same way, so that a second time nothing changes."""

    def finish(self, tokens, frames, question):
        frames.data[:] = 0
        return tokens


class WritesToTimes(Good):
    def __call__(self, frames, encode, question=None):
        tokens = super().__call__(frames, encode, question)
        encode(frames).seconds[:] = 0
        return tokens


class LooksAtTheQuestion(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data * (1 + 1e-2 * len(question or "")))


class CountsFramesItself(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, keyframes=replace(tokens.keyframes, indices=tokens.keyframes.positions))


class MakesUpTimes(Good):
    def finish(self, tokens, frames, question):
        even = np.linspace(0, frames.seconds[-1], len(tokens.keyframes))
        return replace(tokens, keyframes=replace(tokens.keyframes, seconds=even))


class LosesSources(Good):
    def finish(self, tokens, frames, question):
        keep = tokens.sources.token != len(tokens) - 1
        s = tokens.sources
        return replace(tokens, sources=Sources(s.token[keep], s.keyframe[keep], s.patch[keep]))


class PatchOutOfFrame(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, sources=replace(tokens.sources, patch=tokens.sources.patch + 1))


class UnsortedSources(Good):
    def finish(self, tokens, frames, question):
        s = tokens.sources
        return replace(tokens, sources=Sources(s.token[::-1].copy(), s.keyframe[::-1].copy(), s.patch[::-1].copy()))


class NamesOtherPatches(Good):
    """The rows of a frame the wrong way round, as after a transposition."""

    def finish(self, tokens, frames, question):
        n = tokens.grid[0] * tokens.grid[1]
        return replace(tokens, sources=replace(tokens.sources, patch=n - 1 - tokens.sources.patch))


class NamesTooFewPatches(Good):
    """Only the first patch of each token, although all were merged."""

    def finish(self, tokens, frames, question):
        s = tokens.sources
        first = np.r_[True, np.diff(s.token) > 0]
        return replace(tokens, sources=Sources(s.token[first], s.keyframe[first], s.patch[first]))


class BackwardsInTime(Good):
    """Tokens frame by frame, the last frame first; every token's provenance is true."""

    def finish(self, tokens, frames, question):
        order = np.argsort(-tokens.keyframe, kind="stable")
        place = np.argsort(order)  # where each token went
        token = place[tokens.sources.token]
        by_token = np.argsort(token, kind="stable")
        s = tokens.sources
        return replace(
            tokens,
            data=tokens.data[torch.from_numpy(order)],
            keyframe=tokens.keyframe[order],
            sources=Sources(token[by_token], s.keyframe[by_token], s.patch[by_token]),
        )


class KeyFramesTwice(Good):
    def finish(self, tokens, frames, question):
        k = tokens.keyframes
        if len(k) < 2:
            return tokens
        order = np.r_[1, 0, np.arange(2, len(k))]
        swapped = KeyFrames(k.indices[order], k.seconds[order], k.positions[order])
        owner = order[tokens.keyframe]
        return replace(tokens, keyframes=swapped, keyframe=owner, sources=replace(tokens.sources, keyframe=order[tokens.sources.keyframe]))  # fmt: skip


class ReusesItsMemory(Good):
    memory: ClassVar[dict] = {}

    def finish(self, tokens, frames, question):
        kept = self.memory.setdefault(tokens.data.shape, torch.empty_like(tokens.data))
        kept.copy_(tokens.data)
        return replace(tokens, data=kept)


class HoldsGradients(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data.clone().requires_grad_())


class CannotBeKept(Good):
    """Times of another precision than those of the frames."""

    def finish(self, tokens, frames, question):
        seconds = tokens.keyframes.seconds.astype(np.float32)
        return replace(tokens, keyframes=replace(tokens.keyframes, seconds=seconds))


class NotANumber(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data / 0)


class ReturnsATensor(Good):
    def finish(self, tokens, frames, question):
        return tokens.data


class Crashes(Good):
    def finish(self, tokens, frames, question):
        return {}[len(frames)] if len(frames) == 1 else tokens  # type: ignore[index]


class ReturnsNoSources(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, sources=None)


class ReturnsLists(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, keyframes=replace(tokens.keyframes, indices=tokens.keyframes.indices.tolist()))


class ReturnsAnArray(Good):
    def finish(self, tokens, frames, question):
        object.__setattr__(tokens, "data", tokens.data.numpy())
        return tokens


class TakesTimeInWords(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, stages={"select": "long"})


class ChangesItsBudgetLater(Good):
    def finish(self, tokens, frames, question):
        object.__setattr__(tokens, "budget", 1)
        return tokens


class OtherWidth(Good):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data[:, :-1])


class Exits(Good):
    """Ends the program where it should raise."""

    def finish(self, tokens, frames, question):
        raise SystemExit(3)


class ShoutsInColor(Good):
    """Its error is markup, and commands the terminal."""

    def finish(self, tokens, frames, question):
        raise ValueError("[/bold] \x1b[2Jgone")


class Hangs(Good):
    """Comes to no end."""

    def finish(self, tokens, frames, question):
        while True:
            time.sleep(60)


FAULTS = {
    Exits: "interface",
    ShoutsInColor: "interface",
    DoesNothing: "no-op",
    BlanksFrames: "input",
    WritesToTimes: "input",
    ReturnsNoSources: "interface",
    ReturnsLists: "interface",
    ReturnsAnArray: "interface",
    TakesTimeInWords: "interface",
    ChangesItsBudgetLater: "interface",
    OverBudget: "budget",
    OtherBudget: "budget",
    IgnoresBudget: "no-op",
    WrongUncompressed: "budget",
    RefusesWithoutReason: "budget",
    Blind: "no-op",
    AllTheSame: "no-op",
    Random: "determinism",
    Remembers: "determinism",
    WritesToFrames: "input",
    LooksAtTheQuestion: "question",
    CountsFramesItself: "provenance",
    MakesUpTimes: "provenance",
    LosesSources: "provenance",
    PatchOutOfFrame: "interface",
    UnsortedSources: "interface",
    NamesOtherPatches: "origin",
    NamesTooFewPatches: "origin",
    BackwardsInTime: "time order",
    KeyFramesTwice: "time order",
    ReusesItsMemory: "kept tokens",
    HoldsGradients: "kept tokens",
    CannotBeKept: "cache",
    NotANumber: "interface",
    ReturnsATensor: "interface",
    Crashes: "interface",
    OtherWidth: "interface",
}
