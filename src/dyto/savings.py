"""What is spared on the way from a file to an answer: every saving by name, each of which can be turned off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from dyto.errors import ConfigError, unknown

GREATEST = 255.0
"""The greatest difference between two pictures, in levels of gray."""


@dataclass(frozen=True)
class Savings:
    """Which savings are on. Those on by default change no answer; those off by default can.

    Attributes:
        overlap: A file is decoded in a thread while the tower encodes the frames that are there already, and in a
            benchmark the next video while one is asked about. None for where the tower is not on a CPU, whose cores
            the decoder needs.
        parallel: Parts of a file are decoded at the same time, each by a decoder of its own.
        repeats: A decoded frame that is, bit for bit, one of the last sampled ones is neither converted nor resized
            again.
        keep_prefix: The language model reads a video once for all questions about it.
        keep_features: For a strategy that looks at the question, what the tower saw of the frames asked about last is
            kept for the next question about them.
        batch_questions: Several questions are answered in one `generate`.
        project_chosen: Of patches, only those of the frames that a strategy asks for pass the projector.
        similar: Frames in which no part differs by more than so many levels of gray (of 255) from one encoded before
            are not encoded but take its features; 0 spares repeated pictures alone. None for off.
        still: In stretches of a video where the packets carry next to nothing and the intra frames at both ends are
            alike, only these are decoded, and stand for what lies between them.
        hardware: The graphics card decodes the video, where it and FFmpeg can; the processor does otherwise.
        compiled: The layers of the tower, and with a static cache the steps of an answer, are compiled when they run
            for the first time, where torch can: that takes up to minutes, and pays for many videos.

    Example:
        >>> Savings.none().keep_prefix, Savings(similar=2).similar
        (False, 2.0)
    """

    overlap: bool | None = None
    parallel: bool = True
    repeats: bool = True
    keep_prefix: bool = True
    keep_features: bool = True
    batch_questions: bool = True
    project_chosen: bool = True
    similar: float | None = None
    still: bool = False
    hardware: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            may_be_open = field.name == "overlap" and value is None
            if field.name != "similar" and not may_be_open and not isinstance(value, bool):
                raise ConfigError(f"saving {field.name!r} is {value!r}, expected true or false")
        if self.similar is not None:
            object.__setattr__(self, "similar", _levels(self.similar))

    @classmethod
    def none(cls) -> Savings:
        """All of them off: the plain path, which the savings are measured against."""
        off: dict[str, Any] = {field.name: None if field.name == "similar" else False for field in fields(cls)}
        return cls(**off)

    @property
    def changing(self) -> dict[str, Any]:
        """Of those that can change an answer, the ones that are on, by name.

        Example:
            >>> Savings(overlap=False, similar=1).changing
            {'similar': 1.0}
        """
        values = {name: getattr(self, name) for name in ("similar", "still", "hardware", "compiled")}
        return {name: value for name, value in values.items() if value is not None and value is not False}

    def on(self, device_type: str) -> Savings:
        """These for a kind of device, nothing left open.

        Example:
            >>> Savings().on("cuda").overlap, Savings().on("cpu").overlap, Savings(overlap=True).on("cpu").overlap
            (True, False, True)
        """
        return self if self.overlap is not None else replace(self, overlap=device_type != "cpu")

    @classmethod
    def of(cls, without: Iterable[str] = (), given: Iterable[str] = ()) -> Savings:
        """The savings that a command line asks for.

        Args:
            without: Names of savings to turn off; "all" for all of them.
            given: Texts "name=value", such as "similar=2"; a name alone turns a saving on.

        Raises:
            ConfigError: An unknown name, the nearest known one being named, or a value that is none.

        Example:
            >>> Savings.of(without=["overlap"], given=["still", "similar=2"])
            Savings(overlap=False, parallel=True, repeats=True, keep_prefix=True, keep_features=True, \
batch_questions=True, project_chosen=True, similar=2.0, still=True, hardware=False, compiled=False)
        """
        names = [field.name for field in fields(cls)]
        changes: dict[str, Any] = {}
        chosen = cls()
        for name in without:
            if name == "all":
                chosen = cls.none()
            elif name in names:
                changes[name] = None if name == "similar" else False
            else:
                raise unknown("saving", name, [*names, "all"])
        for text in given:
            name, equals, value = text.partition("=")
            if name not in names:
                raise unknown("saving", name, names)
            changes[name] = _value(name, value if equals else "true")
        return replace(chosen, **changes)


def _value(name: str, text: str) -> bool | float | None:
    """A value as it is written on a command line."""
    switches = {"true": True, "on": True, "false": False, "off": False}
    word = text.strip().lower()
    if name == "similar":
        if word in ("off", "false", "none"):
            return None
        try:
            return float(word)
        except ValueError as err:
            raise ConfigError(f"saving 'similar' is {text!r}, expected levels of gray: give e.g. similar=2") from err
    if word not in switches:
        raise ConfigError(f"saving {name!r} is {text!r}, expected one of {', '.join(switches)}")
    return switches[word]


def _levels(value: Any) -> float:
    """A threshold in levels of gray."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= GREATEST:
        raise ConfigError(f"saving 'similar' is {value!r}, expected 0 to {GREATEST:g} levels of gray, or None for off")
    return float(value)
