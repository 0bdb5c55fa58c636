"""Savings: work that can be skipped between a file and an answer. Each has a name and can be turned off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from dyto.errors import ConfigError, unknown

GREATEST = 255.0
"""The largest possible difference between two pictures, in gray levels."""
AUTO_SIMILAR = 1
"""`similar` where nothing is said of it and frames are sampled with fps="auto"."""


@dataclass(frozen=True)
class Savings:
    """The savings that are on. Savings that are on by default change no answer, but for `quick_resize`; the others can.

    Attributes:
        overlap: A thread decodes the file while the tower encodes the frames decoded so far; in a benchmark it decodes
            the next video while questions about the current one are answered. None turns it on unless the tower is on
            a CPU, where the decoder needs the cores.
        parallel: Several decoders decode parts of a file at the same time.
        repeats: A decoded frame that is bit for bit equal to one of the last sampled frames is not converted or
            resized again.
        quick_resize: FFmpeg's scaler resizes the frames of a video file, in half of PIL's time or less. One level in
            some hundred differs from PIL's, by one or two; answers seldom do. Off, frames are PIL's bit for bit.
        keep_prefix: The tower encodes a video file, and the language model reads it, once for all questions about it.
        keep_features: For a strategy that reads the question, the tower's features of the last video are kept for
            the next question about it.
        batch_questions: Several questions are answered in one `generate`.
        project_chosen: Only the patches of frames that a strategy asks for pass the projector.
        similar: A frame is not encoded if no part of it differs by more than this many gray levels (of 255) from an
            encoded frame; it takes that frame's features. 0 skips only identical pictures. False is off; None, too, but
            for frames sampled with fps="auto", where it is 1.
        still: In stretches of a video with almost empty packets and equal intra frames at both ends, only these intra
            frames are decoded and stand for the whole stretch.
        hardware: The graphics card decodes the video if it and FFmpeg can; otherwise the CPU does.
        compiled: The tower's layers and, with a static cache, the steps of an answer are compiled on first use, if
            torch can. This takes up to minutes and pays off for many videos.

    Example:
        >>> Savings.none().keep_prefix, Savings(similar=2).similar
        (False, 2.0)
    """

    overlap: bool | None = None
    parallel: bool = True
    repeats: bool = True
    quick_resize: bool = True
    keep_prefix: bool = True
    keep_features: bool = True
    batch_questions: bool = True
    project_chosen: bool = True
    similar: float | bool | None = None
    still: bool = False
    hardware: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            may_be_open = field.name == "overlap" and value is None
            if field.name != "similar" and not may_be_open and not isinstance(value, bool):
                raise ConfigError(f"saving {field.name!r} is {value!r}, expected true or false")
        if self.similar is not None and self.similar is not False:
            object.__setattr__(self, "similar", _levels(self.similar))

    @classmethod
    def none(cls) -> Savings:
        """Return the plain path with all savings off; savings are measured against it."""
        return cls(**dict.fromkeys((field.name for field in fields(cls)), False))

    @property
    def changing(self) -> dict[str, Any]:
        """Return the savings that can change an answer and are not as usual, by name.

        Example:
            >>> Savings(overlap=False, similar=1).changing
            {'similar': 1.0}
            >>> Savings(quick_resize=False).changing
            {'quick_resize': False}
        """
        values = {name: getattr(self, name) for name in ("similar", "still", "hardware", "compiled")}
        changed = {name: value for name, value in values.items() if value is not None and value is not False}
        return changed if self.quick_resize else changed | {"quick_resize": False}

    def on(self, device_type: str) -> Savings:
        """Return these savings for a kind of device, with every default decided.

        Example:
            >>> Savings().on("cuda").overlap, Savings().on("cpu").overlap, Savings(overlap=True).on("cpu").overlap
            (True, False, True)
        """
        return self if self.overlap is not None else replace(self, overlap=device_type != "cpu")

    def sampling(self, fps: float | str | None) -> Savings:
        """Return these savings for frames sampled at a rate; "auto" turns on `similar` unless it is set.

        Example:
            >>> Savings().sampling("auto").similar, Savings(similar=False).sampling("auto").similar
            (1.0, False)
        """
        return replace(self, similar=AUTO_SIMILAR) if fps == "auto" and self.similar is None else self

    @classmethod
    def of(cls, without: Iterable[str] = (), given: Iterable[str] = ()) -> Savings:
        """Return the savings that a command line requests.

        Args:
            without: Names of savings to turn off; "all" for all of them.
            given: Texts "name=value", such as "similar=2"; a name alone turns a saving on.

        Returns:
            The savings.

        Raises:
            ConfigError: A name is unknown (the error suggests the nearest known one), or a value is invalid.

        Example:
            >>> Savings.of(without=["overlap"], given=["still", "similar=2"])
            Savings(overlap=False, parallel=True, repeats=True, quick_resize=True, keep_prefix=True, \
keep_features=True, batch_questions=True, project_chosen=True, similar=2.0, still=True, hardware=False, compiled=False)
        """
        names = [field.name for field in fields(cls)]
        changes: dict[str, Any] = {}
        chosen = cls()
        for name in without:
            if name == "all":
                chosen = cls.none()
            elif name in names:
                changes[name] = False
            else:
                raise unknown("saving", name, [*names, "all"])
        for text in given:
            name, equals, value = text.partition("=")
            if name not in names:
                raise unknown("saving", name, names)
            changes[name] = _value(name, value if equals else "true")
        return replace(chosen, **changes)


def _value(name: str, text: str) -> bool | float:
    """Parse a value from a command line."""
    switches = {"true": True, "on": True, "false": False, "off": False}
    word = text.strip().lower()
    if name == "similar":
        if word in ("off", "false", "none"):
            return False
        try:
            return float(word)
        except ValueError as err:
            raise ConfigError(f"saving 'similar' is {text!r}, expected gray levels: give e.g. similar=2") from err
    if word not in switches:
        raise ConfigError(f"saving {name!r} is {text!r}, expected one of {', '.join(switches)}")
    return switches[word]


def _levels(value: Any) -> float:
    """Check a threshold in gray levels."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= GREATEST:
        raise ConfigError(f"saving 'similar' is {value!r}, expected 0 to {GREATEST:g} gray levels, or False for off")
    return float(value)
