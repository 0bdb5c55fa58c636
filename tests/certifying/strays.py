"""Strategies with one fault each that shows on long films, after many calls, or at some sizes only."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from dyto.errors import ConfigError
from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.strategies.uniform import spread

SHORT = 40
"""Up to so many frames most of these do as they should."""


def pooled(encode, frames, positions, keep, budget, total, part=1):
    """Of some frames, the means of equal stretches of their patches, or of the first part of these."""
    features = encode(frames[positions])
    n = features.num_patches // part
    owner = np.arange(n) * keep // n  # (N,)
    patches = features.patches()[:, :n]  # (K, N, D)
    merged = torch.stack([patches[:, owner == token].mean(1) for token in range(keep)], 1)  # (K, keep, D)
    return VisualTokens(
        data=merged.flatten(0, 1),
        keyframes=KeyFrames(features.indices, features.seconds, positions),
        keyframe=np.repeat(np.arange(len(positions)), keep),
        sources=Sources.from_owners(np.tile(owner, (len(positions), 1)), keep),
        grid=features.grid,
        budget=budget,
        uncompressed=total * features.num_patches,
    )


@dataclass(frozen=True)
class Even:
    """As many frames as there is room for with four tokens each, at equal distances."""

    token_budget: int | None = None

    def __call__(self, frames, encode, question=None):
        n = encode(frames[:1]).num_patches
        budget = self.allowed(frames, self.token_budget or 5 * n)
        positions = self.positions(frames, max(1, min(len(frames), budget // 4)))
        keep = min(n, budget // len(positions))
        return self.finish(pooled(encode, frames, positions, keep, budget, len(frames)), frames, question)

    def allowed(self, frames, budget):
        return budget

    def positions(self, frames, count):
        return spread(len(frames), count)

    def finish(self, tokens, frames, question):
        return tokens


class FirstFrameOnly(Even):
    def positions(self, frames, count):
        return spread(1 if len(frames) > SHORT else len(frames), 1 if len(frames) > SHORT else count)


class FirstFramesOnly(Even):
    def positions(self, frames, count):
        length = min(64, len(frames))
        return spread(length, min(count, length))


class FirstFrameAtOneLength(Even):
    def positions(self, frames, count):
        return spread(1, 1) if len(frames) == 300 else spread(len(frames), count)


class FirstFrameBetweenUsualLengths(Even):
    def positions(self, frames, count):
        return spread(1, 1) if 100 < len(frames) < 128 else spread(len(frames), count)


class StopsAtFourHundred(Even):
    def positions(self, frames, count):
        length = min(400, len(frames))
        return spread(length, min(count, length))


class FirstFrameUnlessThereIsMuchRoom(Even):
    """A long film is its first frame where fewer than twelve whole frames fit."""

    def positions(self, frames, count):
        little = len(frames) > SHORT and (self.token_budget or 0) < 12 * 36
        return spread(1, 1) if little else spread(len(frames), count)


class FirstFrameOfWhatALensSaw(Even):
    """Right on drawn films, whose surfaces are even; where neighbouring pixels differ, the first frame only."""

    def positions(self, frames, count):
        picture = frames.data[0].astype(int)
        even = (np.diff(picture, axis=1) == 0).all(2).mean() > 0.5
        return spread(len(frames), count) if even else spread(1, 1)


class DropsTheLastTenth(Even):
    def positions(self, frames, count):
        length = len(frames) - len(frames) // 10 if len(frames) > SHORT else len(frames)
        return spread(length, min(count, length))


class DropsTheLastFrame(Even):
    def positions(self, frames, count):
        length = max(1, len(frames) - 1)
        return spread(length, min(count, length))


class DropsTheFirstFrame(Even):
    def positions(self, frames, count):
        if len(frames) == 1:
            return spread(1, 1)
        return 1 + spread(len(frames) - 1, min(count, len(frames) - 1))


class DropsTheRemainder(Even):
    """Works in blocks of 24 frames and forgets what is left over."""

    def positions(self, frames, count):
        length = len(frames) // 24 * 24 or len(frames)
        return spread(length, min(count, length))


class SkipsTheMiddle(Even):
    def positions(self, frames, count):
        length = len(frames)
        if length <= SHORT:
            return spread(length, count)
        ends = np.r_[0 : length // 3, 2 * length // 3 : length]
        return ends[spread(len(ends), min(count, len(ends)))]


class OnlyTheEnds(Even):
    def positions(self, frames, count):
        length = len(frames)
        return np.unique([0, length - 1]) if length > SHORT and count > 1 else spread(length, count)


class GrowsWithTheFilm(Even):
    def __call__(self, frames, encode, question=None):
        more = len(frames) // 50
        wanted = None if self.token_budget is None else self.token_budget + 4 * more
        return replace(Even(wanted)(frames, encode, question), budget=self.token_budget if not more else None)


class NoBudgetForLongFilms(Even):
    def __call__(self, frames, encode, question=None):
        if len(frames) <= SHORT:
            return Even(self.token_budget)(frames, encode, question)
        return replace(Even(800)(frames, encode, question), budget=None)


class FourTokensForLongFilms(Even):
    def __call__(self, frames, encode, question=None):
        if len(frames) <= SHORT:
            return Even(self.token_budget)(frames, encode, question)
        if self.token_budget is not None and self.token_budget < 4:
            raise ConfigError("too small: at least 4 tokens")
        positions = spread(len(frames), 4)
        return pooled(encode, frames, positions, 1, self.token_budget or 4, len(frames))


class OneTooManyAtSomeSizes(Even):
    def __call__(self, frames, encode, question=None):
        budget = self.token_budget
        if budget is None or budget % 13 != 10:
            return Even(budget)(frames, encode, question)
        return replace(pooled(encode, frames, spread(len(frames), 1), min(36, budget + 1), None, len(frames)))


class StatesAnotherLargeBudget(Even):
    def finish(self, tokens, frames, question):
        return replace(tokens, budget=tokens.budget + (tokens.budget > 200))


class WrongUncompressedWhenLong(Even):
    def finish(self, tokens, frames, question):
        return replace(tokens, uncompressed=min(tokens.uncompressed, 40 * 36))


class EvenTimesWhenLong(Even):
    def finish(self, tokens, frames, question):
        if len(frames) <= SHORT:
            return tokens
        even = np.linspace(0, frames.seconds[-1], len(tokens.keyframes))
        return replace(tokens, keyframes=replace(tokens.keyframes, seconds=even))


class CountsForItselfWhenLong(Even):
    def finish(self, tokens, frames, question):
        if len(frames) <= SHORT:
            return tokens
        return replace(tokens, keyframes=replace(tokens.keyframes, indices=tokens.keyframes.positions))


class OneFrameLateWhenLong(Even):
    """Tokens of one frame, named as those of the next."""

    def finish(self, tokens, frames, question):
        positions = tokens.keyframes.positions
        if len(frames) <= SHORT or positions[-1] + 1 >= len(frames):
            return tokens
        late = positions + 1
        return replace(tokens, keyframes=KeyFrames(frames.indices[late], frames.seconds[late], late))


class OtherPatchesWhenLong(Even):
    def finish(self, tokens, frames, question):
        if len(frames) <= SHORT:
            return tokens
        n = tokens.grid[0] * tokens.grid[1]
        return replace(tokens, sources=replace(tokens.sources, patch=n - 1 - tokens.sources.patch))


class TooFewPatchesWhenLong(Even):
    def finish(self, tokens, frames, question):
        s = tokens.sources
        first = np.r_[True, np.diff(s.token) > 0]
        return (
            tokens if len(frames) <= SHORT else replace(tokens, sources=Sources(*(a[first] for a in vars(s).values())))
        )


class TooManyPatches(Even):
    """Every token names the patches of the one after it, too."""

    def finish(self, tokens, frames, question):
        s = tokens.sources
        before = np.flatnonzero((s.token > 0) & (s.keyframe == np.r_[-1, tokens.keyframe][s.token]))
        token = np.r_[s.token, s.token[before] - 1]
        order = np.argsort(token, kind="stable")
        parts = (token, np.r_[s.keyframe, s.keyframe[before]], np.r_[s.patch, s.patch[before]])
        return replace(tokens, sources=Sources(*(part[order] for part in parts)))


class TopHalfOnly(Even):
    def __call__(self, frames, encode, question=None):
        n = encode(frames[:1]).num_patches
        budget = self.token_budget or 5 * n
        positions = spread(len(frames), max(1, min(len(frames), budget // 4)))
        keep = min(n // 2, budget // len(positions))
        return pooled(encode, frames, positions, keep, budget, len(frames), part=2)


def with_more(tokens, places, patches=None):
    """Tokens with some of them once more at the end."""
    s, count = tokens.sources, len(tokens)
    rows = [np.flatnonzero(s.token == place) for place in places]
    again = np.concatenate(rows)
    token = np.repeat(count + np.arange(len(places)), [len(row) for row in rows])
    return replace(
        tokens,
        data=torch.cat([tokens.data, tokens.data[torch.as_tensor(places)]]),
        keyframe=np.r_[tokens.keyframe, tokens.keyframe[places]],
        sources=Sources(
            np.r_[s.token, token],
            np.r_[s.keyframe, s.keyframe[again]],
            np.r_[s.patch, s.patch[again] if patches is None else patches(s.patch[again])],
        ),
    )


class RepeatsTokens(Even):
    """Fills the budget with its last token."""

    def finish(self, tokens, frames, question):
        room = min(5, tokens.budget - len(tokens))
        return with_more(tokens, [len(tokens) - 1] * room) if room > 0 else tokens


class RepeatsTokensInDisguise(Even):
    def finish(self, tokens, frames, question):
        room = min(2, tokens.budget - len(tokens))
        if room <= 0:
            return tokens
        return with_more(
            tokens, [len(tokens) - 1] * room, lambda patch: (patch + 7) % (tokens.grid[0] * tokens.grid[1])
        )


class BlanksLateTokens(Even):
    def finish(self, tokens, frames, question):
        data = tokens.data.clone()
        data[64:] = 0
        return replace(tokens, data=data)


class ShiftsWhenLong(Even):
    """A little of the mean of all tokens is in each."""

    def finish(self, tokens, frames, question):
        return tokens if len(frames) <= SHORT else replace(tokens, data=tokens.data + 0.05 * tokens.data.mean())


class BackwardsWhenLong(Even):
    def finish(self, tokens, frames, question):
        if len(frames) <= SHORT:
            return tokens
        order = np.argsort(-tokens.keyframe, kind="stable")
        token = np.argsort(order)[tokens.sources.token]
        rows = np.argsort(token, kind="stable")
        s = tokens.sources
        return replace(
            tokens,
            data=tokens.data[torch.from_numpy(order)],
            keyframe=tokens.keyframe[order],
            sources=Sources(token[rows], s.keyframe[rows], s.patch[rows]),
        )


class NaNWhenLong(Even):
    def finish(self, tokens, frames, question):
        data = tokens.data.clone()
        data[400:] = float("nan")
        return replace(tokens, data=data)


class BreaksAtOneLength(Even):
    def positions(self, frames, count):
        return {0: spread(1, 1)}[257] if len(frames) == 257 else spread(len(frames), count)


class AsksWhenLong(Even):
    def finish(self, tokens, frames, question):
        return tokens if len(frames) <= SHORT else replace(tokens, data=tokens.data * (1 + 0.01 * len(question or "")))


class AsksAtSmallBudgets(Even):
    def finish(self, tokens, frames, question):
        return tokens if tokens.budget > 50 else replace(tokens, data=tokens.data * (1 + 0.01 * len(question or "")))


class WritesToLongFilms(Even):
    def finish(self, tokens, frames, question):
        if len(frames) > SHORT:
            frames.data[-1, 0, 0] = 0
        return tokens


class WritesToFeatures(Even):
    def __call__(self, frames, encode, question=None):
        tokens = super().__call__(frames, encode, question)
        if len(frames) > SHORT:
            encode(frames).summary.mul_(0.5)
        return tokens


class Calls(Even):
    """Counts its calls, whichever object is called."""

    count: ClassVar[list] = [0]

    def __call__(self, frames, encode, question=None):
        self.count[0] += 1
        return super().__call__(frames, encode, question)


class OtherAfterManyCalls(Calls):
    count: ClassVar[list] = [0]

    def positions(self, frames, count):
        return spread(1, 1) if self.count[0] > 300 else spread(len(frames), count)


class LongFilmsSufferAfterManyCalls(Calls):
    count: ClassVar[list] = [0]

    def positions(self, frames, count):
        late = self.count[0] > 250 and len(frames) > SHORT
        return spread(1, 1) if late else spread(len(frames), count)


class EveryFiftiethCall(Calls):
    count: ClassVar[list] = [0]

    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data * (1 + 1e-3 * (self.count[0] % 50 == 0)))


class CountsByObject(Even):
    """Counts the calls of this object alone."""

    def __call__(self, frames, encode, question=None):
        vars(self)["count"] = vars(self).get("count", 0) + 1
        return super().__call__(frames, encode, question)


class ChoosesOthersAfterManyCalls(CountsByObject):
    def positions(self, frames, count):
        chosen = spread(len(frames), count)
        return chosen if vars(self)["count"] < 240 else np.arange(len(chosen))


class EveryFiftiethCallOfAnObject(CountsByObject):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data * (1 + 1e-3 * (vars(self)["count"] % 50 == 0)))


class EverySecondCall(Calls):
    count: ClassVar[list] = [0]

    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data * (1 + 1e-3 * (self.count[0] % 2)))


class OfTheLastFilm(Even):
    """A little of the film before is in the tokens."""

    last: ClassVar[list] = [0.0]

    def finish(self, tokens, frames, question):
        mixed = replace(tokens, data=tokens.data + 1e-4 * self.last[0])
        self.last[0] = float(tokens.data.mean())
        return mixed


class Keeps(Even):
    kept: ClassVar[dict] = {}
    key: Any

    def __call__(self, frames, encode, question=None):
        key = self.token_budget, len(frames), *self.key(frames)
        if key not in self.kept:
            self.kept[key] = super().__call__(frames, encode, question)
        return self.kept[key]


class KeptByLength(Keeps):
    kept: ClassVar[dict] = {}

    def key(self, frames):
        return ()


class KeptByNumbers(Keeps):
    kept: ClassVar[dict] = {}

    def key(self, frames):
        return frames.indices.tobytes(), frames.seconds.tobytes()


class KeptById(Keeps):
    kept: ClassVar[dict] = {}

    def key(self, frames):
        return (id(frames),)


class KeptByFirstFrame(Keeps):
    kept: ClassVar[dict] = {}

    def key(self, frames):
        return (frames.data[0].tobytes(),)


class PythonsChance(Even):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data * (1 + 1e-3 * random.random()))


class NumpysChanceWhenLong(Even):
    def positions(self, frames, count):
        if len(frames) <= SHORT:
            return spread(len(frames), count)
        return np.sort(np.random.choice(len(frames), count, replace=False))


class OtherInAThread(Even):
    def positions(self, frames, count):
        main = threading.current_thread() is threading.main_thread()
        return spread(len(frames), count if main else max(1, count // 2))


class OtherWithMoreThreads(Even):
    usual: ClassVar[int] = torch.get_num_threads()

    def positions(self, frames, count):
        usual = torch.get_num_threads() == self.usual
        return spread(len(frames), count if usual else max(1, count // 2))


class OtherInTime(Even):
    first: ClassVar[list] = []

    def positions(self, frames, count):
        self.first.append(time.monotonic())
        late = self.first[-1] - self.first[0] > 0.4
        return spread(len(frames), max(1, count // 2) if late else count)


class DoublePrecision(Even):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data.double())


class HalfPrecision(Even):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data.bfloat16())


class OnAnotherDevice(Even):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data.to("meta")) if len(frames) > SHORT else tokens


class ReusesItsMemoryWhenLong(Even):
    memory: ClassVar[dict] = {}

    def finish(self, tokens, frames, question):
        if len(frames) <= SHORT:
            return tokens
        kept = self.memory.setdefault(tokens.data.shape, torch.empty_like(tokens.data))
        kept.copy_(tokens.data)
        return replace(tokens, data=kept)


class GradientsWhenLong(Even):
    def finish(self, tokens, frames, question):
        return replace(tokens, data=tokens.data.clone().requires_grad_()) if len(frames) > SHORT else tokens


STRAYS = {
    FirstFrameOnly: "long films",
    FirstFramesOnly: "long films",
    FirstFrameAtOneLength: "long films",
    FirstFrameBetweenUsualLengths: "long films",
    StopsAtFourHundred: "long films",
    FirstFrameUnlessThereIsMuchRoom: "long films",
    FirstFrameOfWhatALensSaw: "long films",
    DropsTheLastTenth: "long films",
    DropsTheLastFrame: "long films",
    DropsTheFirstFrame: "long films",
    DropsTheRemainder: "long films",
    SkipsTheMiddle: "long films",
    OnlyTheEnds: "long films",
    FourTokensForLongFilms: "long films",
    BreaksAtOneLength: "long films",
    TopHalfOnly: "long films",
    KeptByFirstFrame: "long films",
    GrowsWithTheFilm: "budget",
    NoBudgetForLongFilms: "budget",
    OneTooManyAtSomeSizes: "budget",
    StatesAnotherLargeBudget: "budget",
    WrongUncompressedWhenLong: "budget",
    EvenTimesWhenLong: "provenance",
    CountsForItselfWhenLong: "provenance",
    RepeatsTokens: "provenance",
    RepeatsTokensInDisguise: "provenance",
    OneFrameLateWhenLong: "origin",
    OtherPatchesWhenLong: "origin",
    TooFewPatchesWhenLong: "origin",
    TooManyPatches: "origin",
    ShiftsWhenLong: "origin",
    BlanksLateTokens: "provenance",
    BackwardsWhenLong: "time order",
    NaNWhenLong: "interface",
    DoublePrecision: "interface",
    HalfPrecision: "interface",
    OnAnotherDevice: "interface",
    AsksWhenLong: "question",
    AsksAtSmallBudgets: "memory",
    WritesToLongFilms: "input",
    WritesToFeatures: "input",
    OtherAfterManyCalls: "memory",
    LongFilmsSufferAfterManyCalls: "memory",
    EveryFiftiethCall: "memory",
    EverySecondCall: "memory",
    ChoosesOthersAfterManyCalls: "memory",
    EveryFiftiethCallOfAnObject: "memory",
    OfTheLastFilm: "determinism",
    KeptByLength: "no-op",
    KeptByNumbers: "no-op",
    KeptById: "memory",
    PythonsChance: "determinism",
    NumpysChanceWhenLong: "memory",
    OtherInAThread: "memory",
    OtherWithMoreThreads: "memory",
    OtherInTime: "memory",
    ReusesItsMemoryWhenLong: "kept tokens",
    GradientsWhenLong: "kept tokens",
}
