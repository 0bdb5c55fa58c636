"""Videos of the world: sequences of scenes with motion, drift, noise, cuts, fades and needles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from dyto.synthetic.regimes import REGIMES as REGIMES
from dyto.synthetic.render import Accidents, Pixels, draw_accidents, draw_grain, render
from dyto.synthetic.world import Scene, draw_scene, room

TICKS = 100
"""A film's length in ticks, equal to the default number of sampled frames, so a tick is one sampled frame."""
FRAMES_PER_TICK = 2
FPS = 10
SIDE = 168


@dataclass(frozen=True)
class Shot:
    """One scene over some time.

    Attributes:
        scene: The scene at the beginning.
        start: Its first frame in the video.
        end: The frame after its last frame.
        speeds: Movement of each object per frame, (x, y) in fractions of the image's side.
        drift: Movement of the camera per frame, in the same unit.
        fade: Number of frames in which the previous scene fades into this one; 0 for a cut.
        accidents: Brightness, tint, noise.
        still: Whether all frames are identical, as in a slide show.
        needle: Whether this is a brief scene among long ones.
    """

    scene: Scene
    start: int
    end: int
    speeds: tuple[tuple[float, float], ...]
    drift: tuple[float, float]
    fade: int
    accidents: Accidents
    still: bool = False
    needle: bool = False

    @property
    def middle(self) -> int:
        """The frame in the middle."""
        return (self.start + self.end) // 2


@dataclass(frozen=True)
class Film:
    """A video before it is drawn.

    Attributes:
        regime: One of `REGIMES`.
        shots: In order; together they fill the film.
        fps: Frames per second.
    """

    regime: str
    shots: tuple[Shot, ...]
    fps: int = FPS

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The scenes, in order."""
        return tuple(shot.scene for shot in self.shots)

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return self.shots[-1].end


def draw_film(rng: np.random.Generator, regime: str) -> Film:
    """Draw a film of a regime.

    Args:
        rng: The random generator.
        regime: "mixed" (4 to 8 scenes of any length), "dominated" (one long scene, the others 5 to 8 ticks),
            "many" (10 to 13 scenes), "needles" (3 or 4 long scenes, two brief ones of 2 to 10 ticks between
            them), "moving" (fast objects, camera drift), "static" (slides, every frame the same), "detail"
            (1 to 3 scenes of 3 or 4 small objects).

    Returns:
        The film; no kind of object occurs in two scenes, and neighbouring scenes differ in their background.
    """
    ticks, needles = _durations(rng, regime)
    several = {"many": 0.0, "detail": 1.0}.get(regime, 0.2)
    shots: list[Shot] = []
    used: frozenset[int] = frozenset()
    before, frame = None, 0
    for number, length in enumerate(ticks):
        things = 1
        if rng.random() < several and not needles[number]:
            things = int(rng.integers(3, 5)) if regime == "detail" else 2
        scene = draw_scene(rng, things=things, avoid=used, not_background=before)
        used, before = used | scene.kinds, scene.background
        shot = _shot(rng, regime, scene, frame, frame + length * FRAMES_PER_TICK, needles[number])
        shots.append(replace(shot, fade=0) if not shots else shot)
        frame = shot.end
    return Film(regime, tuple(shots))


def _durations(rng: np.random.Generator, regime: str) -> tuple[list[int], list[bool]]:
    """Draw the ticks of every shot, `TICKS` together, and which shots are needles."""
    if regime == "needles":
        long = int(rng.integers(3, 5))
        brief = [int(n) for n in rng.integers(2, 11, 2)]
        ticks = _share(rng, long, TICKS - sum(brief), least=12)
        needles = [False] * long
        for length in brief:
            place = int(rng.choice([i for i in range(1, len(ticks)) if not (needles[i - 1] or needles[i])]))
            ticks.insert(place, length)
            needles.insert(place, True)
        return ticks, needles
    if regime == "dominated":
        ticks = [int(n) for n in rng.integers(5, 9, int(rng.integers(4, 7)))]
        ticks.insert(int(rng.integers(len(ticks) + 1)), TICKS - sum(ticks))
    else:
        low, high, least = {
            "many": (10, 13, 5),
            "detail": (1, 3, 20),
            "moving": (4, 6, 8),
            "static": (4, 7, 6),
        }.get(regime, (4, 8, 6))
        ticks = _share(rng, int(rng.integers(low, high + 1)), TICKS, least)
    return ticks, [False] * len(ticks)


def _share(rng: np.random.Generator, number: int, total: int, least: int) -> list[int]:
    """Split `total` into `number` unequal parts of at least `least`."""
    parts = rng.multinomial(total - number * least, rng.dirichlet(np.full(number, 1.5)))
    return [int(part) + least for part in parts]


def _shot(rng: np.random.Generator, regime: str, scene: Scene, start: int, end: int, needle: bool) -> Shot:
    fast = {"static": 0.0, "detail": 0.001, "moving": 0.02}.get(regime, 0.006)
    speeds = tuple((float(x), float(y)) for x, y in rng.uniform(-fast, fast, (len(scene.things), 2)))
    sway = 0.0 if regime in ("static", "detail") else 0.002 if regime == "moving" else 0.0005
    drift = (float(rng.uniform(-sway, sway)), float(rng.uniform(-sway, sway)))
    fade = int(rng.integers(2, 5)) if regime != "static" and not needle and rng.random() < 0.3 else 0
    accidents = draw_accidents(rng, len(scene.things), SIDE)
    return Shot(scene, start, end, speeds, drift, fade, accidents, regime == "static", needle)


def scene_at(shot: Shot, frame: int) -> Scene:
    """Return the scene in one frame: objects move, bounce off the walls of their room, and drift.

    Args:
        shot: The shot.
        frame: Frame number in the video, within the shot.

    Returns:
        The scene; every object lies inside the image.
    """
    passed = frame - shot.start
    moved = []
    for thing, (dx, dy) in zip(shot.scene.things, shot.speeds, strict=True):
        left, right, top, bottom = room(thing, alone=len(shot.scene.things) == 1)
        x = _bounce(thing.x + passed * (dx + shot.drift[0]), left, right)
        y = _bounce(thing.y + passed * (dy + shot.drift[1]), top, bottom)
        moved.append(replace(thing, x=x, y=y))
    return replace(shot.scene, things=tuple(moved))


def _bounce(place: float, low: float, high: float) -> float:
    """Reflect a coordinate at both walls, as often as needed."""
    width = high - low
    turn = (place - low) % (2 * width)
    return low + (turn if turn <= width else 2 * width - turn)


def draw_frames(film: Film, seed: int) -> Iterator[Pixels]:
    """Draw a film, frame by frame.

    Args:
        film: A film from `draw_film`.
        seed: Seed of the noise.

    Yields:
        (168, 168, 3) uint8 RGB.
    """
    rng = np.random.default_rng((seed, 5))
    last: Pixels | None = None
    for shot in film.shots:
        previous, image = last, None
        for frame in range(shot.start, shot.end):
            if image is None or not shot.still:
                accidents = shot.accidents if shot.still else shot.accidents._replace(grain=draw_grain(rng, SIDE))
                image = render(scene_at(shot, frame), accidents, SIDE)[0]
            shown = image
            if previous is not None and frame - shot.start < shot.fade:
                part = (frame - shot.start + 1) / (shot.fade + 1)
                shown = (previous * (1 - part) + image * part).astype(np.uint8)
            yield shown
            last = image
