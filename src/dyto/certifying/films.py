"""Films for the examination: short, with known scenes, odd numbers and uneven times."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dyto.models.base import VideoModel
from dyto.video import Frames

_NATIVE = 224
_MOST_KEPT = 1 << 24
"""Bytes of films to keep for the next examination."""


def frame_size(model: VideoModel) -> tuple[int, int]:
    """Height and width of the frames that a model takes."""
    size = model.image_size
    if callable(size):
        size = size(_NATIVE, _NATIVE)
    return (size, size) if isinstance(size, int) else size


def film(model: VideoModel, count: int, *, seed: int, scenes: int = 5) -> Frames:
    """Draw frames of coloured scenes, with a square that moves through each.

    Args:
        model: The model, for the size of the frames.
        count: Number of frames.
        seed: Random seed of the film.
        scenes: Number of scenes; 1 without movement is a still.

    Returns:
        The frames, with irregular numbers and times, to detect strategies that count frames themselves.
    """
    height, width = frame_size(model)
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (scenes, 2, 3), dtype=np.uint8)
    pixels = np.empty((count, height, width, 3), np.uint8)
    side_y, side_x = max(1, height // 4), max(1, width // 4)
    for number in range(count):
        scene = number * scenes // count
        pixels[number] = colours[scene, 0]
        step = number if scenes > 1 else 0
        y, x = (step * 5) % max(1, height - side_y), (step * 7) % max(1, width - side_x)
        pixels[number, y : y + side_y, x : x + side_x] = colours[scene, 1]
    numbers = 11 + 3 * np.arange(count, dtype=np.int64) + (np.arange(count) % 3 == 2)
    seconds = numbers * 0.04 + 0.013 * np.sqrt(np.arange(count))
    total = int(numbers[-1]) + 5
    return Frames(pixels, numbers, seconds, source_size=(height, width), total=total)


def films(model: VideoModel) -> dict[str, Frames]:
    """Return the films of an examination, by name."""
    return {
        "24 frames of 5 scenes": film(model, 24, seed=1),
        "24 frames of 5 other scenes": film(model, 24, seed=2),
        "24 equal frames": film(model, 24, seed=3, scenes=1),
        "7 frames": film(model, 7, seed=4),
        "2 frames": film(model, 2, seed=5),
        "1 frame": film(model, 1, seed=6, scenes=1),
    }


def long_film(
    model: VideoModel,
    count: int,
    *,
    scenes: int,
    seed: int,
    changed: Collection[int] = (),
    order: Sequence[int] = (),
    noise: int = 0,
) -> Frames:
    """Draw a long film of equally long scenes: no two frames are equal, but those of one scene are similar.

    Args:
        model: The model, for the size of the frames.
        count: Number of frames.
        scenes: Number of scenes.
        seed: Random seed of the film.
        changed: Scenes to replace by others; all other frames, and all numbers and times, stay the same.
        order: Scenes in the order of time; empty for the default order.
        noise: Gray levels by which every pixel is changed at most, as a camera does.

    Returns:
        The frames, numbered as if they had been sampled evenly from a file.
    """
    size = frame_size(model)
    told = size, count, scenes, seed, frozenset(changed), tuple(order), noise
    pixels = _kept_pixels(*told).copy() if 3 * count * size[0] * size[1] <= _MOST_KEPT else _pixels(*told)
    numbers = 4 + 7 * np.arange(count, dtype=np.int64)
    return Frames(pixels, numbers, numbers / 25.0, source_size=size, total=int(numbers[-1]) + 4)


def _pixels(
    size: tuple[int, int],
    count: int,
    scenes: int,
    seed: int,
    changed: frozenset[int],
    order: tuple[int, ...],
    noise: int,
) -> npt.NDArray[np.uint8]:
    """Draw the pictures of a long film, (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    drawn = [[_Scene(rng) for _ in range(2)] for _ in range(scenes)]  # each with its replacement
    pixels = np.empty((count, *size, 3), np.uint8)
    for number in range(count):
        place, within = divmod(number * scenes, count)
        scene = order[place] if order else place
        pixels[number] = drawn[scene][scene in changed].picture(within / count, *size)
        if noise:
            grain = rng.integers(-noise, noise + 1, (*size, 3), np.int16)
            pixels[number] = np.clip(pixels[number] + grain, 0, 255).astype(np.uint8)
    return pixels


_kept_pixels = lru_cache(maxsize=16)(_pixels)


class _Scene:
    """A picture of six by six coloured fields, through which a square moves while the light changes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.fields = rng.integers(30, 200, (6, 6, 3))
        self.square = rng.integers(0, 256, 3)
        self.light = rng.integers(-10, 21, 3)
        self.start, self.way = rng.random(2), (rng.random(2) - 0.5) / 2

    def picture(self, share: float, height: int, width: int) -> npt.NDArray[np.uint8]:
        """Draw the picture at a given share of the scene."""
        fields = np.clip(self.fields + share * self.light, 0, 255).astype(np.uint8)
        pixels = fields[np.arange(height) * 6 // height][:, np.arange(width) * 6 // width]
        side_y, side_x = max(1, height // 5), max(1, width // 5)
        y, x = (np.clip(self.start + share * self.way, 0, 1) * (height - side_y, width - side_x)).astype(int)
        pixels[y : y + side_y, x : x + side_x] = self.square
        return np.asarray(pixels, np.uint8)
