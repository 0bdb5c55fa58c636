"""Online forms with one fault each, around the one of `VideoQA.watch`."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from dyto.features import KeyFrames


class Steady:
    """A form of its own that has no fault."""

    def __init__(self, qa, segments):
        self.qa, self.segments = qa, segments
        self.watch = qa.watch(segments=segments, fps=None)

    def feed(self, pictures, seconds):
        self.watch.feed(pictures, seconds)

    def tokens(self, *, token_budget=None):
        return self.watch.tokens(token_budget=token_budget)

    @property
    def memory(self):
        return self.watch.memory


def several(pictures, seconds):
    """What was fed, as several frames."""
    return (pictures[None], [seconds]) if pictures.ndim == 3 else (pictures, np.asarray(seconds).tolist())


class KnowsNothing(Steady):
    def tokens(self, *, token_budget=None):
        if not self.watch.taken:
            self.feed(np.zeros((84, 84, 3), np.uint8), -1.0)
        return super().tokens(token_budget=token_budget)


class OneAtATime(Steady):
    def feed(self, pictures, seconds):
        self.watch.feed(pictures[None][0], float(seconds))


class NotANumber(Steady):
    def tokens(self, *, token_budget=None):
        tokens = super().tokens(token_budget=token_budget)
        return replace(tokens, data=tokens.data * torch.nan)


class OverBudget(Steady):
    def tokens(self, *, token_budget=None):
        more = None if token_budget is None else token_budget + 5
        return replace(super().tokens(token_budget=more), budget=None)


class NoBudget(Steady):
    def tokens(self, *, token_budget=None):
        return super().tokens(token_budget=18)


class RefusesMuch(Steady):
    def tokens(self, *, token_budget=None):
        return super().tokens(token_budget=0 if token_budget is not None and token_budget > 100 else token_budget)


class KnowsTheNext(Steady):
    """Shows what another object was fed at a later time."""

    known: ClassVar[dict[float, np.ndarray]] = {}

    def feed(self, pictures, seconds):
        for picture, second in zip(*several(pictures, seconds), strict=True):
            self.known[second] = picture.copy()
            later = [at for at in self.known if second < at < second + 3]
            self.watch.feed(self.known[max(later)] if later else picture, second)


class ScalesByAllStreams(Steady):
    most: ClassVar[list[float]] = [0.0]

    def tokens(self, *, token_budget=None):
        tokens = super().tokens(token_budget=token_budget)
        self.most[0] = max(self.most[0], float(tokens.data.abs().max()))
        return replace(tokens, data=tokens.data / self.most[0])


class WritesOver(Steady):
    """Gives the same tensor each time."""

    def __init__(self, qa, segments):
        super().__init__(qa, segments)
        self.room = None

    def tokens(self, *, token_budget=None):
        tokens = super().tokens(token_budget=token_budget)
        if token_budget is not None:
            return tokens
        if self.room is None:
            self.room = torch.zeros(4000, tokens.data.shape[1], dtype=tokens.data.dtype)
        self.room[: len(tokens)] = tokens.data
        return replace(tokens, data=self.room[: len(tokens)])


class NamesTheFuture(Steady):
    def tokens(self, *, token_budget=None):
        tokens = super().tokens(token_budget=token_budget)
        at = tokens.keyframes
        return replace(tokens, keyframes=KeyFrames(at.indices + 9, at.seconds + 9, at.positions))


class OnlyTheLast(Steady):
    """Forgets what was longer ago than it has segments."""

    def feed(self, pictures, seconds):
        for picture, second in zip(*several(pictures, seconds), strict=True):
            self.last = [*getattr(self, "last", [])[1 - self.segments :], (picture.copy(), second)]
            self.watch = self.qa.watch(segments=self.segments, fps=None)
            for one in self.last:
                self.watch.feed(*one)


class OnlyTheFirst(Steady):
    def feed(self, pictures, seconds):
        for picture, second in zip(*several(pictures, seconds), strict=True):
            if self.watch.taken < 40:
                self.watch.feed(picture, second)


class OneLate(Steady):
    """Takes a frame when the next one comes."""

    waiting = None

    def feed(self, pictures, seconds):
        for picture, second in zip(*several(pictures, seconds), strict=True):
            if not self.watch.taken:
                self.watch.feed(picture, second)
                continue
            if self.waiting is not None:
                self.watch.feed(*self.waiting)
            self.waiting = picture.copy(), second


class FirstOfEachBatch(Steady):
    def feed(self, pictures, seconds):
        pictures, seconds = several(pictures, seconds)
        self.watch.feed(pictures[0], seconds[0])


class EvensOutABatch(Steady):
    """Makes the pictures of a batch equally bright."""

    def feed(self, pictures, seconds):
        pictures, seconds = several(pictures, seconds)
        light = pictures.mean() / pictures.mean((1, 2, 3), keepdims=True)
        self.watch.feed((pictures * light).clip(0, 255).astype(np.uint8), seconds)


class AskingEmptiesIt(Steady):
    def tokens(self, *, token_budget=None):
        tokens = super().tokens(token_budget=token_budget)
        if self.watch.taken > 20:
            self.watch = self.qa.watch(segments=self.segments, fps=None)
            self.watch.feed(np.zeros((84, 84, 3), np.uint8), float(tokens.keyframes.seconds[-1]) + 0.01)
        return tokens


class AskingIsAFrame(Steady):
    def tokens(self, *, token_budget=None):
        self.watch.feed(np.zeros((84, 84, 3), np.uint8), self.watch.latest + 1e-3)
        return super().tokens(token_budget=token_budget)


class ByChance(Steady):
    def tokens(self, *, token_budget=None):
        tokens = super().tokens(token_budget=token_budget)
        return replace(tokens, data=tokens.data + 1e-3 * torch.randn_like(tokens.data))


class ChangesPictures(Steady):
    def feed(self, pictures, seconds):
        pictures[..., 0] //= 2
        super().feed(pictures, seconds)


class LooksLater(Steady):
    """Keeps the caller's pictures, and looks at them when it is asked."""

    def __init__(self, qa, segments):
        super().__init__(qa, segments)
        self.waiting = []

    def feed(self, pictures, seconds):
        self.waiting.append((pictures, seconds))

    def tokens(self, *, token_budget=None):
        while self.waiting:
            self.watch.feed(*self.waiting.pop(0))
        return super().tokens(token_budget=token_budget)


class KeepsPictures(Steady):
    def __init__(self, qa, segments):
        super().__init__(qa, segments)
        self.all = []

    def feed(self, pictures, seconds):
        self.all += [one.copy() for one in several(pictures, seconds)[0]]
        super().feed(pictures, seconds)


class KeepsTimes(Steady):
    def __init__(self, qa, segments):
        super().__init__(qa, segments)
        self.times = []

    def feed(self, pictures, seconds):
        self.times += several(pictures, seconds)[1]
        super().feed(pictures, seconds)


class KeepsInItsClass(Steady):
    kept: ClassVar[list[torch.Tensor]] = []

    def feed(self, pictures, seconds):
        self.kept.append(torch.zeros(len(several(pictures, seconds)[0]), 256))
        super().feed(pictures, seconds)


def keeps_in_a_closure(qa, segments):
    form, kept = Steady(qa, segments), np.zeros((0, 64))

    def feed(pictures, seconds):
        nonlocal kept
        kept = np.concatenate([kept, np.zeros((len(several(pictures, seconds)[0]), 64))])
        form.watch.feed(pictures, seconds)

    form.feed = feed
    return form


class MoreSegments(Steady):
    def __init__(self, qa, segments):
        super().__init__(qa, 3 * segments)


def prefixed(change):
    """A form whose memory has other prefixes."""

    class OtherPrefix(Steady):
        @property
        def memory(self):
            memory = super().memory
            return replace(memory, **{}) if change is None else _Changed(**{n: getattr(memory, n) for n in _FIELDS})

    from dyto.memory.remembered import Memory

    class _Changed(Memory):
        def prefix(self, segments):
            return change(Memory(**{name: getattr(self, name) for name in _FIELDS}), segments)

    _FIELDS = ("origin", "about", "segments", "tensors", "thumbnails", "noise")
    OtherPrefix.__name__ = OtherPrefix.__qualname__ = change.__name__
    return OtherPrefix


def first_in_time(memory, segments):
    return memory.take(np.arange(segments))


def evenly_spread(memory, segments):
    return memory.take(np.linspace(0, len(memory) - 1, segments).round().astype(int))


def one_too_few(memory, segments):
    return memory.prefix(max(1, segments - 1))


def other_means(memory, segments):
    short = memory.prefix(segments)
    return replace(short, segments=short.segments._replace(means=short.segments.means * 0.9))


def other_counts(memory, segments):
    short = memory.prefix(segments)
    return replace(short, segments=short.segments._replace(sizes=np.ones_like(short.segments.sizes)))


class SavesLess(Steady):
    def save(self, path):
        return self.memory.prefix(3).save(path)


UNSTEADY = {
    KnowsNothing: "interface",
    OneAtATime: "interface",
    NotANumber: "interface",
    OverBudget: "budget",
    NoBudget: "budget",
    RefusesMuch: "budget",
    KnowsTheNext: "causality",
    ScalesByAllStreams: "causality",
    WritesOver: "causality",
    NamesTheFuture: "causality",
    OnlyTheLast: "present",
    OnlyTheFirst: "present",
    OneLate: "present",
    FirstOfEachBatch: "batches",
    EvensOutABatch: "batches",
    AskingEmptiesIt: "asking",
    AskingIsAFrame: "asking",
    ByChance: "determinism",
    ChangesPictures: "input",
    LooksLater: "input",
    KeepsPictures: "memory",
    KeepsTimes: "memory",
    KeepsInItsClass: "memory",
    keeps_in_a_closure: "memory",
    MoreSegments: "prefix",
    prefixed(first_in_time): "prefix",
    prefixed(evenly_spread): "prefix",
    prefixed(one_too_few): "prefix",
    prefixed(other_means): "prefix",
    prefixed(other_counts): "prefix",
    SavesLess: "prefix",
}
"""Every fault, with the check that finds it."""
