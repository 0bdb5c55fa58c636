"""Running a strategy on every film, at every budget, with the model's own features or with marked ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch

from dyto.certifying.eye import PlainEye
from dyto.certifying.films import films, long_film
from dyto.certifying.limit import CALLS, TookTooLongError, time_limit
from dyto.certifying.marked import MarkedModel
from dyto.certifying.same import content, digest
from dyto.errors import ConfigError, DytoError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.generation.sharing import SharedVision
from dyto.pipeline import VideoQA
from dyto.strategies import Strategy
from dyto.strategies.base import Encode
from dyto.strategies.calling import BoundStrategy, name_of
from dyto.strategies.targets import takes_budget, with_budget
from dyto.video import Frames

QUESTION, OTHER_QUESTION, THIRD_QUESTION = "what is shown ?", "what color is the star ?", "is there a circle ?"
LONG = (100, 400)
"""Numbers of frames of the long films."""
MOST_TOKENS = 16_384
"""Largest budget to try: higher ones would show nothing new and take much memory."""
Result = TypeVar("Result")


class Fault(Exception):
    """A fault of a strategy; the message goes into the report."""


class NotExamined(Exception):
    """The reason why a check does not apply to a strategy."""


@dataclass(frozen=True)
class Trial:
    """One call of the strategy.

    Attributes:
        film: Name of the film.
        frames: The film.
        budget: Tokens allowed; None for the strategy's own choice.
        tokens: The returned tokens, or None.
        refusal: The message, if it refused the budget or the model.
        failure: The error, if it failed otherwise.
        digest: Hash of the tokens when they were made.
    """

    film: str
    frames: Frames
    budget: int | None
    tokens: VisualTokens | None = None
    refusal: str = ""
    failure: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.film}{'' if self.budget is None else f', budget {self.budget}'}"


@dataclass(frozen=True)
class Punctual:
    """A strategy with a time limit.

    Attributes:
        inner: The wrapped strategy, to which all other attributes belong.
        seconds: Time limit of one call, including the encoding that it requests; None for no limit.
    """

    inner: Strategy
    seconds: float | None = None

    @property
    def name(self) -> str:
        """The strategy's own name."""
        return name_of(self.inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Call it.

        Raises:
            TookTooLongError: The block took longer.
        """
        with time_limit(self.seconds):
            return self.inner(frames, encode, question)


class Bench:
    """A strategy and a model, with the results of all calls.

    Args:
        target: A strategy for `dyto.strategies.targets.with_budget`.
        model: The model.
        budget: The budget of a strategy that takes none, or None.
        seconds: Time limit of one call; None for no limit.
        calls: Number of consecutive calls.

    Attributes:
        films: The short films, by name.
        long: The long ones, of one scene and of three.
        untouched: Hashes of the frames before any call.
        eye: The eye for the long films.
    """

    def __init__(
        self,
        target: Any,
        model: VideoModel,
        budget: int | None = None,
        seconds: float | None = None,
        calls: int = CALLS,
    ) -> None:
        self.target, self.model, self.stated, self.seconds, self.calls = target, model, budget, seconds, calls
        self.films = films(model)
        self.long = {
            f"{count} frames of {scenes} scene{'s' * (scenes > 1)}": long_film(
                model, count, scenes=scenes, seed=count + scenes
            )
            for count in LONG
            for scenes in (1, 3)
        }
        self.untouched = {
            (film, name): content(getattr(frames, name))
            for film, frames in {**self.films, **self.long}.items()
            for name in ("data", "indices", "seconds")
        }
        self.eye = PlainEye(model)
        self.takes_budget = takes_budget(target)
        self._visions: dict[int, tuple[Frames, SharedVision]] = {}

    def strategy(self, budget: int | None = None) -> Strategy:
        """Return the strategy at a budget; a class is instantiated anew."""
        return Punctual(with_budget(self.target, budget if self.takes_budget else None), self.seconds)

    @property
    def uses_question(self) -> bool:
        """Whether it declares that it looks at the question."""
        return BoundStrategy(self.strategy()).uses_question

    @property
    def main(self) -> Frames:
        """The film for most checks."""
        return next(iter(self.films.values()))

    @cached_property
    def num_patches(self) -> int:
        """Tokens per frame of the films, all of one size; if a model varies, fewer than its maximum."""
        return self.model.encode(self.main[:1]).num_patches

    @property
    def short(self) -> tuple[Frames, Frames]:
        """Two short films, for checks that encode again."""
        return self.films["7 frames"], self.films["2 frames"]

    @property
    def others(self) -> list[Frames]:
        """The other films."""
        return list(self.films.values())[1:]

    def budgets(self, frames: Frames) -> list[int | None]:
        """Return the budgets at which a film is tried, the strategy's own choice first."""
        if not self.takes_budget:
            return [None]
        n, count = self.num_patches, len(frames)
        if frames is self.others[0]:  # only for comparison
            return [None]
        tried = {1, max(1, count // 2), 2 * n + 5, count * n + 10}
        if frames is self.main:
            tried |= {n, count * n // 3, 5 * n, 50, 99, 256, 500}
        elif frames is self.short[0]:  # few frames at many budgets, including typical ones
            tried |= {3, 7, 10, 16, 31, 40, 64, 100, 101, 128, 150, 200, 230}
            tried |= {n - 1, n, n + 1, 2 * n, 3 * n - 1, 3 * n, 3 * n + 1, 4 * n, 5 * n + 2, 6 * n, 7 * n - 1, 7 * n}
            tried |= set(np.random.default_rng(7).integers(1, 7 * n + 20, 12).tolist())
        elif count in LONG:
            tried |= {n, 5 * n + 1, 12 * n + 7, 40 * n + 1}
            if any(frames is film for name, film in self.long.items() if name.endswith("3 scenes")):
                tried.discard(count * n + 10)  # once is enough
        return [None, *sorted(budget for budget in tried if 0 < budget <= MOST_TOKENS)]

    def ample(self, count: int) -> list[int | None]:
        """Return budgets large enough to keep something of every part of a film with this many frames."""
        if not self.takes_budget:
            return [None]
        n = self.num_patches
        return [12 * n + 7, min(MOST_TOKENS, 40 * n + 1)] if count in LONG else [12 * n + 7]

    def make(self, frames: Frames, budget: int | None = None, question: str | None = QUESTION) -> VisualTokens:
        """Compress a film, with the model's own features.

        Raises:
            DytoError: The strategy refused, or failed.
        """
        return self.make_with(self.strategy(budget), frames, question)

    def make_with(
        self, strategy: Strategy, frames: Frames, question: str | None = QUESTION, *, like: Frames | None = None
    ) -> VisualTokens:
        """Compress a film with an object that may have been called before.

        Args:
            strategy: The object.
            frames: The film.
            question: The question.
            like: The film of which `frames` is a copy, so that the tower need not encode them again.
        """
        return VideoQA(self._seeing(frames if like is None else like), strategy).encode(frames, question=question)

    def _seeing(self, frames: Frames) -> VideoModel:
        """Return the model with its features of a film; for a long film, those of the simple eye."""
        if not any(frames is kept for kept in self.films.values()):
            return self.eye.model
        if id(frames) not in self._visions:
            vision = SharedVision(self.model)
            vision.open(frames)
            self._visions[id(frames)] = frames, vision
        return self._visions[id(frames)][1].model

    def trials(self) -> list[Trial]:
        """Try every film at every budget; stop after a call that took too long."""
        found: list[Trial] = []
        for name, frames in {**self.films, **self.long}.items():
            for budget in self.budgets(frames):
                outcome: dict[str, Any] = {}
                late = False
                try:
                    outcome["tokens"] = self.make(frames, budget)
                    outcome["digest"] = digest(outcome["tokens"])
                except ConfigError as err:
                    outcome["refusal"] = str(err)
                except (DytoError, TookTooLongError) as err:
                    outcome["failure"] = str(err)
                    late = isinstance(err, TookTooLongError)
                found.append(Trial(name, frames, budget, **outcome))
                if late:
                    return found
        return found

    @cached_property
    def other_ways(self) -> set[str]:
        """Methods by which it does not encode frame by frame."""
        return self.marked(self.main)[0].other_ways

    def marked(self, frames: Frames, budget: int | None = None) -> tuple[MarkedModel, VisualTokens]:
        """Make tokens of marked patches, from a copy of a film in which one pixel of each frame differs.

        The changed pixel keeps strategies that cache results by frames from returning old tokens.
        """
        pixels = frames.data.copy()
        pixels[:, 0, 0] ^= 1
        frames = replace(frames, data=pixels)
        model = MarkedModel(self.model if len(frames) < min(LONG) else self.eye.model)
        return model, VideoQA(model.model, self.strategy(budget)).encode(frames, question=QUESTION)

    def qa(self) -> VideoQA:
        """Model and strategy, to ask."""
        return VideoQA(self.model, self.strategy())


@contextmanager
def other_chance(seed: int) -> Iterator[None]:
    """Use another random state of torch, numpy and Python inside the block, and restore it afterwards."""
    state, plain = np.random.get_state(), random.getstate()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)
            random.setstate(plain)


def made(trials: Sequence[Trial]) -> list[tuple[Trial, VisualTokens]]:
    """Return the calls that gave tokens, together with these."""
    return [(trial, trial.tokens) for trial in trials if trial.tokens is not None]


def attempt(what: str, action: Callable[[], Result]) -> Result:
    """Run an action on the tokens of a strategy, and turn an error into a `Fault`.

    Raises:
        Fault: The action failed.
    """
    try:
        return action()
    except Exception as err:
        raise Fault(f"{what} failed: {type(err).__name__}: {err}") from err
