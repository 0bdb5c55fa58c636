"""A reader of pictures that knows nothing of the generator: pixels in, answers out."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from dyto.synthetic.questions import Question

PAINT = {
    "red": (215, 35, 35), "green": (40, 175, 50), "blue": (50, 90, 245), "yellow": (240, 220, 40),
    "purple": (185, 60, 215), "white": (245, 245, 245),
}  # fmt: skip
GROUND = {"black": (14, 14, 14), "gray": (120, 120, 120), "brown": (115, 68, 30), "navy": (16, 22, 92),
          "teal": (0, 100, 105)}  # fmt: skip


@dataclass
class Seen:
    """One object as its pixels tell it."""

    color: str
    shape: str
    x: float
    y: float

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


def read_picture(image: np.ndarray) -> tuple[str, list[Seen]]:
    """Background and objects of an image, from nothing but its pixels."""
    names = [*GROUND, *PAINT]
    palette = np.array([*GROUND.values(), *PAINT.values()], float)
    distance = ((image[..., None, :].astype(float) - palette) ** 2).sum(-1)
    label = distance.argmin(-1)
    background = np.bincount(label.ravel(), minlength=len(names))[: len(GROUND)].argmax()
    found = []
    for number, name in enumerate(names):
        if name in PAINT:
            found += [
                Seen(name, shape_of(part), *centre_of(part))
                for part in connected(label == number)
                if part.sum() > 0.004 * part.size
            ]
    return names[background], found


def connected(mask: np.ndarray) -> list[np.ndarray]:
    """Connected parts of a mask, by flooding."""
    parts, left = [], mask.copy()
    while left.any():
        part = np.zeros_like(left)
        part[tuple(np.argwhere(left)[0])] = True
        while True:
            grown = part.copy()
            grown[1:] |= part[:-1]
            grown[:-1] |= part[1:]
            grown[:, 1:] |= part[:, :-1]
            grown[:, :-1] |= part[:, 1:]
            grown &= left
            if (grown == part).all():
                break
            part = grown
        parts.append(part)
        left &= ~part
    return parts


def centre_of(part: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(part)
    side = len(part)
    return (columns.min() + columns.max() + 1) / 2 / side, (rows.min() + rows.max() + 1) / 2 / side


def shape_of(part: np.ndarray) -> str:
    """By the hole, and by the area against that of the smallest circle about the centre of gravity."""
    rows, columns = np.nonzero(part)
    y, x = rows.mean(), columns.mean()
    if not part[round(y), round(x)]:
        return "ring"
    reach = np.hypot(rows - y, columns - x).max() + 0.5
    fill = part.sum() / (np.pi * reach**2)
    shapes = {"circle": 1.0, "square": 0.64, "triangle": 0.42, "cross": 0.55}
    if 0.38 < fill < 0.62:  # triangle or cross: only the cross looks the same upside down
        around = np.flip(part[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
        own = part[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        return "cross" if (around == own).mean() > 0.86 else "triangle"
    return min(shapes, key=lambda name: abs(shapes[name] - fill))


def solve(question: Question, pictures: list[tuple[str, list[Seen]]]) -> str:
    """Answer a question by what was read, in the order of the scenes; parses the question's text only."""
    text = question.text.lower()
    names = [thing.name for _, things in pictures for thing in things]
    asked = re.search(rf"({'|'.join(PAINT)}) (circle|square|triangle|cross|ring)", text)
    name = asked[0] if asked else None
    where = next((i for i, (_, things) in enumerate(pictures) if name in [t.name for t in things]), None)
    if text.startswith(("is there", "do you see a")):
        return "yes" if name in names else "no"
    if "which of these" in text:
        return next(option for option in (question.right, *question.wrong) if option in names)
    if text.startswith(("what color is the ", "what colour is the ")) and "background" not in text:
        return next(n.split()[0] for n in names if n.endswith(text.split()[-1].strip("?")))
    if text.startswith(("what shape is the", "which shape is")):
        color = re.search("|".join(PAINT), text)[0]
        return next(n.split()[1] for n in names if n.startswith(color))
    if "first" in text or "last" in text:
        background, things = pictures[0 if "first" in text else -1]
        return background if "background" in text else things[0].name
    if "right after" in text or "right before" in text:
        return pictures[where + (1 if "after" in text else -1)][1][0].name
    if text.startswith("how many"):
        if "scenes" in text:
            return str(len(pictures))
        color = re.search("|".join(PAINT), text)
        return str(len([n for n in names if color is None or n.startswith(color[0])]))
    if text.startswith(("where is", "in which corner")):
        thing = next(t for t in pictures[0][1] if t.name == name)
        return f"{'bottom' if thing.y > 0.5 else 'top'} {'right' if thing.x > 0.5 else 'left'}"
    if " on the " in text:
        color = re.search(f"on the ({'|'.join(GROUND)})", text)[1]
        return next(things[0].name for background, things in pictures if background == color)
    if "background" in text or "behind" in text:
        return pictures[where or 0][0]
    assert "describe" in text, text
    told = []
    for background, things in pictures:
        order = sorted(things, key=lambda t: (t.y > 0.5, t.x))
        told.append(" and ".join(f"a {t.name}" for t in order) + f" on {background}")
    return " then ".join(told)
