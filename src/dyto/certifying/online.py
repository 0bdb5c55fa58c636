"""The online form of a strategy: what is examined, and the streams that are fed to it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dyto.certifying.eye import PlainEye
from dyto.certifying.films import long_film
from dyto.certifying.limit import time_limit
from dyto.certifying.trials import QUESTION, Fault
from dyto.errors import ConfigError, DytoError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.pipeline import VideoQA
from dyto.strategies import DEFAULT, STRATEGIES, build_strategy
from dyto.strategies.calling import name_of
from dyto.strategies.targets import with_budget
from dyto.video import Frames

SEGMENTS = 8
"""Segments that a form may keep."""
LENGTH = 90
"""Frames of a stream."""


class OnlineForm(Protocol):
    """What is examined: frames go in as they come, tokens of what was seen come out at any time.

    `dyto.Watch` is one. A form that has `memory`, a `dyto.Memory` of what was seen, is examined for its prefixes, too.
    """

    def feed(self, pictures: Any, seconds: Any) -> Any:
        """Take the next frame (H, W, 3) of uint8 and its time, or several, (T, H, W, 3) and (T,)."""

    def tokens(self, *, token_budget: int | None = None) -> VisualTokens:
        """Return the tokens of what was seen."""


class TimedForm:
    """A form with a time limit, whose errors are faults.

    Args:
        form: The form.
        seconds: Time limit of one call; None for no limit.
        asked: Further arguments of `tokens`: the question, for a strategy that looks at it.
    """

    def __init__(self, form: OnlineForm, seconds: float | None, asked: Mapping[str, Any]) -> None:
        self.form, self._seconds, self._asked = form, seconds, asked

    def feed(self, pictures: Any, seconds: Any) -> None:
        """Take frames."""
        try:
            with time_limit(self._seconds):
                self.form.feed(pictures, seconds)
        except Exception as err:
            raise Fault(f"feed failed: {type(err).__name__}: {err}") from err

    def tokens(self, token_budget: int | None = None) -> VisualTokens:
        """Return tokens.

        Raises:
            ConfigError: It refuses the budget, or nothing was seen.
        """
        try:
            with time_limit(self._seconds):
                found = self.form.tokens(token_budget=token_budget, **self._asked)
        except ConfigError:
            raise
        except Exception as err:
            raise Fault(f"tokens failed: {type(err).__name__}: {err}") from err
        if not isinstance(found, VisualTokens):
            raise Fault(f"tokens returned {type(found).__name__}, expected VisualTokens")
        return found


class OnlineBench:
    """An online form, its model, and streams for it.

    Args:
        target: A strategy that knows of segments, whose form is that of `VideoQA.watch`; or a class or function that is
            called with a `VideoQA` and the number of segments, and returns a form.
        model: The model. Its tower encodes one frame alone; a simple eye looks at the others.
        budget: The budget; None for the strategy's own.
        seconds: Time limit of one call; None for no limit.

    Raises:
        ConfigError: The target has no online form.
    """

    def __init__(self, target: Any, model: VideoModel, budget: int | None, seconds: float | None) -> None:
        self._seconds = seconds
        self.eye = PlainEye(model)
        self._make = target if _makes_forms(target) else None
        strategy = build_strategy(DEFAULT, token_budget=budget) if self._make else with_budget(target, budget)
        if not getattr(strategy, "takes_segments", False):
            known = ", ".join(name for name, kind in STRATEGIES.items() if getattr(kind, "takes_segments", False))
            raise ConfigError(
                f"strategy {name_of(target)} has no online form, expected one that knows of segments ({known}), or a "
                "class with feed and tokens that is made of a VideoQA and a number of segments"
            )
        self.qa = VideoQA(self.eye.model, strategy)
        one = self.eye.encode(self.stream(1))
        self.num_patches, self.form_of_tokens = one.num_patches, (one.dim, one.summary.dtype, one.summary.device)

    def form(self) -> TimedForm:
        """Return a form that has seen nothing.

        Raises:
            Fault: It cannot be made.
        """
        try:
            made = self._make(self.qa, SEGMENTS) if self._make else self.qa.watch(segments=SEGMENTS, fps=None)
        except DytoError as err:
            raise Fault(f"it cannot be made: {err}") from err
        return TimedForm(made, self._seconds, {"question": QUESTION} if self.qa.uses_question else {})

    def stream(self, count: int = LENGTH, *, seed: int = 8, scenes: int = 3, changed: Collection[int] = ()) -> Frames:
        """Return a film to feed, of equally long scenes, some of which may be replaced by others."""
        return long_film(self.eye.model, count, scenes=scenes, seed=seed, changed=changed)

    def fed(self, frames: Frames, steps: Sequence[int] = ()) -> TimedForm:
        """Return a new form that was fed a film.

        Args:
            frames: The film.
            steps: How many frames at a time; empty for one by one.
        """
        form = self.form()
        feed(form, frames, steps)
        return form


def feed(form: TimedForm, frames: Frames, steps: Sequence[int] = ()) -> None:
    """Feed a film to a form: so many frames at a time, or one by one."""
    if not steps:
        for picture, second in zip(frames.data, frames.seconds.tolist(), strict=True):
            form.feed(picture, second)
        return
    edges = np.cumsum([0, *steps])
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        form.feed(frames.data[start:end], frames.seconds[start:end])


def _makes_forms(target: Any) -> bool:
    """Return whether a target is no strategy, but makes online forms."""
    if isinstance(target, type):
        return hasattr(target, "feed")
    try:
        return "segments" in inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False
