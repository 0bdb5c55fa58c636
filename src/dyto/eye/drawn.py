"""Whether a video belongs to the drawn world that the model `tiny` was trained on, told from its pixels.

A drawing has one ground: its colour is the same along every row, changes evenly from top to bottom, and is one of five.
What stands on it is flat, too, and has one of six colours. Photographs fail one of these or several.
`python tools/bench/scripts/drawn.py` measures how often this is wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

GROUNDS = np.array([(14, 14, 14), (120, 120, 120), (115, 68, 30), (16, 22, 92), (0, 100, 105)], np.float32)
"""The grounds that the checkpoint was trained with, as in `dyto.synthetic.world`."""

PAINTS = np.array(
    [(215, 35, 35), (40, 175, 50), (50, 90, 245), (240, 220, 40), (185, 60, 215), (245, 245, 245)], np.float32
)
"""The colours of its shapes, likewise."""

SIDE, MOST_FRAMES = 84, 8
"""Side to which frames are shrunk, in pixels, and how many are looked at, evenly spread."""

NEAR = 10
"""Largest difference of a cell's colour from the ground's, 0 to 255: noise, and what coding adds."""

LEAST_GROUND, LEAST_FLAT, LEAST_PAINT = 0.68, 0.75, 0.3
"""Smallest shares of a drawing: of cells on the ground, of cells like their neighbours, and, of flat cells that are not
on the ground, of those in one of the colours. Measured, like the next two."""

OFF_GROUND, OFF_PAINT, STEP = 15, 22, 14
"""Largest differences from a colour of the world, and between neighbours that count as flat, 0 to 255."""

LEAST_FRAMES = 0.25
"""Smallest share of a video's frames that are drawings. The others may be fades, flashes and titles."""

FloatArray = npt.NDArray[np.floating[Any]]


def is_drawn(frames: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]) -> bool:
    """Return whether frames show the drawn world.

    Args:
        frames: T frames, (H, W, 3) uint8.

    Example:
        >>> gray = np.full((84, 84, 3), 120, np.uint8)
        >>> gray[20:50, 30:60] = (215, 35, 35)
        >>> is_drawn([gray]), is_drawn([np.random.default_rng(0).integers(0, 255, (84, 84, 3), dtype=np.uint8)])
        (True, False)
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).round().astype(int))
    wanted = max(1, math.ceil(LEAST_FRAMES * len(chosen)))
    drawings = (place for place in chosen if is_drawing(frames[place]))
    return len(list(itertools.islice(drawings, wanted))) == wanted  # no more frames are looked at than are needed


def is_drawing(frame: npt.NDArray[np.uint8]) -> bool:
    """Return whether one (H, W, 3) frame is a drawing."""
    small = frame
    if frame.shape[:2] != (SIDE, SIDE):
        small = np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    sums = small.astype(np.float32)
    sums = sums[::2] + sums[1::2]  # (42, 84, 3)
    cells: FloatArray = (sums[:, ::2] + sums[:, 1::2]) / 4  # (42, 42, 3)
    flat = flat_cells(cells)
    if flat.mean() <= LEAST_FLAT:  # most photographs end here, before the costlier fit
        return False
    ground = ground_of(cells)
    apart = np.abs(cells - ground[:, None]).max(2) >= NEAR  # (42, 42)
    if 1 - apart.mean() <= LEAST_GROUND or distance(ground.mean(0)[None], GROUNDS, 1.5)[0] >= OFF_GROUND:
        return False
    standing = cells[apart & flat]
    return bool(len(standing)) and bool((distance(standing, PAINTS, 1.3) < OFF_PAINT).mean() > LEAST_PAINT)


def ground_of(cells: FloatArray) -> FloatArray:
    """Fit a ground to (H, W, 3) cells, by least squares on the cells near to an estimate from medians: (H, 3)."""
    height, width = cells.shape[:2]
    place = np.linspace(-1, 1, height, dtype=np.float32)
    rows = np.median(cells, 1)  # (H, 3)
    top, bottom = np.median(rows[: height // 2], 0), np.median(rows[height // 2 :], 0)
    ground: FloatArray = (top + bottom) / 2 + (bottom - top) * place[:, None]
    for _ in range(2):
        near = np.abs(cells - ground[:, None]).max(2) < NEAR + 2
        if near.sum() < height:
            break
        at = np.broadcast_to(place[:, None], (height, width))[near]
        line = np.linalg.lstsq(np.stack([np.ones_like(at), at], 1), cells[near], rcond=None)[0]
        ground = line[0] + line[1] * place[:, None]
    return ground


def distance(colours: FloatArray, known: FloatArray, brightest: float) -> FloatArray:
    """Return how far (n, 3) colours are from the nearest known one, 0.6 to `brightest` times as bright: (n,)."""
    light = np.clip(colours @ known.T / (known**2).sum(1), 0.6, brightest)  # (n, K)
    nearest: FloatArray = np.abs(colours[:, None] - light[..., None] * known).max(2).min(1)
    return nearest


def flat_cells(cells: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which (H, W) cells have about the colour of their right and lower neighbours."""
    right = np.pad(np.abs(np.diff(cells, axis=1)).max(2), ((0, 0), (0, 1)))
    down = np.pad(np.abs(np.diff(cells, axis=0)).max(2), ((0, 1), (0, 0)))
    flat: npt.NDArray[np.bool_] = np.maximum(right, down) < STEP
    return flat
