"""An eye without weights, which compares pictures by their pixels: thumbnails, colours and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

SIDE = 32
"""Side of the square to which every picture is shrunk first, in pixels."""

CELLS, DIRECTIONS, SHADES = 4, 8, 4
"""Cells a side for gradients, directions of a gradient, and shades of each colour."""

WEIGHTS = (1.0, 1.0, 0.5)
"""Weights of the thumbnail, the colours and the gradients; each part has length 1 before."""

FloatArray = npt.NDArray[np.floating[Any]]


class PixelEye:
    """The eye `pixels`: what a picture looks like from afar, the colours it has, and where its edges run.

    It knows nothing of things, so a moving camera is a new scene to it, and two rooms of the same colours are one.

    Attributes:
        name: "pixels".

    Example:
        >>> red, blue = np.full((48, 64, 3), (200, 0, 0), np.uint8), np.full((48, 64, 3), (0, 0, 200), np.uint8)
        >>> x = torch.nn.functional.normalize(PixelEye().summaries([red, red // 2 * 2, blue]), dim=1)
        >>> [f"{cosine:.1f}" for cosine in (x @ x.T)[0]]
        ['1.0', '1.0', '-0.2']
    """

    name = "pixels"

    def summaries(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """See `Eye.summaries`."""
        return torch.from_numpy(np.stack([described(picture) for picture in pictures]).astype(np.float32))


def described(picture: npt.NDArray[np.uint8]) -> FloatArray:
    """Return (D,) numbers for an (H, W, 3) picture."""
    small = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / np.float32(
        255
    )
    parts = (thumbnail(small), colours(small), gradients(small))
    return np.concatenate([weight * _unit(part) for weight, part in zip(WEIGHTS, parts, strict=True)])


def thumbnail(small: FloatArray) -> FloatArray:
    """Return an 8 x 8 picture of brightness and two colour differences, around medium grey: (192,)."""
    step = SIDE // 8
    cells = small.reshape(8, step, 8, step, 3).mean((1, 3)) - 0.5
    red, green, blue = cells[..., 0], cells[..., 1], cells[..., 2]
    return np.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], -1).ravel()


def colours(small: FloatArray) -> FloatArray:
    """Return the square roots of the shares of 4 x 4 x 4 colours, each pixel shared among the nearest: (64,)."""
    place = small.reshape(-1, 3) * (SHADES - 1)
    low = np.minimum(place.astype(np.int64), SHADES - 2)
    above = place - low
    shares = np.zeros(SHADES**3, np.float64)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, above, 1 - above), 1)
        index = np.ravel_multi_index(tuple((low + corner).T), (SHADES,) * 3)
        shares += np.bincount(index, weight, SHADES**3)
    return np.sqrt(shares / len(place)).astype(np.float32)


def gradients(small: FloatArray) -> FloatArray:
    """Return how strong edges of each direction are in each cell: (128,)."""
    down, right = np.gradient(small.mean(2))
    strength = np.hypot(down, right)
    direction = np.floor((np.arctan2(down, right) / (2 * np.pi) % 1) * DIRECTIONS).astype(np.int64) % DIRECTIONS
    cell = np.arange(SIDE) // (SIDE // CELLS)
    index = (cell[:, None] * CELLS + cell[None]) * DIRECTIONS + direction
    return np.bincount(index.ravel(), strength.ravel(), CELLS * CELLS * DIRECTIONS).astype(np.float32)


def _unit(part: FloatArray) -> FloatArray:
    return part / max(float(np.linalg.norm(part)), 1e-2)
