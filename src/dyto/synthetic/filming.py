"""Long films to pixels: any frame by itself, so that an hour costs what is sampled of it; or all, to a video file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dyto.synthetic.films import SIDE, Shot, scene_at
from dyto.synthetic.long_films import LongFilm
from dyto.synthetic.render import Pixels, draw_grain, render
from dyto.synthetic.videos import write_video
from dyto.video import Frames
from dyto.video.sampling import FrameTimes, Request


def frame_of(film: LongFilm, number: int, side: int = SIDE) -> Pixels:
    """Draw one frame.

    Args:
        film: The film.
        number: Of the frame, from 0 on.
        side: Of the picture in pixels.

    Returns:
        (side, side, 3) uint8 RGB; the same whichever frames were drawn before.

    Example:
        >>> from dyto.synthetic.long_films import draw_long_film
        >>> frame_of(draw_long_film(np.random.default_rng(0), "plain", 20), 7, side=84).shape
        (84, 84, 3)
    """
    seconds, camera = number / film.fps, film.camera
    for start, end, level in camera.flashes:
        if start <= seconds < end:
            return np.full((side, side, 3), level, np.uint8)
    place = int(np.searchsorted([shot.end for shot in film.shots], number, side="right"))
    shot = film.shots[place]
    picture = _shot_at(film, shot, number, side)
    if number - shot.start < shot.fade:
        part = (number - shot.start + 1) / (shot.fade + 1)
        before = film.shots[place - 1]
        picture = _between(film, before, shot, picture, part, side)
    if camera.subtitle is not None:
        picture = _subtitled(picture, int(seconds / camera.subtitle), film.seed)
    return picture if camera.quality is None else _coded(picture, camera.quality)


def _shot_at(film: LongFilm, shot: Shot, number: int, side: int) -> Pixels:
    """Return a frame of a shot, with its light and its grain."""
    rng = np.random.default_rng((film.seed, number))
    wave = np.sin(2 * np.pi * number / film.fps / film.camera.period)
    light = shot.accidents.light * (1 + film.camera.swing * float(wave))
    accidents = shot.accidents._replace(light=light, grain=draw_grain(rng, side))
    return render(scene_at(shot, number), accidents, side)[0]


def _between(film: LongFilm, before: Shot, shot: Shot, picture: Pixels, part: float, side: int) -> Pixels:
    """Return a frame of a fade: through black in films with flashes, else from one scene into the next."""
    if film.regime == "flashes":
        if part > 0.5:
            return (picture * (2 * part - 1)).astype(np.uint8)
        return (_shot_at(film, before, before.end - 1, side) * (1 - 2 * part)).astype(np.uint8)
    return (_shot_at(film, before, before.end - 1, side) * (1 - part) + picture * part).astype(np.uint8)


def _subtitled(picture: Pixels, number: int, seed: int) -> Pixels:
    """Two lines of strokes at the bottom, others for every subtitle; every fourth time there is none."""
    rng = np.random.default_rng((seed, 9, number))
    if rng.random() < 0.25:
        return picture
    side = len(picture)
    shown, high = picture.copy(), max(3, side // 20)
    for line in range(int(rng.integers(1, 3))):
        top = side - (line + 1) * (high + 2) - 2
        left = int(rng.integers(side // 10, side // 4))
        while left < side - side // 10:
            wide = int(rng.integers(2, 4))
            shown[top : top + high, left : left + wide] = 250
            left += wide + int(rng.integers(1, 5))
    return shown


def _coded(picture: Pixels, quality: int) -> Pixels:
    """Return the picture after poor coding."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def sample_long_film(
    film: LongFilm, num_frames: int | None = None, fps: float | str | None = None, side: int = SIDE
) -> Frames:
    """Draw the frames that `sample_frames` would take of the video, and no others.

    Args:
        film: The film.
        num_frames: How many, evenly spread; None for 100, or for as many as `fps` gives.
        fps: Frames per second, instead.
        side: Of the pictures in pixels.

    Returns:
        The frames with their numbers and seconds.

    Raises:
        ConfigError: Both are given, or a number below what makes sense.

    Example:
        >>> from dyto.synthetic.long_films import draw_long_film
        >>> film = draw_long_film(np.random.default_rng(0), "watching", 3600)
        >>> len(sample_long_film(film, num_frames=20, side=84))
        20
    """
    times = np.arange(film.num_frames) / film.fps
    timeline = FrameTimes(times, film.num_frames / film.fps)
    numbers, _ = Request(num_frames=num_frames, fps=fps).choose(timeline, f"a film of {film.regime}")
    data = np.stack([frame_of(film, int(number), side) for number in numbers])
    return Frames(data, numbers, times[numbers], source_size=(side, side))


def all_frames(film: LongFilm, side: int = SIDE) -> Iterator[Pixels]:
    """Draw every frame: a minute of computing for a minute or two of film."""
    return (frame_of(film, number, side) for number in range(film.num_frames))


def write_long_film(path: Path, film: LongFilm) -> None:
    """Write a film as a video file, as `write_video` does."""
    write_video(path, all_frames(film), film.fps)
