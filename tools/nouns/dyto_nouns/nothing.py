"""Pictures of nothing that the eye knows: pages of text, slides, shapes, the drawn world of `tiny`, noise, darkness.

Nothing may be asserted of any of them. Even seeds belong to the half "calibration", odd ones to "held out".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from dyto.synthetic.render import draw_accidents, render
from dyto.synthetic.world import draw_scene

Picture = npt.NDArray[np.uint8]

SIZE = (224, 398)
"""Height and width, pixels."""


def _color(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, ...]:
    return tuple(int(c) for c in rng.integers(low, high, 3))


def _words(rng: np.random.Generator, count: int) -> str:
    letters = np.array(list("etaoinshrdlucmfwyp"))
    return " ".join("".join(rng.choice(letters, rng.integers(2, 9))) for _ in range(count))


def page(rng: np.random.Generator) -> Picture:
    """A screen of text, light or dark."""
    dark = bool(rng.integers(2))
    picture = Image.new("RGB", SIZE[::-1], _color(rng, 0, 50) if dark else _color(rng, 225, 256))
    draw, size = ImageDraw.Draw(picture), int(rng.integers(9, 22))
    font, ink = ImageFont.load_default(size), _color(rng, 190, 256) if dark else _color(rng, 0, 70)
    for top in range(6, SIZE[0] - size, int(size * 1.4)):
        draw.text((8, top), _words(rng, int(rng.integers(2, 60 // size * 4))), ink, font)
    return np.asarray(picture)


def slide(rng: np.random.Generator) -> Picture:
    """A slide: a title, points, and a chart of bars."""
    picture = Image.new("RGB", SIZE[::-1], _color(rng, 215, 256))
    draw, ink = ImageDraw.Draw(picture), _color(rng, 0, 110)
    draw.text((20, 12), _words(rng, 4), ink, ImageFont.load_default(26))
    for line in range(4):
        draw.text((30, 60 + 30 * line), "- " + _words(rng, 3), ink, ImageFont.load_default(14))
    for bar in range(5):
        draw.rectangle((230 + 28 * bar, 200 - int(rng.integers(20, 120)), 250 + 28 * bar, 200), _color(rng))
    return np.asarray(picture)


def shapes(rng: np.random.Generator) -> Picture:
    """Discs, boxes and triangles on plain ground."""
    picture = Image.new("RGB", SIZE[::-1], _color(rng))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 6))):
        x, y, r = int(rng.integers(30, 360)), int(rng.integers(30, 190)), int(rng.integers(15, 70))
        what, color = int(rng.integers(3)), _color(rng)
        if what == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), color)
        elif what == 1:
            draw.rectangle((x - r, y - r, x + r, y + r), color)
        else:
            draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], color)
    return np.asarray(picture)


def drawn(rng: np.random.Generator) -> Picture:
    """A frame of the drawn world of `tiny`."""
    scene = draw_scene(rng)
    return np.asarray(render(scene, draw_accidents(rng, len(scene.things)))[0])


def noise(rng: np.random.Generator) -> Picture:
    """Noise, fine or blurred."""
    made = Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
    return np.asarray(made.filter(ImageFilter.GaussianBlur(float(rng.choice([0, 1, 3, 8])))))


def plain(rng: np.random.Generator) -> Picture:
    """One colour, in half of them black or nearly so."""
    color = (0, 0, int(rng.integers(8))) if rng.integers(2) else _color(rng)
    return np.broadcast_to(np.array(color, np.uint8), (*SIZE, 3)).copy()


def gradient(rng: np.random.Generator) -> Picture:
    """A gradient between two colours, in any direction."""
    way = rng.normal(size=2)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    place = way[0] * y / SIZE[0] + way[1] * x / SIZE[1]
    place = ((place - place.min()) / (np.ptp(place) + 1e-9))[..., None]
    return (np.array(_color(rng)) * place + np.array(_color(rng)) * (1 - place)).astype(np.uint8)


MAKERS: dict[str, Callable[[np.random.Generator], Picture]] = {
    "pages of text": page, "slides": slide, "shapes": shapes, "drawn world": drawn, "noise": noise, "plain": plain,
    "gradients": gradient,
}  # fmt: skip


def pictures(half: str, count: int) -> dict[str, list[Picture]]:
    """Make `count` pictures of each sort, for one half."""
    odd = int(half == "held out")
    return {
        sort: [make(np.random.default_rng((number, 2 * seed + odd))) for seed in range(count)]
        for number, (sort, make) in enumerate(MAKERS.items())
    }
