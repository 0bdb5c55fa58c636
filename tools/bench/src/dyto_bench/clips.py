"""The default clip: a film of the synthetic world in the size of an ordinary video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from dyto.synthetic.films import Film, draw_film, draw_frames
from dyto.synthetic.render import Pixels
from dyto.synthetic.videos import write_video

FPS = 30
SECONDS = 30.0
SIZE = (480, 848)


def draw_clip(path: Path, *, seconds: float = SECONDS, size: tuple[int, int] = SIZE, seed: int = 0) -> Film:
    """Write a film of four to eight scenes with motion and noise, 30 frames a second, as H.264.

    Args:
        path: The MP4 file to write.
        seconds: Approximate length.
        size: (height, width) in pixels, even; the square world is stretched to it.
        seed: Seed of the film.

    Returns:
        The film.
    """
    rng = np.random.default_rng((seed, 8))
    film = stretch(draw_film(rng, "mixed"), seconds)
    write_video(path, enlarged(draw_frames(film, int(rng.integers(1 << 31))), size), film.fps)
    return film


def stretch(film: Film, seconds: float) -> Film:
    """Return a film of another length at 30 frames a second, with the same scenes, slower or faster.

    Example:
        >>> import numpy as np
        >>> film = draw_film(np.random.default_rng(0), "mixed")
        >>> stretch(film, 30).num_frames
        900
    """
    factor = seconds * FPS / film.num_frames
    shots = []
    for shot in film.shots:
        speeds = tuple((x / factor, y / factor) for x, y in shot.speeds)
        start, end = round(shot.start * factor), round(shot.end * factor)
        drift = (shot.drift[0] / factor, shot.drift[1] / factor)
        shots.append(replace(shot, start=start, end=end, speeds=speeds, drift=drift, fade=round(shot.fade * factor)))
    return replace(film, shots=tuple(shots), fps=FPS)


def enlarged(frames: Iterator[Pixels], size: tuple[int, int]) -> Iterator[Pixels]:
    """Resize frames, bilinear, without keeping the aspect ratio."""
    for frame in frames:
        yield np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR))
