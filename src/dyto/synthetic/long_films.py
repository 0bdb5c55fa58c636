"""Films like the world's: 20 seconds to an hour, with brief events, scenes that return, and a camera's faults.

What is drawn by chance comes from ranges (`Ranges`) that differ between the splits, so that nothing can be tuned on dev
to the rates, tails and noise of test. How they are filmed is in `dyto.synthetic.filming`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dyto.errors import ConfigError, unknown
from dyto.synthetic.films import FPS, Shot
from dyto.synthetic.regimes import LONG_REGIMES as LONG_REGIMES
from dyto.synthetic.render import Accidents, draw_accidents
from dyto.synthetic.world import Scene, draw_scene

SHORTEST, LONGEST = 20, 3600
"""Seconds of a film."""

Span = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """What is drawn by chance lies within these; a unit is a hundredth of a film.

    Attributes:
        tail: Standard deviation of the logarithm of scene lengths.
        event: Length of an event in units.
        events: How many there are.
        shot: Seconds of a shot where shots are cut to and fro.
        noise: Standard deviation of the noise where coding is poor, 0 to 255.
        quality: Of the JPEG coding there.
        swing: How far the light goes up and down where it changes slowly.
        fade: Length of a fade in units.
        flashes: How many there are.
        subtitle: Seconds for which one subtitle stands.
    """

    tail: Span
    event: Span
    events: Span
    shot: Span
    noise: Span
    quality: Span
    swing: Span
    fade: Span
    flashes: Span
    subtitle: Span


RANGES = {
    "dev": Ranges(
        tail=(0.8, 1.2),
        event=(1, 5),
        events=(1, 2),
        shot=(2, 6),
        noise=(7, 11),
        quality=(14, 24),
        swing=(0.08, 0.16),
        fade=(2, 4),
        flashes=(2, 3),
        subtitle=(2, 4),
    ),
    "test": Ranges(
        tail=(1.3, 1.8),
        event=(1, 8),
        events=(2, 4),
        shot=(1, 12),
        noise=(12, 16),
        quality=(7, 13),
        swing=(0.17, 0.28),
        fade=(5, 8),
        flashes=(4, 7),
        subtitle=(1, 7),
    ),
}


@dataclass(frozen=True)
class Camera:
    """What happens between a scene and the eye, beside the accidents of its shot.

    Attributes:
        quality: Of the JPEG coding of every frame; None for none.
        swing: How far the light goes up and down.
        period: Seconds of one such wave.
        subtitle: Seconds for which one subtitle stands; None for no subtitles.
        flashes: (start, end, level) in seconds: all pixels have this level, 0 to 255.
    """

    quality: int | None = None
    swing: float = 0.0
    period: float = 60.0
    subtitle: float | None = None
    flashes: tuple[tuple[float, float, int], ...] = ()


@dataclass(frozen=True)
class LongFilm:
    """A film before it is drawn.

    Attributes:
        regime: One of `LONG_REGIMES`.
        shots: In order; together they fill the film. An event has `needle`.
        numbers: Which scene each shot shows: a scene that returns has the number that it had.
        camera: What happens to all of it.
        seed: Of the noise.
        fps: Frames per second.
    """

    regime: str
    shots: tuple[Shot, ...]
    numbers: tuple[int, ...]
    camera: Camera
    seed: int
    fps: int = FPS

    @property
    def num_frames(self) -> int:
        """How many frames it has."""
        return self.shots[-1].end

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """Its different scenes, in the order in which they are first seen."""
        firsts = {number: shot.scene for number, shot in reversed(list(zip(self.numbers, self.shots, strict=True)))}
        return tuple(firsts[number] for number in dict.fromkeys(self.numbers))

    @property
    def returns(self) -> bool:
        """Whether a scene is seen again."""
        return len(set(self.numbers)) < len(self.numbers)


@dataclass(frozen=True)
class _Plan:
    """A list of (scene, length in frames, event) and what the camera does."""

    parts: list[tuple[int, float, bool]]
    camera: Camera = Camera()
    still: bool = False
    fast: float = 0.006
    fades: float = 0.0
    same: float = 0.0


def check_seconds(seconds: float) -> None:
    """Check that a film can have this length.

    Raises:
        ConfigError: It cannot.
    """
    if not SHORTEST <= seconds <= LONGEST:
        raise ConfigError(f"a film of {seconds:g} seconds asked for, expected {SHORTEST} to {LONGEST}")


def draw_long_film(
    rng: np.random.Generator, regime: str, seconds: float, split: str = "dev", event: float | None = None
) -> LongFilm:
    """Draw a film.

    Args:
        rng: Where chance comes from.
        regime: "plain" (4 to 8 scenes), "tails" (lengths with a heavy tail), "brief" (few long scenes and events
            between them), "cutting" (two scenes cut to and fro), "returning" (few scenes in many shots), "slow" (light
            and objects change slowly), "subtitles", "poor" (noise and coding), "flashes" (flashes, and fades through
            black), "watching" (one scene that hardly moves, with events). All but "plain" may have events.
        seconds: Its length.
        split: "dev" or "test"; their `RANGES` differ.
        event: Length of every event in seconds; None for a length by chance.

    Returns:
        The film. No kind of object occurs in two different scenes.

    Raises:
        ConfigError: An unknown regime or split, or a length outside of 20 seconds to an hour.

    Example:
        >>> film = draw_long_film(np.random.default_rng(0), "brief", 600)
        >>> film.num_frames, sum(shot.needle for shot in film.shots)
        (6000, 2)
    """
    if regime not in LONG_REGIMES:
        raise unknown("regime", regime, LONG_REGIMES)
    if split not in RANGES:
        raise unknown("split", split, RANGES)
    check_seconds(seconds)
    ranges = RANGES[split]
    if event is not None:
        unit = 100 * event / seconds
        ranges = replace(ranges, event=(unit, unit))
    plan = _plan(rng, regime, seconds, ranges)
    return _filmed(rng, regime, plan, round(seconds * FPS), ranges)


def _within(rng: np.random.Generator, span: Span) -> float:
    return float(rng.uniform(*span))


def _count(rng: np.random.Generator, span: Span) -> int:
    return int(rng.integers(int(span[0]), int(span[1]) + 1))


def _plan(rng: np.random.Generator, regime: str, seconds: float, ranges: Ranges) -> _Plan:
    """Return what is shown for how long: lengths are relative, but for events, which are in units."""
    more = int(np.log2(seconds / SHORTEST))  # a longer film has more scenes
    if regime == "plain":
        return _Plan(_row(rng, int(rng.integers(4, 8)), 0.5))
    if regime == "tails":
        return _Plan(_row(rng, int(rng.integers(5, 8)) + more, _within(rng, ranges.tail)), fades=0.2)
    if regime == "brief":
        return _Plan(_with_events(rng, _row(rng, int(rng.integers(2, 5)), 0.4), ranges))
    if regime == "cutting":
        return _Plan(_with_events(rng, _to_and_fro(rng, seconds, ranges), ranges))
    if regime == "returning":
        shots = int(rng.integers(8, 14)) + 2 * more
        kinds = int(rng.integers(3, 6)) + more // 3
        order = [int(number) for number in rng.integers(kinds, size=shots)]
        order = [n for i, n in enumerate(order) if not i or n != order[i - 1]]
        return _Plan(_with_events(rng, [(n, float(rng.lognormal(0, 0.5)), False) for n in order], ranges))
    if regime == "slow":
        camera = Camera(swing=_within(rng, ranges.swing), period=seconds / float(rng.uniform(1, 4)))
        return _Plan(_with_events(rng, _row(rng, int(rng.integers(2, 5)), 0.4), ranges), camera, fast=0.001, fades=1.0)
    if regime == "subtitles":
        camera = Camera(subtitle=_within(rng, ranges.subtitle))
        return _Plan(_with_events(rng, _row(rng, int(rng.integers(3, 6)), 0.5), ranges), camera)
    if regime == "poor":
        camera = Camera(quality=_count(rng, ranges.quality))
        return _Plan(_with_events(rng, _row(rng, int(rng.integers(3, 6)), 0.5), ranges), camera)
    if regime == "flashes":
        camera = Camera(flashes=_flashes(rng, seconds, ranges))
        return _Plan(_with_events(rng, _row(rng, int(rng.integers(3, 6)), 0.5), ranges), camera, fades=0.6)
    events = replace(ranges, events=(ranges.events[0] + 1, ranges.events[1] + 2))
    return _Plan(_with_events(rng, _row(rng, 1, 0.0), events), still=True, same=0.5)


def _row(rng: np.random.Generator, scenes: int, spread: float) -> list[tuple[int, float, bool]]:
    """So many different scenes, one after another."""
    return [(number, float(rng.lognormal(0, spread)), False) for number in range(scenes)]


def _to_and_fro(rng: np.random.Generator, seconds: float, ranges: Ranges) -> list[tuple[int, float, bool]]:
    """Two or three passages, each of two scenes cut to and fro, in shots of some seconds however long the film is."""
    parts: list[tuple[int, float, bool]] = []
    passages = int(rng.integers(2, 4))
    for passage in range(passages):
        shots = min(60, max(3, round(seconds / passages / _within(rng, ranges.shot))))
        parts += [(2 * passage + shot % 2, float(rng.lognormal(0, 0.3)), False) for shot in range(shots)]
    return parts


def _with_events(
    rng: np.random.Generator, parts: list[tuple[int, float, bool]], ranges: Ranges
) -> list[tuple[int, float, bool]]:
    """Return events inside of shots, which go on behind them, or between two."""
    number = 1 + max(part[0] for part in parts)
    for _ in range(_count(rng, ranges.events)):
        event = (number, _within(rng, ranges.event), True)
        number += 1
        calm = [i for i, part in enumerate(parts) if not part[2]]
        weight = np.array([parts[i][1] for i in calm])
        place = int(rng.choice(calm, p=weight / weight.sum()))
        scene, length, _ = parts[place]
        part = float(rng.uniform(0.25, 0.75))
        parts[place : place + 1] = [(scene, length * part, False), event, (scene, length * (1 - part), False)]
    return parts


def _flashes(rng: np.random.Generator, seconds: float, ranges: Ranges) -> tuple[tuple[float, float, int], ...]:
    """Return flashes of about one unit, white or black."""
    starts = np.sort(rng.uniform(0.02, 0.98, _count(rng, ranges.flashes))) * seconds
    lasting = seconds / 100 * rng.uniform(0.4, 1.4, len(starts))
    levels = rng.choice([0, 255, 255], len(starts))
    return tuple(
        (float(start), float(start + last), int(level))
        for start, last, level in zip(starts, lasting, levels, strict=True)
    )


def _filmed(rng: np.random.Generator, regime: str, plan: _Plan, frames: int, ranges: Ranges) -> LongFilm:
    """Give every part its frames, its scene and its accidents."""
    lengths = _lengths(plan.parts, frames)
    scenes = _scenes(rng, plan.parts, plan.same)
    looks: dict[int, Accidents] = {}
    shots: list[Shot] = []
    start = 0
    for (number, _, event), length in zip(plan.parts, lengths, strict=True):
        scene = scenes[number]
        if number not in looks:
            looks[number] = _accidents(rng, scene, regime, ranges)
        fast = 0.0 if plan.still else plan.fast
        speeds = tuple((float(x), float(y)) for x, y in rng.uniform(-fast, fast, (len(scene.things), 2)))
        fade = 0
        if shots and not event and not shots[-1].needle and rng.random() < plan.fades:
            fade = min(length // 2, round(_within(rng, ranges.fade) * frames / 100))
        shots.append(Shot(scene, start, start + length, speeds, (0.0, 0.0), fade, looks[number], plan.still, event))
        start += length
    numbers = tuple(number for number, _, _ in plan.parts)
    return LongFilm(regime, tuple(shots), numbers, plan.camera, int(rng.integers(1 << 31)))


def _lengths(parts: list[tuple[int, float, bool]], frames: int) -> list[int]:
    """Return frames of every part: events as long as they say, the others in proportion; at least one each."""
    given = [max(1, round(length * frames / 100)) if event else 0 for _, length, event in parts]
    free, whole = frames - sum(given), sum(length for _, length, event in parts if not event)
    ends = np.cumsum([0.0 if event else length for _, length, event in parts]) / whole * free
    calm = np.diff(np.rint(ends).astype(int), prepend=0)
    lengths = [max(1, int(length)) if not given[i] else given[i] for i, length in enumerate(calm)]
    lengths[int(np.argmax(lengths))] += frames - sum(lengths)
    return lengths


def _scenes(rng: np.random.Generator, parts: list[tuple[int, float, bool]], same: float) -> dict[int, Scene]:
    """Return a scene for every number; this share of the events keeps the background of the scene before."""
    scenes: dict[int, Scene] = {}
    used: frozenset[int] = frozenset()
    before: int | None = None
    for number, _, event in parts:
        if number not in scenes:
            things = 2 if not event and rng.random() < 0.15 and len(used) < 16 else 1
            alike = before if event and rng.random() < same else None
            other = None if alike is not None else before
            scenes[number] = draw_scene(rng, things=things, avoid=used, background=alike, not_background=other)
            used |= scenes[number].kinds
        before = scenes[number].background
    return scenes


def _accidents(rng: np.random.Generator, scene: Scene, regime: str, ranges: Ranges) -> Accidents:
    accidents = draw_accidents(rng, len(scene.things))
    if regime == "poor":
        return accidents._replace(noise=_within(rng, ranges.noise))
    return accidents._replace(noise=accidents.noise / 3) if regime == "watching" else accidents
