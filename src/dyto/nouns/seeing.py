"""The timeline: which nouns are seen when, from the features of key frames, each with a confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dyto.finch import FloatArray
from dyto.nouns.table import Concept, nouns, with_article

NOUN = 0.3
"""Smallest share with which a noun is named."""

KIND = 0.45
"""Smallest share of all nouns of a kind with which the kind is named instead."""

STRENGTH = 5.5
"""Smallest value of the classifier's strongest output for things that it knows."""

GUESS = 0.05
"""Smallest share of a guess that is mentioned."""

ALIKE = 0.62
"""Smallest cosine of a frame with the scene so far at which it belongs to that scene."""


@dataclass(frozen=True)
class Recognition:
    """The verdict about some frames.

    Attributes:
        classes: The asserted classes: one for a noun, several for a kind, none if nothing is asserted.
        name: The noun or the kind; "" if nothing is asserted.
        sure: The eye's share of these classes, or of the best guess.
        guesses: Nouns that it may be, the likeliest first.
    """

    classes: frozenset[int] = field(repr=False)
    name: str
    sure: float
    guesses: tuple[str, ...]

    @classmethod
    def of(cls, shares: FloatArray, strength: float, within: Concept | None = None) -> Recognition:
        """Judge frames.

        Args:
            shares: (1000,) the share of each class; they sum to 1.
            strength: The classifier's strongest output.
            within: The concept to which the verdict is limited.
        """
        table = nouns()
        allowed = np.where(table.guarded, 0.0, shares)
        likely = shares.copy()
        likely[list(table.people)] = 0
        if within is not None:
            allowed, likely = allowed * within.mask, likely * within.mask
        order = np.argsort(-likely, kind="stable")[:3]
        guesses = tuple(table.names[i] for i in order if likely[i] >= GUESS)
        best = int(allowed.argmax())
        if strength >= STRENGTH:
            if allowed[best] >= NOUN:
                return cls(frozenset([best]), table.names[best], float(allowed[best]), guesses)
            kinds = [(kind, float(allowed[kind.mask].sum())) for kind in table.kinds_of(best)]
            for kind, share in kinds:
                if share >= KIND:
                    return cls(kind.classes, kind.word, share, guesses)
        return cls(frozenset(), "", float(likely[order[0]]), guesses)

    @property
    def text(self) -> str:
        """The text: `a giant panda`, `a dog (perhaps a beagle)`, `perhaps a volleyball, a racket`, or nothing."""
        guesses = ", ".join(with_article(name) for name in self.guesses[:2])
        if len(self.classes) == 1:
            return with_article(self.name)
        if self.name:
            return f"{with_article(self.name)} (perhaps {guesses})" if guesses else with_article(self.name)
        return f"perhaps {guesses}" if guesses else ""


@dataclass(frozen=True)
class Sighting:
    """A stretch of key frames that show one thing, or nothing nameable.

    Attributes:
        verdict: The verdict about it.
        start: Time of its first key frame, seconds.
        end: Time of its last.
        frames: Number of its key frames.
    """

    verdict: Recognition
    start: float
    end: float
    frames: int

    @property
    def when(self) -> str:
        """ "3.0 to 8.5 s", or "3.0 s" for one frame."""
        return f"{self.start:.1f} s" if self.frames == 1 else f"{self.start:.1f} to {self.end:.1f} s"


@dataclass(frozen=True)
class Timeline:
    """The eye's view of K key frames, in the order of time.

    Attributes:
        seconds: (K,) their times.
        shares: (K, 1000) the share of each class in each frame.
        strength: (K,) the classifier's strongest output for each.
        scenes: (K,) scene of each, counted from 0.
    """

    seconds: FloatArray
    shares: FloatArray
    strength: FloatArray
    scenes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, features: FloatArray, logits: FloatArray, seconds: FloatArray) -> Timeline:
        """Make a timeline.

        Args:
            features: (K, D) features of each key frame.
            logits: (K, 1000) outputs of its classifier.
            seconds: (K,) their times, ascending.
        """
        if not len(seconds):
            return cls(seconds, np.zeros((0, 1000)), np.zeros(0), np.zeros(0, np.int64))
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return cls(seconds, shares, logits.max(1), _scenes(features))

    def __len__(self) -> int:
        return len(self.seconds)

    @cached_property
    def _stretches(self) -> list[npt.NDArray[np.int64]]:
        return [np.flatnonzero(self.scenes == scene) for scene in range(int(self.scenes.max(initial=-1)) + 1)]

    @property
    def num_scenes(self) -> int:
        """Number of scenes."""
        return len(self._stretches)

    def sightings(self, within: Concept | None = None) -> list[Sighting]:
        """Return what is seen, scene by scene; consecutive scenes with the same verdict are joined.

        Args:
            within: The concept to which the verdict is limited.
        """
        found: list[tuple[Recognition, list[int]]] = []
        for rows in self._stretches:
            verdict = Recognition.of(self.shares[rows].mean(0), float(self.strength[rows].max()), within)
            if found and found[-1][0].name == verdict.name:
                rows = np.concatenate([found.pop()[1], rows])
                verdict = Recognition.of(self.shares[rows].mean(0), float(self.strength[rows].max()), within)
            found.append((verdict, rows.tolist()))
        return [Sighting(v, float(self.seconds[r[0]]), float(self.seconds[r[-1]]), len(r)) for v, r in found]

    def share_of(self, concept: Concept) -> FloatArray:
        """Return the share (S,) of a concept in each scene; (0,) if there are no scenes."""
        return np.array([self.shares[rows][:, concept.mask].sum(1).mean() for rows in self._stretches])

    def is_clear(self, scene: int) -> bool:
        """Return whether the classifier knows anything about a scene, see `STRENGTH`."""
        return bool(self.strength[self._stretches[scene]].max() >= STRENGTH)

    def span(self, scene: int) -> Sighting:
        """Return when a scene is seen."""
        rows = self._stretches[scene]
        verdict = Recognition.of(self.shares[rows].mean(0), float(self.strength[rows].max()))
        return Sighting(verdict, float(self.seconds[rows[0]]), float(self.seconds[rows[-1]]), len(rows))


def _scenes(features: FloatArray) -> npt.NDArray[np.int64]:
    """Number the scene of each frame, (K,): a new one begins at a frame unlike the scene so far."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    number, total, scene = np.zeros(len(unit), np.int64), unit[0].copy(), 0
    for index in range(1, len(unit)):
        likeness = max(unit[index] @ total / max(np.linalg.norm(total), 1e-12), unit[index] @ unit[index - 1])
        if likeness < ALIKE:
            scene, total = scene + 1, np.zeros_like(total)
        total += unit[index]
        number[index] = scene
    return number


def named(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Return the sightings that are asserted."""
    return [one for one in sightings if one.verdict.name]
