"""Letting a strategy work: on every film, at every budget, with the model's own features or with marked ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch

from dyto.certifying.films import films
from dyto.certifying.limit import TookTooLongError, time_limit
from dyto.certifying.marked import MarkedModel
from dyto.errors import ConfigError, DytoError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.sharing import SharedVision
from dyto.pipeline import VideoQA
from dyto.strategies import Strategy
from dyto.strategies.base import Encode
from dyto.strategies.calling import BoundStrategy, name_of
from dyto.strategies.targets import takes_budget, with_budget
from dyto.video import Frames

QUESTION, OTHER_QUESTION, THIRD_QUESTION = "what is shown ?", "what color is the star ?", "is there a circle ?"
Result = TypeVar("Result")


class Fault(Exception):
    """What is wrong with a strategy; the message goes into the report."""


@dataclass(frozen=True)
class Trial:
    """One call of the strategy.

    Attributes:
        film: Name of the film.
        frames: The film.
        budget: Tokens allowed; None for the strategy's own choice.
        tokens: What it gave, or None.
        refusal: What it said where it refused the budget or the model.
        failure: What went wrong otherwise.
    """

    film: str
    frames: Frames
    budget: int | None
    tokens: VisualTokens | None = None
    refusal: str = ""
    failure: str = ""

    def __str__(self) -> str:
        return f"{self.film}{'' if self.budget is None else f', budget {self.budget}'}"


@dataclass(frozen=True)
class Punctual:
    """Anybody's strategy that may take so long and no longer.

    Attributes:
        inner: The strategy; what else one asks of it is asked of that one.
        seconds: The limit of one call, with the encoding that it asks for; None for none.
    """

    inner: Strategy
    seconds: float | None = None

    @property
    def name(self) -> str:
        """What the strategy calls itself."""
        return name_of(self.inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Call it.

        Raises:
            TookTooLongError: It took longer.
        """
        with time_limit(self.seconds):
            return self.inner(frames, encode, question)


class Bench:
    """A strategy and a model, and what came of letting it work.

    Args:
        target: The strategy, as `dyto.strategies.targets.with_budget` takes it.
        model: The model.
        budget: The budget of a strategy that takes none, or None.
        seconds: How long one call may take; None for no limit.
    """

    def __init__(self, target: Any, model: VideoModel, budget: int | None = None, seconds: float | None = None) -> None:
        self.target, self.model, self.stated, self.seconds = target, model, budget, seconds
        self.films = films(model)
        self.takes_budget = takes_budget(target)
        self._visions: dict[int, tuple[Frames, SharedVision]] = {}

    def strategy(self, budget: int | None = None) -> Strategy:
        """The strategy at a budget, made anew where it is a class."""
        return Punctual(with_budget(self.target, budget if self.takes_budget else None), self.seconds)

    @property
    def uses_question(self) -> bool:
        """Whether it says that it looks at the question."""
        return BoundStrategy(self.strategy()).uses_question

    @property
    def main(self) -> Frames:
        """The film that most checks take."""
        return next(iter(self.films.values()))

    @cached_property
    def num_patches(self) -> int:
        """Tokens of one frame of the films, all of one size; where that varies, fewer than the most of the model."""
        return self.model.encode(self.main[:1]).num_patches

    @property
    def short(self) -> tuple[Frames, Frames]:
        """Two films of few frames, for checks that encode anew."""
        return self.films["7 frames"], self.films["2 frames"]

    @property
    def others(self) -> list[Frames]:
        """The other films."""
        return list(self.films.values())[1:]

    def budgets(self, frames: Frames) -> list[int | None]:
        """The budgets at which a film is tried, its own choice first."""
        if not self.takes_budget:
            return [None]
        n, count = self.num_patches, len(frames)
        if frames is self.others[0]:  # is there for comparison only
            return [None]
        tried = {1, max(1, count // 2), 2 * n + 5, count * n + 10}
        return [None, *sorted(tried | ({n, count * n // 3} if frames is self.main else set()))]

    def make(self, frames: Frames, budget: int | None = None, question: str | None = QUESTION) -> VisualTokens:
        """Tokens of a film, with the model's own features.

        Raises:
            DytoError: What the strategy says, or what went wrong in it.
        """
        return self.make_with(self.strategy(budget), frames, question)

    def make_with(self, strategy: Strategy, frames: Frames, question: str | None = QUESTION) -> VisualTokens:
        """The same with an object that may have been called before."""
        if id(frames) not in self._visions:
            vision = SharedVision(self.model)
            vision.open(frames)
            self._visions[id(frames)] = frames, vision
        return VideoQA(self._visions[id(frames)][1].model, strategy).encode(frames, question=question)

    def trials(self) -> list[Trial]:
        """Every film at every budget; none after one that took too long."""
        found: list[Trial] = []
        for name, frames in self.films.items():
            for budget in self.budgets(frames):
                outcome: dict[str, Any] = {}
                late = False
                try:
                    outcome["tokens"] = self.make(frames, budget)
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
        """Methods by which it encodes otherwise than frame by frame."""
        return self.marked(self.main)[0].other_ways

    def marked(self, frames: Frames, budget: int | None = None) -> tuple[MarkedModel, VisualTokens]:
        """Tokens made of marked patches."""
        model = MarkedModel(self.model)
        return model, VideoQA(model.model, self.strategy(budget)).encode(frames, question=QUESTION)

    def qa(self) -> VideoQA:
        """Model and strategy, to ask."""
        return VideoQA(self.model, self.strategy())


@contextmanager
def other_chance(seed: int) -> Iterator[None]:
    """Another state of torch's and numpy's random numbers inside the block; as it was after it."""
    state = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)


def attempt(what: str, action: Callable[[], Result]) -> Result:
    """Do something with what a strategy made.

    Raises:
        Fault: It cannot be done.
    """
    try:
        return action()
    except Exception as err:
        raise Fault(f"{what} failed: {type(err).__name__}: {err}") from err


def arrays(tokens: VisualTokens) -> Mapping[str, Any]:
    """Everything in tokens that is an array, by name."""
    return {
        "indices": tokens.keyframes.indices,
        "seconds": tokens.keyframes.seconds,
        "positions": tokens.keyframes.positions,
        "keyframe": tokens.keyframe,
        "token sources": tokens.sources.token,
        "frame sources": tokens.sources.keyframe,
        "patch sources": tokens.sources.patch,
    }


def difference(one: VisualTokens, other: VisualTokens) -> str:
    """What differs between two results that should be equal; "" for nothing."""
    if one.data.shape != other.data.shape:
        return f"{len(one)} tokens and then {len(other)}"
    if not torch.equal(one.data.cpu(), other.data.cpu()):
        return f"tokens that differ by up to {float((one.data.cpu() - other.data.cpu()).abs().max()):.3g}"
    names = [name for name, array in arrays(one).items() if not np.array_equal(array, arrays(other)[name])]
    return f"other {', '.join(names)}" if names else ""
