"""Fast rendering of scenes: a bank of anti-aliased sprites pasted onto graded, noisy backgrounds."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dyto.synthetic.world import BACKGROUNDS, COLORS, SHAPES, Scene

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.float32]

SIDE = 84
ANGLES = 13
"""Number of rotations of each sprite, from -0.3 to 0.3 radians."""

_COLOR = np.array(list(COLORS.values()), np.float32)
_BACKGROUND = np.array(list(BACKGROUNDS.values()), np.float32)
_NOISE = np.random.default_rng(84).standard_normal(1 << 20).astype(np.float32)


@functools.lru_cache(maxsize=8192)
def sprite(shape: str, radius: int, turn: int) -> Mask:
    """Return the opacity of one shape.

    Args:
        shape: One of `SHAPES`.
        radius: Radius in pixels.
        turn: Index of one of the `ANGLES` rotations.

    Returns:
        (2 * radius + 1, 2 * radius + 1) float32 in 0 .. 1, averaged over 3 x 3 points per pixel.
    """
    side, fine = 2 * radius + 1, 3
    axis = (np.arange(side * fine, dtype=np.float32) + 0.5) / fine - side / 2
    x, y = np.meshgrid(axis / radius, axis / radius)
    angle = -0.3 + 0.6 * turn / (ANGLES - 1)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    far = np.hypot(u, v)
    inside = {
        "circle": lambda: far < 0.95,
        "ring": lambda: (far < 0.98) & (far > 0.55),
        "square": lambda: np.maximum(abs(u), abs(v)) < 0.78,
        "cross": lambda: (np.minimum(abs(u), abs(v)) < 0.26) & (np.maximum(abs(u), abs(v)) < 0.95),
        "triangle": lambda: (v < 0.62) & (v > -0.95 + 1.75 * abs(u)),
    }[shape]()
    return inside.reshape(side, fine, side, fine).mean((1, 3), dtype=np.float32)


class Accidents(NamedTuple):
    """The effects that a camera adds to a scene.

    Attributes:
        light: Brightness, about 1.
        slope: Difference in brightness between bottom and middle.
        tint: (1 + things, 3) shift of the colours of the background and of every object.
        noise: Standard deviation of the noise, 0 to 255.
        grain: Offset of the noise in a fixed sequence.
    """

    light: float
    slope: float
    tint: Mask
    noise: float
    grain: int


def draw_accidents(rng: np.random.Generator, things: int, side: int = SIDE) -> Accidents:
    """Draw the effects that a camera adds to a scene with `things` objects."""
    light, slope = rng.uniform(0.85, 1.15), rng.uniform(-0.15, 0.15)
    noise = rng.uniform(1, 7)
    tint = rng.uniform(-10, 10, (1 + things, 3)).astype(np.float32)
    return Accidents(float(light), float(slope), tint, float(noise), draw_grain(rng, side))


def draw_grain(rng: np.random.Generator, side: int = SIDE) -> int:
    """Draw a new noise for another frame."""
    return int(rng.integers(len(_NOISE) - side * side * 3))


def render(scene: Scene, accidents: Accidents, side: int = SIDE) -> tuple[Pixels, Pixels]:
    """Draw a scene.

    Args:
        scene: The scene.
        accidents: The camera's effects.
        side: Side of the square image in pixels.

    Returns:
        (side, side, 3) uint8 RGB, and (side, side) uint8 number of the object at each pixel, from 1; 0 for none.
    """
    light, slope, tint, noise, grain = accidents
    shade = np.linspace(light - slope, light + slope, side, dtype=np.float32)[:, None, None]  # (side, 1, 1)
    image = np.multiply(_NOISE[grain : grain + side * side * 3].reshape(side, side, 3), np.float32(noise))
    image += (_BACKGROUND[scene.background] + tint[0]) * shade
    owner = np.zeros((side, side), np.uint8)
    for number, thing in enumerate(scene.things, 1):
        radius = max(2, round(thing.radius * side))
        turn = min(ANGLES - 1, max(0, round((thing.angle + 0.3) / 0.6 * (ANGLES - 1))))
        mask = sprite(thing.shape, radius, turn)
        left, top = round(thing.x * side - radius - 0.5), round(thing.y * side - radius - 0.5)
        x0, y0, x1, y1 = max(0, left), max(0, top), min(side, left + len(mask)), min(side, top + len(mask))
        if x0 >= x1 or y0 >= y1:
            continue
        part = mask[y0 - top : y1 - top, x0 - left : x1 - left]
        paint = (_COLOR[thing.kind // len(SHAPES)] + tint[number]) * shade[y0:y1]  # (h, 1, 3)
        region = image[y0:y1, x0:x1]
        region += part[..., None] * (paint - region)
        owner[y0:y1, x0:x1][part > 0.5] = number
    return np.clip(image, 0, 255, out=image).astype(np.uint8), owner
