"""Reading chosen frames from separate pictures: folders, lists, arrays.

A picture is recognised by the beginning of its file, not by its name. Transparency is dropped, as models' image
processors do.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dyto.errors import DytoError, VideoError
from dyto.system.order import natural
from dyto.video.limits import Limits
from dyto.video.sampling import FrameBuffer

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")
BRANDS = (b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"hevc", b"heim", b"heis")
_PILLOW_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, MemoryError, struct.error, Image.DecompressionBombError,
    TypeError, RuntimeError, LookupError, AttributeError, ArithmeticError, AssertionError, SystemError,
)  # fmt: skip

logging.getLogger("PIL").addHandler(logging.NullHandler())  # we report damage in our own errors

Picture = Image.Image | NDArray[np.uint8] | Path


def is_picture(path: Path) -> bool:
    """Return whether a file begins like a picture, still or animated; GIF is left to FFmpeg."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(STARTS):
        return not head.startswith(b"\xff\xd8") or not _is_chain(path)
    netpbm = head[:1] == b"P" and head[1:2] in b"1234567fF" and head[2:3].isspace()
    return netpbm or (head[:4], head[8:12]) == (b"RIFF", b"WEBP") or (head[4:8] == b"ftyp" and head[8:12] in BRANDS)


def _is_chain(path: Path) -> bool:
    """Return whether a file is a sequence of JPEGs (mjpeg), but not several views of one moment (MPO)."""
    before = b""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            if b"MPF\0" in before + piece:
                return False
            if b"\xff\xd9\xff\xd8\xff" in before + piece:
                return True
            before = piece[-4:]
    return path.suffix.lower() in (".mjpeg", ".mjpg")


def images_of(folder: Path) -> tuple[list[Path], list[str]]:
    """List the image files of a folder in natural order, frame2 before frame10.

    Returns:
        The files, and notes about names that lead to no file.

    Raises:
        VideoError: The folder cannot be listed or has no image.
    """
    files = listed(folder)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    lost = sorted(path.name for path in images if not path.is_file())
    images = [path for path in images if path.is_file()]
    if not images:
        raise VideoError(
            f"{folder} has {len(files)} files and no image, expected frames ({', '.join(IMAGE_SUFFIXES)}): "
            "give a folder of images or a video file"
        )
    notes = [f"{len(lost)} names in {folder} lead to no file and are skipped, the first is {lost[0]}"] if lost else []
    return in_order(images), notes


def listed(folder: Path) -> list[Path]:
    """List the files of a folder that are not hidden, in no order.

    Raises:
        VideoError: The folder cannot be listed.
    """
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir()]
    except OSError as err:
        raise VideoError(f"{folder} cannot be listed: {err.strerror}: check its permissions") from err


def in_order(files: Sequence[Path]) -> list[Path]:
    """Return files in the natural order of their names.

    Example:
        >>> [path.name for path in in_order([Path("frame10.png"), Path("frame2.png")])]
        ['frame2.png', 'frame10.png']
    """
    return sorted(files, key=lambda path: natural(path.name))


def readable(pictures: Sequence[Picture], limits: Limits) -> tuple[list[int], list[str]]:
    """Try every picture; return the positions of the readable ones and the errors of the others."""
    good: list[int] = []
    errors: list[str] = []
    for position, picture in enumerate(pictures):
        try:
            pixels_of(picture, position, limits)
        except VideoError as err:
            errors.append(str(err))
        else:
            good.append(position)
    return good, errors


def check(pictures: Sequence[Picture], limits: Limits) -> list[str]:
    """Check the header of every image file, including files that are not chosen.

    Returns:
        Notes about files with several pictures, of which only the first is used.
    """
    several = []
    for picture in pictures:
        if isinstance(picture, Path):
            with opened_picture(picture, limits) as image:
                if is_sequence(image):
                    several.append(picture.name)
    if not several:
        return []
    return [f"{len(several)} files hold several pictures, and only the first is used: {several[0]} is one of them"]


def is_sequence(image: Image.Image) -> bool:
    """Return whether an image file is a sequence of pictures; MPO, which holds several views of one moment, is not."""
    return getattr(image, "n_frames", 1) > 1 and image.format != "MPO"


def gather(pictures: Sequence[Picture], positions: Sequence[int], buffer: FrameBuffer, limits: Limits) -> None:
    """Put the pictures that the buffer wants into it; `positions` gives the picture of each frame."""
    for frame in sorted(buffer.left):
        buffer.put(frame, pixels_of(pictures[positions[frame]], positions[frame], limits))


def pixels_of(picture: Picture, position: int, limits: Limits) -> NDArray[np.uint8]:
    """Return the RGB pixels of a picture, upright and without transparency.

    Args:
        picture: An image, the path of one, or a uint8 array (H, W, 3).
        position: Number of the picture, for the message.
        limits: Limits of a file.

    Returns:
        (H, W, 3) uint8.

    Raises:
        VideoError: The picture cannot be read, or the array has a wrong shape or dtype.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
            raise VideoError(
                f"frame {position} is an array {picture.shape} of {picture.dtype}, expected RGB (H, W, 3) of "
                "uint8: scale floats by 255, round and convert, and move channels last"
            )
        return np.ascontiguousarray(picture)
    if isinstance(picture, Image.Image):
        with telling(f"frame {position}"):
            return rgb(picture)
    with opened_picture(picture, limits) as image:
        return rgb(image)


@contextmanager
def opened_picture(path: Path, limits: Limits) -> Iterator[Image.Image]:
    """Open an image file without decoding pixels.

    Raises:
        VideoError: The file is not an image, is damaged or over a limit; raised on opening or while reading.
    """
    if Image.MAX_IMAGE_PIXELS is not None and limits.pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limits.pixels  # Pillow has its own, process-wide limit
    with telling(str(path)), Image.open(path) as image:
        limits.check_size(str(path), image.height, image.width)
        yield image


@contextmanager
def telling(name: str) -> Iterator[None]:
    """Turn any error that Pillow raises about a picture into one error that names the picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and sizes below the limits
            yield
    except DytoError:
        raise
    except _PILLOW_ERRORS as err:  # decoders can raise anything on a damaged file
        reason = "not an image" if isinstance(err, UnidentifiedImageError) else " ".join(str(err).split())
        raise VideoError(f"{name} cannot be read: {reason}; expected an image: replace or remove it") from err


def rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an open picture, (H, W, 3) uint8, upright by its EXIF data."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits a pixel: keep the upper 8
        gray = (np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=-1)
    return np.array(upright.convert("RGB"))
