"""Lessons for the eye: single tiles with the truth of every patch, from scenes and shrunken composites."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from dyto.models.adapters.tiny import GRID, PATCH_SIZE
from dyto.synthetic.render import SIDE, Pixels, draw_accidents, render
from dyto.synthetic.world import BACKGROUND_NAMES, KINDS, Scene, draw_scene

IGNORE = -100
NONE = len(KINDS)
"""Label of a patch that shows no object."""
GRIDS = ((2, 2), (1, 2), (2, 1), (2, 3), (3, 2))
"""Rows and columns of the composites, as stock packing knows them."""


class TileBatch(TypedDict):
    """Tiles and their truth.

    Attributes:
        images: (B, 3, 84, 84) uint8.
        kinds: (B, 36) int64, the kind in each patch, `NONE`, or `IGNORE` where an object only touches it.
        backgrounds: (B, 36) int64, the background behind each patch.
        contents: (B, 35) float32, 1 for every kind and every background in the tile.
        counts: (B,) int64, the number of objects less one, `IGNORE` for composites.
    """

    images: Tensor
    kinds: Tensor
    backgrounds: Tensor
    contents: Tensor
    counts: Tensor


def shrink(image: Pixels, rows: int, columns: int) -> Pixels:
    """Make an image smaller by averaging blocks of `rows` x `columns` pixels."""
    height, width = image.shape[0] // rows, image.shape[1] // columns
    blocks = image[: height * rows, : width * columns].reshape(height, rows, width, columns, -1)
    return blocks.mean((1, 3), dtype=np.float32).astype(np.uint8)


def draw_things(rng: np.random.Generator, weights: tuple[float, ...] = (0.4, 0.2, 0.2, 0.2)) -> int:
    """How many objects a scene gets: 1 to 4, by weight."""
    return 1 + int(rng.choice(len(weights), p=weights))


def label_map(scene: Scene, owner: Pixels) -> Pixels:
    """(side, side) uint8: the kind at every pixel, `NONE` beside the objects."""
    table = np.array([NONE, *(thing.kind for thing in scene.things)], np.uint8)
    return table[owner]


def patch_kinds(labels: Pixels) -> np.ndarray:
    """The kind that covers at least a sixth of each patch, the largest if several do.

    Args:
        labels: (84, 84) from `label_map`.

    Returns:
        (36,) int64; `NONE` where less than 5 % is covered, `IGNORE` in between.
    """
    blocks = labels.reshape(GRID, PATCH_SIZE, GRID, PATCH_SIZE).transpose(0, 2, 1, 3).reshape(GRID * GRID, -1)
    area = PATCH_SIZE * PATCH_SIZE
    result = np.full(GRID * GRID, NONE, np.int64)
    most = np.full(GRID * GRID, 0.05 * area)
    for kind in np.unique(labels).tolist():
        if kind != NONE:
            covered = (blocks == kind).sum(1)
            result = np.where(covered >= most, np.where(covered >= area / 6, kind, IGNORE), result)
            most = np.maximum(most, covered)
    return result


def soften(rng: np.random.Generator, image: Pixels) -> Pixels:
    """What video coding does to a picture: a slight blur, colours blurred more than light."""
    x = image.astype(np.float32)
    light = x.mean(2, keepdims=True)
    chroma = x - light
    chroma = (chroma + np.roll(chroma, 1, 0) + np.roll(chroma, 1, 1) + np.roll(chroma, (1, 1), (0, 1))) / 4
    if rng.random() < 0.5:
        light = 0.5 * light + 0.25 * (np.roll(light, 1, 1) + np.roll(light, -1, 0))
    return np.clip(light + chroma, 0, 255).astype(np.uint8)


def draw_tile(rng: np.random.Generator) -> tuple[Pixels, Pixels, np.ndarray, int]:
    """One tile: a scene, or a composite of scenes shrunk to a tile as stock packing does.

    Returns:
        (84, 84, 3) image, (84, 84) kinds, (36,) backgrounds, and the number of objects (0 for a composite).
    """
    if rng.random() < 0.75:
        scene = draw_scene(rng, things=draw_things(rng))
        image, owner = render(scene, draw_accidents(rng, len(scene.things)))
        if rng.random() < 0.3:
            image = soften(rng, image)
        return image, label_map(scene, owner), np.full(GRID * GRID, scene.background), len(scene.things)
    rows, columns = GRIDS[rng.choice(len(GRIDS), p=(0.5, 0.15, 0.15, 0.1, 0.1))]
    scenes = [draw_scene(rng, things=draw_things(rng, (0.75, 0.25))) for _ in range(rows * columns)]
    drawn = [render(scene, draw_accidents(rng, len(scene.things))) for scene in scenes]
    image = shrink(tiled([image for image, _ in drawn], columns), rows, columns)
    labels = tiled([label_map(scene, owner) for scene, (_, owner) in zip(scenes, drawn, strict=True)], columns)
    backgrounds = np.array([scene.background for scene in scenes]).reshape(rows, columns)
    spread = np.repeat(np.repeat(backgrounds, GRID // rows, 0), GRID // columns, 1)
    return image, labels[::rows, ::columns], spread.reshape(-1), 0


def tiled(images: list[Pixels], columns: int) -> Pixels:
    """Put equal images side by side, `columns` to a row."""
    rows = [np.concatenate(images[i : i + columns], 1) for i in range(0, len(images), columns)]
    return np.concatenate(rows, 0)


def tile_batch(seed: int, step: int, size: int) -> TileBatch:
    """The lesson of one step, a pure function of its arguments.

    Args:
        seed: Of the recipe.
        step: Which lesson.
        size: Tiles in it.

    Returns:
        The batch, on the CPU.
    """
    rng = np.random.default_rng((seed, 1, step))
    drawn = [draw_tile(rng) for _ in range(size)]
    contents = np.zeros((size, len(KINDS) + len(BACKGROUND_NAMES)), np.float32)
    for row, (_, labels, backgrounds, _) in zip(contents, drawn, strict=True):
        seen = np.unique(labels)
        row[seen[seen != NONE]] = 1
        row[len(KINDS) + np.unique(backgrounds)] = 1
    counts = np.array([count - 1 if count else IGNORE for *_, count in drawn])
    return {
        "images": torch.from_numpy(np.stack([image for image, *_ in drawn]).transpose(0, 3, 1, 2).copy()),
        "kinds": torch.from_numpy(np.stack([patch_kinds(labels) for _, labels, *_ in drawn])),
        "backgrounds": torch.from_numpy(np.stack([backgrounds for _, _, backgrounds, _ in drawn])),
        "contents": torch.from_numpy(contents),
        "counts": torch.from_numpy(counts),
    }


assert SIDE == GRID * PATCH_SIZE
