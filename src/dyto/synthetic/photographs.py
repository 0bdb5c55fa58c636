"""Films of photographs: pans and zooms over pictures, with hard cuts, whose truth is what the pictures show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from dyto.errors import ConfigError
from dyto.video import Frames

Picture: TypeAlias = npt.NDArray[np.uint8]

FPS = 10
SIZE = (270, 480)
"""Height and width of the films, pixels."""

NEEDLE = (0.6, 1.2)
"""How long a brief event lasts, seconds; other shots last as long as is left for them."""


@dataclass(frozen=True)
class PhotoShot:
    """A picture, filmed.

    Attributes:
        picture: Its number among the pictures of the film.
        start: First frame.
        stop: The frame after the last.
        boxes: Where the camera looks first and last: left, top, right, bottom, from 0 to 1.
        brief: Whether it is a brief event.
    """

    picture: int
    start: int
    stop: int
    boxes: tuple[tuple[float, float, float, float], tuple[float, float, float, float]]
    brief: bool


def plan(rng: np.random.Generator, pictures: int, seconds: float = 20.0, needle: bool = False) -> list[PhotoShot]:
    """Plan a film: each picture once, in their order.

    Args:
        rng: Where chance comes from.
        pictures: How many there are, at least 1.
        seconds: How long the film is.
        needle: Whether one of them, not the first, is a brief event; needs at least 2.

    Returns:
        The shots, one after another.

    Raises:
        ConfigError: Too few pictures, or no time for them.
    """
    if pictures < 1 + needle or seconds < pictures:
        raise ConfigError(f"{pictures} pictures in {seconds} s, expected at least {1 + needle}, and a second for each")
    brief = int(rng.integers(1, pictures)) if needle else -1
    weights = rng.uniform(0.6, 1.4, pictures)
    total = round(seconds * FPS)
    flash = round(rng.uniform(*NEEDLE) * FPS) if needle else 0
    weights[brief if needle else []] = 0
    lengths = np.maximum(1, np.floor(weights / weights.sum() * (total - flash))).astype(int)
    if needle:
        lengths[brief] = flash
    lengths[int(lengths.argmax())] += total - lengths.sum()
    stops = lengths.cumsum()
    return [
        PhotoShot(number, int(stop - length), int(stop), (_box(rng), _box(rng)), number == brief)
        for number, (length, stop) in enumerate(zip(lengths, stops, strict=True))
    ]


def _box(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Most of a picture, somewhere in it."""
    side = rng.uniform(0.72, 1.0)
    left, top = rng.uniform(0, 1 - side, 2)
    return float(left), float(top), float(left + side), float(top + side)


def film(pictures: Sequence[Picture], shots: Sequence[PhotoShot], size: tuple[int, int] = SIZE) -> Iterator[Picture]:
    """Yield the frames of a film, uint8 (H, W, 3), one after another.

    Args:
        pictures: (H, W, 3) each, of any size; a box keeps the aspect of the film, and what is beyond a picture's
            edge is its mean colour.
        shots: As `plan` makes them.
        size: Height and width of the frames.
    """
    for shot in shots:
        padded = _padded(pictures[shot.picture], size)
        for number in range(shot.start, shot.stop):
            way = (number - shot.start) / max(1, shot.stop - shot.start - 1)
            left, top, right, bottom = (a + (b - a) * way for a, b in zip(*shot.boxes, strict=True))
            box = (left * padded.width, top * padded.height, right * padded.width, bottom * padded.height)
            yield np.asarray(padded.resize(size[::-1], Image.Resampling.BILINEAR, box))


def _padded(picture: Picture, size: tuple[int, int]) -> Image.Image:
    """Put a picture in the middle of a background with the film's aspect."""
    height, width = picture.shape[:2]
    aspect = size[1] / size[0]
    whole = (max(width, round(height * aspect)), max(height, round(width / aspect)))
    ground = Image.new("RGB", whole, tuple(int(c) for c in picture.reshape(-1, 3).mean(0)))
    ground.paste(Image.fromarray(picture), ((whole[0] - width) // 2, (whole[1] - height) // 2))
    ground.thumbnail((2 * size[1], 2 * size[0]))
    return ground


def filmed(
    pictures: Sequence[Picture], shots: Sequence[PhotoShot], num_frames: int, size: tuple[int, int] = SIZE
) -> Frames:
    """Return some frames of a film, evenly spaced, without writing a file.

    Args:
        pictures: As `film` takes them.
        shots: Likewise.
        num_frames: How many.
        size: Height and width of the frames.
    """
    total = shots[-1].stop
    wanted = np.unique(np.linspace(0, total - 1, num_frames).round().astype(np.int64))
    chosen = set(wanted.tolist())
    data = np.stack([frame for number, frame in enumerate(film(pictures, shots, size)) if number in chosen])
    return Frames(data, wanted, wanted / FPS, source_size=size, total=total)
