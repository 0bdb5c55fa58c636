"""The world: coloured shapes on plain backgrounds. A scene has a background and one to four different objects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (215, 35, 35),
    "green": (40, 175, 50),
    "blue": (50, 90, 245),
    "yellow": (240, 220, 40),
    "purple": (185, 60, 215),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (14, 14, 14),
    "gray": (120, 120, 120),
    "brown": (115, 68, 30),
    "navy": (16, 22, 92),
    "teal": (0, 100, 105),
}
KINDS: tuple[str, ...] = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)
"""All kinds of objects, "red circle" first; the index is the kind's number."""
BACKGROUND_NAMES: tuple[str, ...] = tuple(BACKGROUNDS)
CORNERS = ("top left", "top right", "bottom left", "bottom right")
MIDDLE = 0.09
"""Distance to a middle line below which an object has no corner, as a fraction of the image's side."""


@dataclass(frozen=True)
class Thing:
    """One object: its `kind`, an index into `KINDS`, and its place, in fractions of the image's side."""

    kind: int
    x: float
    y: float
    radius: float
    angle: float

    @property
    def color(self) -> str:
        """Name of the colour."""
        return KINDS[self.kind].split()[0]

    @property
    def shape(self) -> str:
        """Name of the shape."""
        return KINDS[self.kind].split()[1]

    @property
    def name(self) -> str:
        """Colour and shape: "red ring"."""
        return KINDS[self.kind]

    @property
    def corner(self) -> str | None:
        """One of `CORNERS`, or None too near to a middle line to say."""
        if min(abs(self.x - 0.5), abs(self.y - 0.5)) < MIDDLE:
            return None
        return CORNERS[2 * (self.y > 0.5) + (self.x > 0.5)]


@dataclass(frozen=True)
class Scene:
    """A background (an index into `BACKGROUND_NAMES`) and one to four objects, all of different kinds."""

    background: int
    things: tuple[Thing, ...]

    @property
    def background_name(self) -> str:
        """Name of the background."""
        return BACKGROUND_NAMES[self.background]

    @property
    def kinds(self) -> frozenset[int]:
        """Kinds of the objects."""
        return frozenset(thing.kind for thing in self.things)


def draw_scene(
    rng: np.random.Generator,
    *,
    things: int = 1,
    avoid: frozenset[int] = frozenset(),
    background: int | None = None,
    not_background: int | None = None,
) -> Scene:
    """Draw a scene.

    Args:
        rng: The random generator.
        things: Number of objects, 1 to 4. A single object is large and placed anywhere; several stay in corners.
        avoid: Kinds that must not occur.
        background: The background, or None for any.
        not_background: A background to avoid.

    Returns:
        The scene.

    Example:
        >>> scene = draw_scene(np.random.default_rng(0), things=3)
        >>> len(scene.kinds)
        3
    """
    if background is None:
        allowed = [b for b in range(len(BACKGROUND_NAMES)) if b != not_background]
        background = int(rng.choice(allowed))
    free = np.array([kind for kind in range(len(KINDS)) if kind not in avoid])
    kinds = rng.choice(free, things, replace=False)
    return scene_of(rng, background, kinds)


def scene_of(rng: np.random.Generator, background: int, kinds: npt.ArrayLike) -> Scene:
    """Lay out a scene of given kinds at random: a single object anywhere, several in one corner each."""
    numbers = [int(kind) for kind in np.asarray(kinds)]
    if len(numbers) == 1:
        thing = Thing(numbers[0], 0.5, 0.5, float(rng.uniform(0.16, 0.28)), float(rng.uniform(-0.3, 0.3)))
        return jitter(rng, Scene(background, (thing,)))
    placed = []
    for kind, corner in zip(numbers, rng.permutation(4), strict=False):
        radius, angle = float(rng.uniform(0.12, 0.185)), float(rng.uniform(-0.3, 0.3))
        x, y = (0.25 + 0.5 * (corner % 2), 0.25 + 0.5 * (corner // 2))
        placed.append(Thing(kind, float(x), float(y), radius, angle))
    return jitter(rng, Scene(background, tuple(placed)))


def room(thing: Thing, alone: bool) -> tuple[float, float, float, float]:
    """Return the bounds of an object's centre: (left, right, top, bottom). Several objects keep their corners."""
    r = thing.radius
    if alone:
        return r, 1 - r, r, 1 - r
    inner = 0.5 - 0.8 * r
    left, right = (r, inner) if thing.x < 0.5 else (1 - inner, 1 - r)
    top, bottom = (r, inner) if thing.y < 0.5 else (1 - inner, 1 - r)
    return left, right, top, bottom


def jitter(rng: np.random.Generator, scene: Scene) -> Scene:
    """Return the same scene at another moment: every object anywhere in its `room`."""
    moved = []
    for thing in scene.things:
        left, right, top, bottom = room(thing, alone=len(scene.things) == 1)
        x, y = rng.uniform((left, top), (right, bottom))
        moved.append(replace(thing, x=float(x), y=float(y)))
    return replace(scene, things=tuple(moved))
