"""Limits on videos, in one table; they are checked before anything is decoded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from dyto.errors import ConfigError, VideoError, unknown

ALWAYS = 4096 * 2304
"""Pixels that a frame may always have, whatever its file declares: 4K."""


@dataclass(frozen=True)
class Limits:
    """Limits on a video or picture, checked before decoding, because a small file can claim anything.

    Attributes:
        megapixels: Largest size of a frame or picture, in millions of pixels.
        streams: Largest number of streams in a file: pictures, sound, subtitles and data together.
        hours: Longest duration.
        growth: Largest size of a frame, as a multiple of the size that its file declares; 4K is always allowed. A
            damaged header may claim any size, and would get the memory for it.
        fixed: Whether the reader of an error cannot raise the limits; then the error does not say how.

    Raises:
        ConfigError: A limit is not a number above 0.

    Example:
        >>> Limits(hours=48)
        Limits(megapixels=64, streams=32, hours=48, growth=4, fixed=False)
    """

    megapixels: float = 64
    streams: int = 32
    hours: float = 24
    growth: float = 4
    fixed: bool = False

    def __post_init__(self) -> None:
        for field in _numbers():
            value = getattr(self, field.name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value <= 0:
                raise ConfigError(f"limit {field.name!r} is {value!r}, expected a number above 0")

    @classmethod
    def of(cls, given: Limits | Mapping[str, Any] | None) -> Limits:
        """Return the limits with some set by name, as in `dyto.sample_frames`.

        Example:
            >>> Limits.of({"megapixels": 100}).megapixels
            100
        """
        if isinstance(given, Limits):
            return given
        names = [field.name for field in _numbers()]
        for name in given or {}:
            if name not in names:
                raise unknown("limit", name, names)
        return cls(**(given or {}))

    @property
    def pixels(self) -> int:
        """Largest number of pixels of a frame."""
        return int(self.megapixels * 1e6)

    def pixels_beside(self, declared: int) -> int:
        """Return the largest number of pixels of a frame in a file that declares `declared` pixels.

        Example:
            >>> Limits().pixels_beside(640 * 360), Limits().pixels_beside(7680 * 4320)
            (9437184, 64000000)
        """
        return min(self.pixels, max(int(declared * self.growth), ALWAYS))

    def check_growth(self, name: str, height: int, width: int, declared: int) -> None:
        """Fail on a frame that is too large, in itself or for the size that its file declares.

        Raises:
            VideoError: The frame is too large; the message says how to allow it.
        """
        self.check_size(name, height, width)
        if height * width > self.pixels_beside(declared):
            raise VideoError(
                f"{name} has {width} x {height} pixels, expected {self.growth:g} times the {declared} at most that the "
                "file declares: the file is damaged, or must be converted to one frame size"
                f"{self._or_raise('growth', math.ceil(height * width / max(declared, 1)))}"
            )

    def check_size(self, name: str, height: int, width: int) -> None:
        """Fail on a frame or picture that is too large.

        Raises:
            VideoError: It is too large; the message says how to allow it.
        """
        if height * width > self.pixels:
            most = f"{self.megapixels:g} megapixels"
            needed = math.ceil(height * width / 1e6)
            raise self._too_much(name, f"{width} x {height} pixels", most, "scale it down", "megapixels", needed)

    def check_streams(self, name: str, count: int) -> None:
        """Fail on a file with too many streams.

        Raises:
            VideoError: It has too many; the message says how to allow them.
        """
        if count > self.streams:
            what, advice = f"{count} streams", "copy the video stream to a new file"
            raise self._too_much(name, what, str(self.streams), advice, "streams", count)

    def _too_much(self, name: str, has: str, most: str, advice: str, limit: str, needed: int) -> VideoError:
        return VideoError(f"{name} has {has}, expected {most} at most: {advice}{self._or_raise(limit, needed)}")

    def check_duration(self, name: str, seconds: float) -> None:
        """Fail on a video that is too long.

        Raises:
            VideoError: It is too long; the message says how to allow it.
        """
        if seconds > self.hours * 3600:
            raise VideoError(
                f"{name} lasts {_lasting(seconds)} according to its timestamps, expected "
                f"{_lasting(self.hours * 3600)} at most: cut out a part"
                f"{self._or_raise('hours', math.ceil(seconds / 3600))}"
            )

    def _or_raise(self, name: str, value: int) -> str:
        return "" if self.fixed else f", or allow it with limits={{{name!r}: {value}}} (--raise-limit {name}={value})"


def _numbers() -> list[Field[Any]]:
    return [field for field in fields(Limits) if field.name != "fixed"]


def _lasting(seconds: float) -> str:
    return f"{seconds / 3600:.3g} hours" if seconds >= 7200 else f"{seconds / 60:.3g} minutes"


def limits_given(texts: Iterable[str]) -> dict[str, float]:
    """Parse the limits on a command line.

    Args:
        texts: Texts "name=value".

    Returns:
        Numbers by name, for `Limits.of`.

    Raises:
        ConfigError: A name is unknown, or a value is not a number above 0.

    Example:
        >>> limits_given(["megapixels=100"])
        {'megapixels': 100.0}
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError as err:
            raise ConfigError(f"limit {text!r} has no number, expected NAME=NUMBER: give e.g. hours=48") from err
    Limits.of(found)
    return found
