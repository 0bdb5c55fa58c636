"""What a strategy is examined on: small films with known scenes, odd numbers and uneven times."""

from __future__ import annotations

import numpy as np

from dyto.models.base import VideoModel
from dyto.video import Frames

_NATIVE = 224


def film(model: VideoModel, count: int, *, seed: int, scenes: int = 5) -> Frames:
    """Frames of coloured scenes with a square that moves through each.

    Args:
        model: Whose size the frames have.
        count: Number of frames.
        seed: Another seed, another film.
        scenes: Scenes; 1 with no movement is a still.

    Returns:
        The frames, with numbers and times that are no plain count: a strategy that counts for itself is found out.
    """
    size = model.image_size
    if callable(size):
        size = size(_NATIVE, _NATIVE)
    height, width = (size, size) if isinstance(size, int) else size
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
    """The films of an examination, by name."""
    return {
        "24 frames of 5 scenes": film(model, 24, seed=1),
        "24 frames of 5 other scenes": film(model, 24, seed=2),
        "24 equal frames": film(model, 24, seed=3, scenes=1),
        "7 frames": film(model, 7, seed=4),
        "2 frames": film(model, 2, seed=5),
        "1 frame": film(model, 1, seed=6, scenes=1),
    }
