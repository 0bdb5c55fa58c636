"""Watching: a memory that grows while a video is filmed, and questions about what was seen so far."""

from __future__ import annotations

import copy
import dataclasses
import math
import threading
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from PIL import Image

from dyto.errors import ConfigError, VideoError
from dyto.features import VisualTokens
from dyto.memory.growing import GrowingMemory, is_known, memory_of, told
from dyto.memory.journal import GrowthLog
from dyto.memory.origin import Origin
from dyto.memory.packing import Picture, picture_of
from dyto.memory.remembered import Memory
from dyto.models.base import VideoModel
from dyto.strategies.base import Strategy
from dyto.video import Frames
from dyto.video.sampling import TargetSize, resized

LOOKED_AT = 8
"""Pictures of a memory from which it is told whether the model knows what they show."""

Still: TypeAlias = "Picture | Image.Image"
"""A picture, (H, W, 3) uint8 or of PIL."""


class Asks(Protocol):
    """What a watch needs of a `VideoQA`."""

    model: VideoModel

    @property
    def strategy(self) -> Strategy:
        """The strategy."""


class Watch:
    """A memory of what is fed to it, which can be asked at any time.

    Frames may be fed in one thread and questions asked in another: neither waits for the other. The result depends on
    the frames and their times, not on how many are fed at once.

    Attributes:
        seen: Frames that came.
        taken: Frames that were looked at.
        dropped: Frames that came faster than `fps`, or than the model can encode them.

    Example:
        >>> import numpy as np, dyto
        >>> watch = dyto.VideoQA.from_pretrained("tiny").watch(segments=4, fps=1)
        >>> scenes = np.random.default_rng(0).integers(0, 255, (3, 48, 48, 3), dtype=np.uint8)
        >>> watch.feed(np.repeat(scenes, 10, axis=0), np.arange(30) / 2)
        15
        >>> watch.dropped, watch.memory.complete, len(watch.tokens(since=6)) <= 230
        (15, False, True)
        >>> watch.ask("what is shown ?").num_visual_tokens <= 230
        True
    """

    def __init__(
        self,
        qa: Asks,
        growing: GrowingMemory,
        *,
        fps: float | None = 1.0,
        save: str | PathLike[str] | None = None,
        seal_seconds: float = 60.0,
        before: Memory | None = None,
    ) -> None:
        for name, value in (("fps", fps), ("seal_seconds", seal_seconds)):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if value is not None and (not number or not 0 < value < math.inf):
                raise ConfigError(f"{name} is {value!r}, expected a number above 0: give e.g. {name}=1")
        self._qa, self._growing, self._fps, self._seal_seconds = qa, growing, fps, seal_seconds
        self._origin = Origin.of(qa.model)
        self._fit = TargetSize(qa.model.image_size)
        self._journal = None if save is None else GrowthLog(Path(save), self._origin, resumes=before is not None)
        self.seen = self.taken = self.dropped = 0
        self._last = self._last_taken = self._sealed = -math.inf
        if before is not None:
            self.seen, self.taken = int(before.segments.last[-1]) + 1, before.num_frames
            self.dropped = self.seen - self.taken
            self._last = self._last_taken = self._sealed = float(before.segments.end[-1])
        self._feeding, self._state, self._asking = threading.RLock(), threading.Lock(), threading.Lock()
        self._answered: tuple[Any, VisualTokens] | None = None

    def feed(self, pictures: Still | Sequence[Still], seconds: float | Sequence[float] | None = None) -> int:
        """Take the next frame, or several.

        Args:
            pictures: A picture (H, W, 3) of uint8 or of PIL, a list of them, or (T, H, W, 3).
            seconds: Their times, each above the one before; None if they come at `fps`.

        Returns:
            How many were looked at; the others came faster than `fps` and are dropped.

        Raises:
            VideoError: A picture is none, is of another size than the first, or does not come after the one before.
        """
        stills = _stills(pictures)
        given = [None] * len(stills) if seconds is None else np.atleast_1d(np.asarray(seconds, np.float64)).tolist()
        if len(given) != len(stills):
            raise VideoError(f"found {len(stills)} pictures and {len(given)} times, expected one for each")
        with self._feeding:
            before = self.taken
            for still, time in zip(stills, given, strict=True):
                self._take(still, self._next() if time is None else time)
            return self.taken - before

    def _next(self) -> float:
        """Return the time of a frame that comes without one."""
        rate = self._fps or 1.0
        usual = self.seen / rate
        return usual if usual > self._last else self._last + 1 / rate

    def drop(self, count: int = 1) -> None:
        """Count frames that came when there was no time for them."""
        with self._state:
            self.seen += count
            self.dropped += count

    @property
    def latest(self) -> float:
        """Time of the last frame that was looked at, in seconds; minus infinity if there is none."""
        return self._last_taken

    def _take(self, still: Still, time: float) -> None:
        """Look at a frame, unless it comes too early."""
        if not self._last < time < math.inf:
            raise VideoError(f"found a frame at {time} s after one at {self._last:g} s, expected a later time")
        with self._state:
            number = self.seen
            self.seen += 1
        if self._fps is not None and self.taken and _slot(time, self._fps) <= _slot(self._last_taken, self._fps):
            self._last = time
            with self._state:
                self.dropped += 1
            return
        picture = _pixels(still)
        size = picture.shape[0], picture.shape[1]
        small = np.array(resized(picture, *self._fit.shape(*size)), order="C")[None]  # a copy: cameras reuse theirs
        at = np.array([number]), np.array([time])
        # One at a time: a tower's rounding depends on how many pass it together.
        features = self._qa.model.encode(Frames(small, *at, source_size=size))
        with self._state:
            self._growing.add(features, small, size)
            self.taken += 1
        self._last = self._last_taken = time
        if self._journal is not None and time - self._sealed >= self._seal_seconds:
            self._seal(time)

    def _seal(self, time: float) -> None:
        assert self._journal is not None
        with self._state:
            taken, about = self._growing.snapshot(), self._growing.about
        assert about is not None
        self._journal.seal(taken, told(about, "", self._is_known([pack["thumbnail"].numpy() for pack in taken.packs])))
        self._sealed = time

    @property
    def memory(self) -> Memory:
        """The memory of what was seen so far; it does not change with what comes.

        Raises:
            ConfigError: Nothing was seen yet.
        """
        with self._state:
            taken, about = self._growing.snapshot(), self._growing.about
        assert about is not None
        memory = memory_of(taken, self._origin, about)
        return dataclasses.replace(memory, about=told(about, "", self._is_known(memory.thumbnails)))

    def tokens(
        self,
        since: float | None = None,
        until: float | None = None,
        token_budget: int | None = None,
        *,
        question: str | None = None,
    ) -> VisualTokens:
        """Return the tokens of what was seen.

        Args:
            since: Only of segments that end at this second or later.
            until: Only of segments that begin before this second.
            token_budget: Largest number of tokens; None for that of the strategy.
            question: For a strategy that looks at it.

        Raises:
            ConfigError: Nothing was seen, or nothing in this time.
        """
        strategy = self._strategy(token_budget)
        with self._asking:
            with self._state:
                key = self.taken, since, until, strategy, question
            if self._answered is None or self._answered[0] != key:
                memory = self.memory.between(since, until)
                self._answered = key, memory.tokens(self._qa.model, strategy, question)
            return self._answered[1]

    def ask(
        self,
        question: str,
        *,
        since: float | None = None,
        until: float | None = None,
        token_budget: int | None = None,
        **options: Any,
    ) -> Any:
        """Ask about what was seen so far.

        Args:
            question: The question.
            since: As in `tokens`.
            until: As in `tokens`.
            token_budget: As in `tokens`.
            **options: `choices`, `max_new_tokens` and `generation`, as in `VideoQA.ask`.

        Returns:
            The `Answer`.

        Raises:
            DytoError: As for `VideoQA.ask`, or nothing was seen yet.
        """
        asker: Any = copy.copy(self._qa)
        asker.strategy = self._strategy(token_budget)
        tokens = self.tokens(since, until, token_budget, question=asker.question_for_strategy(question))
        with self._asking:
            return asker.ask(tokens, question, **options)

    def save(self, path: str | PathLike[str] | None = None) -> Path:
        """Write the memory to a file, in the order in which its hierarchy splits; watching may go on.

        Args:
            path: The file; None for that in which it grows, whose log it replaces.

        Raises:
            ConfigError: There is no such file, or nothing was seen yet.
            DatasetError: The disk is full.
        """
        grows = None if self._journal is None else self._journal.path
        if path is None and grows is None:
            raise ConfigError("no file to save to, expected one: name it here, or as save=... of `watch`")
        where = Path(path) if path is not None else grows
        assert where is not None
        with self._feeding:
            memory = self.memory
            if self._journal is not None and grows is not None and where.absolute() == grows.absolute():
                self._journal.close()
            return memory.save(where)

    def close(self) -> None:
        """Seal what is left, and close the file in which the memory grows."""
        with self._feeding:
            if self._journal is not None:
                if self.taken and self._sealed < self._last_taken:
                    self._seal(self._last_taken)
                self._journal.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _strategy(self, token_budget: int | None) -> Strategy:
        strategy = self._qa.strategy
        if token_budget is None:
            return strategy
        if "token_budget" not in getattr(strategy, "__dataclass_fields__", {}):
            raise ConfigError(f"strategy {strategy!r} has no token_budget, expected one of `dyto list strategies`")
        given: Any = strategy
        changed: Strategy = dataclasses.replace(given, token_budget=token_budget)
        return changed

    def _is_known(self, thumbnails: Sequence[Any]) -> bool:
        if self._qa.model.knows is None:
            return True
        rows = np.linspace(0, len(thumbnails) - 1, min(LOOKED_AT, len(thumbnails))).round().astype(int)
        return is_known(np.stack([picture_of(bytes(thumbnails[row])) for row in rows]), self._qa.model.knows)


def _slot(time: float, fps: float) -> int:
    """Return the instant k / fps at which or after which a frame comes."""
    return math.floor(time * fps + 1e-6)


def _stills(pictures: Any) -> list[Still]:
    if isinstance(pictures, Image.Image) or (isinstance(pictures, np.ndarray) and pictures.ndim != 4):
        return [pictures]
    return list(pictures)


def _pixels(still: Still) -> Picture:
    """Return the (H, W, 3) uint8 pixels of a picture."""
    pixels = np.asarray(still.convert("RGB") if isinstance(still, Image.Image) else still)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise VideoError(
            f"found a picture {pixels.shape} of {pixels.dtype}, expected (H, W, 3) of uint8, none of them 0: convert it"
        )
    return pixels
