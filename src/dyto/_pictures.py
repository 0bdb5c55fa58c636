"""Reading chosen frames where every frame is a picture of its own: folders, lists, arrays."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dyto._sampling import Reel
from dyto.errors import VideoError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

_PILLOW_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, MemoryError, struct.error, Image.DecompressionBombError,
)  # fmt: skip

Picture = Image.Image | NDArray[np.uint8] | Path


def images_of(folder: Path) -> list[Path]:
    """The image files of a folder in natural order, frame2 before frame10.

    Raises:
        VideoError: the folder cannot be listed or holds no image.
    """
    try:
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as err:
        raise VideoError(f"{folder} cannot be listed: {err.strerror}: check its permissions") from err
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise VideoError(
            f"{folder} has {len(files)} files and no image, expected frames ({', '.join(IMAGE_SUFFIXES)}): "
            "give a folder of images or a video file"
        )
    return sorted(images, key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def readable(pictures: Sequence[Picture]) -> tuple[list[int], list[str]]:
    """Try every picture: the positions of those that can be read, and the errors of the others."""
    good: list[int] = []
    errors: list[str] = []
    for position, picture in enumerate(pictures):
        try:
            pixels_of(picture, position)
        except VideoError as err:
            errors.append(str(err))
        else:
            good.append(position)
    return good, errors


def check(pictures: Sequence[Picture]) -> None:
    """Look at the head of every image file: one that is none is told of even where it is not chosen."""
    for picture in pictures:
        if isinstance(picture, Path):
            with _telling(str(picture)), Image.open(picture):
                pass


def gather(pictures: Sequence[Picture], positions: Sequence[int], reel: Reel) -> None:
    """Put the pictures that the reel wants on it; `positions` says which picture each frame is."""
    for frame in sorted(reel.left):
        reel.put(frame, pixels_of(pictures[positions[frame]], positions[frame]))


def pixels_of(picture: Picture, position: int) -> NDArray[np.uint8]:
    """The RGB pixels of a picture, upright and without transparency.

    Args:
        picture: an image, the path of one, or a uint8 array (H, W, 3).
        position: its number, for the message.

    Returns:
        (H, W, 3) uint8.

    Raises:
        VideoError: it cannot be read, or is no such array.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
            raise VideoError(
                f"frame {position} is an array {picture.shape} of {picture.dtype}, expected RGB (H, W, 3) of "
                "uint8: scale floats by 255, round and convert, and move channels last"
            )
        return np.ascontiguousarray(picture)
    if isinstance(picture, Image.Image):
        with _telling(f"frame {position}"):
            return _rgb(picture)
    with _telling(str(picture)), Image.open(picture) as image:
        return _rgb(image)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises over a picture into one error that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata and of large pictures; far larger ones are errors
            yield
    except _PILLOW_ERRORS as err:
        reason = "not an image" if isinstance(err, UnidentifiedImageError) else " ".join(str(err).split())
        raise VideoError(f"{name} cannot be read: {reason}; expected an image: replace or remove it") from err


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits a pixel: keep the upper 8
        gray = (np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=-1)
    return np.array(upright.convert("RGB"))
