"""Lessons for the language model: which views make up an image, how tokens are reduced, and what is asked."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from dyto.models.adapters.tiny import GRID
from dyto.synthetic.questions import ASKERS, Question
from dyto.synthetic.world import Scene, draw_scene, jitter
from dyto_tiny.tiles import GRIDS, draw_things

SCENES = 3072
VIEWS = 3
COMPOSITES = 768
BUDGET = 230
"""Visual tokens of a strip at most: 6.4 frames of 36."""
MOST_FRAMES = 32

Reduction = Literal["none", "drop", "pool", "merge"]


class Gallery(NamedTuple):
    """The scenes of one epoch, each at several moments, and composites of them.

    Attributes:
        views: `SCENES` lists of `VIEWS` moments of a scene.
        composites: Rows, columns and the scenes (by number, first view) of each composite.
    """

    views: list[list[Scene]]
    composites: list[tuple[int, int, list[int]]]


@dataclass(frozen=True)
class Picture:
    """One image of a lesson.

    Attributes:
        views: Scene number and moment of every panel or frame, in order.
        scenes: What the questions are about: the scenes in order, without repeats.
        packing: "flat" (frames one after another), "stock" (one tile as the stock processor packs it), or
            "grid" (a composite as the stock processor packs it).
        composite: Number of the composite, for "grid".
        reduction: How a flat picture's tokens are reduced.
        keep: Tokens left of each frame.
        seed: Of the reduction.
    """

    views: tuple[tuple[int, int], ...]
    scenes: tuple[Scene, ...]
    packing: Literal["flat", "stock", "grid"]
    composite: int = -1
    reduction: Reduction = "none"
    keep: int = GRID * GRID
    seed: int = 0


@functools.lru_cache(maxsize=2)
def gallery(seed: int, epoch: int) -> Gallery:
    """The scenes of one epoch, a pure function of its arguments."""
    rng = np.random.default_rng((seed, 2, epoch))
    firsts = [draw_scene(rng, things=draw_things(rng, (0.64, 0.16, 0.1, 0.1))) for _ in range(SCENES)]
    views = [[scene, *(jitter(rng, scene) for _ in range(VIEWS - 1))] for scene in firsts]
    composites = []
    for _ in range(COMPOSITES):
        rows, columns = GRIDS[rng.choice(len(GRIDS), p=(0.5, 0.15, 0.15, 0.1, 0.1))]
        composites.append((rows, columns, _different(rng, views, rows * columns, most_things=2)))
    return Gallery(views, composites)


def _different(rng: np.random.Generator, views: Sequence[Sequence[Scene]], number: int, most_things: int) -> list[int]:
    """Scenes that share no kind of object."""
    chosen: list[int] = []
    seen: frozenset[int] = frozenset()
    while len(chosen) < number:
        index = int(rng.integers(len(views)))
        scene = views[index][0]
        if len(scene.things) <= most_things and not scene.kinds & seen:
            chosen.append(index)
            seen |= scene.kinds
    return chosen


def most_scenes(progress: float) -> int:
    """How many scenes a picture may have, by how much of the training is done: 2, 3, 5, 8, then 13.

    What an object is and where it stands must be looked up surely in few scenes before there can be many.
    """
    return next(most for until, most in ((0.168, 2), (0.3, 3), (0.5, 5), (0.7, 8), (9.0, 13)) if progress < until)


def draw_picture(rng: np.random.Generator, seed: int, epoch: int, progress: float, short: bool) -> Picture:
    """Draw what one image of a lesson shows.

    Args:
        rng: Where chance comes from.
        seed: Of the recipe.
        epoch: Which gallery.
        progress: 0 .. 1, how much of the stage is done; decides how many scenes there may be.
        short: A single scene rather than several.

    Returns:
        The picture.
    """
    views, composites = gallery(seed, epoch)
    if short:
        return _single(rng, views)
    if rng.random() < 0.08:
        number = int(rng.integers(len(composites)))
        _, _, members = composites[number]
        if len(members) <= max(4, most_scenes(progress)):
            scenes = tuple(views[member][0] for member in members)
            return Picture(tuple((m, 0) for m in members), scenes, "grid", composite=number)
    if rng.random() < 0.08:
        return _still(rng, views)
    return _strip(rng, views, most_scenes(progress))


def _single(rng: np.random.Generator, views: Sequence[Sequence[Scene]]) -> Picture:
    index, moment = int(rng.integers(len(views))), int(rng.integers(VIEWS))
    scenes = (views[index][moment],)
    if rng.random() < 0.6:
        return Picture(((index, moment),), scenes, "stock")
    keep = GRID * GRID if rng.random() < 0.4 else int(rng.integers(6, GRID * GRID))
    return Picture(((index, moment),), scenes, "flat", -1, *_reduction(rng, keep))


def _still(rng: np.random.Generator, views: Sequence[Sequence[Scene]]) -> Picture:
    """One scene of several objects at several moments; they keep their corners."""
    index = int(rng.integers(len(views)))
    while len(views[index][0].things) == 1:
        index = int(rng.integers(len(views)))
    number = int(rng.integers(2, 13))
    shown = tuple((index, int(rng.integers(VIEWS))) for _ in range(number))
    return Picture(shown, (views[index][0],), "flat", -1, *_reduction(rng, min(GRID * GRID, BUDGET // number)))


def _reduction(rng: np.random.Generator, keep: int) -> tuple[Reduction, int, int]:
    kinds: tuple[Reduction, ...] = ("drop", "pool", "merge")
    kind: Reduction = kinds[int(rng.integers(3))] if keep < GRID * GRID else "none"
    return kind, keep, int(rng.integers(1 << 30))


def _strip(rng: np.random.Generator, views: Sequence[Sequence[Scene]], most: int) -> Picture:
    """Several scenes in a row; half of the strips show some of them at several moments, as frames would."""
    number = 2 + int((most - 1) * rng.random() ** 1.2)
    members = _different(rng, views, number, most_things=2 if number < 9 else 1)
    repeats = np.ones(number, np.int64)
    if rng.random() < 0.5:
        extra = int(rng.integers(1, min(MOST_FRAMES, 3 * number + 2) - number + 1))
        shares = rng.dirichlet(np.full(number, rng.choice((0.3, 1.0, 5.0))))
        repeats += rng.multinomial(extra, shares)
    shown = [(m, int(rng.integers(VIEWS))) for m, often in zip(members, repeats, strict=True) for _ in range(often)]
    keep = min(GRID * GRID, BUDGET // len(shown))
    if keep > 8 and rng.random() < 0.3:
        keep = int(rng.integers(6, keep + 1))
    scenes = tuple(views[member][0] for member in members)
    return Picture(tuple(shown), scenes, "flat", -1, *_reduction(rng, keep))


SINGLE_WEIGHTS = {
    "exist": 1, "which": 1, "color": 3, "shape": 1.5, "background": 1.5, "object": 1, "count": 2, "position": 3,
    "description": 1,
}  # fmt: skip
SEVERAL_WEIGHTS = {
    "exist": 2, "which": 2, "color": 5, "shape": 2, "background": 5, "object": 2, "first": 5, "last": 5,
    "after": 1.5, "before": 1.5, "scenes": 0.7, "description": 0.3,
}  # fmt: skip


def draw_question(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question:
    """A question about the scenes, of a type drawn by weight."""
    weights = SINGLE_WEIGHTS if len(scenes) == 1 else SEVERAL_WEIGHTS
    names, shares = _shares(tuple(weights.items()))
    while True:
        question = ASKERS[names[int(np.searchsorted(shares, rng.random()))]](rng, scenes)
        if question is not None:
            return question


@functools.lru_cache(maxsize=4)
def _shares(weights: tuple[tuple[str, float], ...]) -> tuple[tuple[str, ...], np.ndarray]:
    shares = np.cumsum([weight for _, weight in weights])
    return tuple(name for name, _ in weights), shares / shares[-1]
