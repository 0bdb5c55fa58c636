"""The measurement: the settings common to all sides, and the model, strategy and video that they receive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dyto.errors import ConfigError
from dyto.models.base import VideoModel
from dyto.strategies import Strategy
from dyto.video import sample_frames, uniform_indices

COLORS = ("red", "green", "blue", "yellow", "white", "black", "purple", "orange", "pink", "gray")
SHAPES = ("circle", "square", "star", "cross")
QUESTIONS = tuple(f"is there a {color} {shape} ?" for shape in SHAPES for color in COLORS)
"""What is asked: all different, all of one length, so that no side has to pad."""

FORMAT = "dyto bench 1"
"""The format of the document of a measurement; its number is raised when a key changes its meaning or goes away."""


@dataclass(frozen=True)
class Plan:
    """The settings of a measurement.

    Attributes:
        num_frames: Frames sampled of the video.
        runs: Measured runs of every side; one more before them warms up.
        questions: Numbers of further questions about a video already kept.
        batch_sizes: Questions answered at a time, where there are so many.
        new_tokens: Tokens of every answer, on all sides: its end is suppressed.

    Example:
        >>> Plan(questions=(1, 4), batch_sizes=(1, 4)).cells()
        [(1, 1), (4, 1), (4, 4)]
    """

    num_frames: int = 100
    runs: int = 5
    questions: tuple[int, ...] = (1, 4, 16)
    batch_sizes: tuple[int, ...] = (1, 4, 16)
    new_tokens: int = 16

    def __post_init__(self) -> None:
        for name, least in (("num_frames", 1), ("runs", 1), ("new_tokens", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least {least}")
        for name in ("questions", "batch_sizes"):
            values = getattr(self, name)
            if not values or min(values) < 1:
                raise ConfigError(f"{name} are {list(values)}, expected whole numbers from 1 on, such as 1,4,16")
        if 1 not in self.questions or 1 not in self.batch_sizes:
            raise ConfigError("questions and batch_sizes hold no 1, which all sides are compared at: add it")

    def cells(self) -> list[tuple[int, int]]:
        """Return the (questions, batch size) of every measurement about a kept video, the smallest first."""
        sizes = sorted(set(self.batch_sizes))
        return [(count, size) for count in sorted(set(self.questions)) for size in sizes if size <= count]

    def further(self, count: int) -> list[str]:
        """Return this many further questions, without the first."""
        return [QUESTIONS[1 + number % (len(QUESTIONS) - 1)] for number in range(count)]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return {**asdict(self), "questions": list(self.questions), "batch_sizes": list(self.batch_sizes)}


@dataclass(frozen=True)
class Subject:
    """The subject of the measurement: one model object, one strategy and one video for all sides.

    Attributes:
        model: The model.
        processor: The stock processor of the same checkpoint; None where there is none.
        strategy: The strategy.
        video: The file.
        plan: The settings.
        notes: What a reader should know of them.
        budget: Most visual tokens that any side may have: the strategy's budget, or what it gives where it has none.
        indices: The numbers of the sampled frames in the file, which all sides must sample.
    """

    model: VideoModel
    processor: Any
    strategy: Strategy
    video: Path
    plan: Plan
    notes: Sequence[str]
    budget: int
    indices: tuple[int, ...] = field(repr=False)

    @property
    def total_frames(self) -> int:
        """Number of frames in the file."""
        return sample_frames(self.video, num_frames=1, size=32).total

    def uniform(self, count: int) -> list[int]:
        """Return the numbers of this many frames, spread evenly over the file."""
        found: list[int] = uniform_indices(self.total_frames, count).tolist()
        return found
