"""Reading animated pictures (WebP, PNG, AVIF) and multi-page documents (TIFF) picture by picture with Pillow.

Each picture builds on the previous one, so they are decoded in order, twice: once for the times, once for the pixels.
Only one is held in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dyto.errors import VideoError
from dyto.video.limits import Limits
from dyto.video.pictures import is_sequence, opened_picture, rgb
from dyto.video.sampling import FrameBuffer, FrameTimes, Request, TargetSize
from dyto.video.through import Decoded

AT_ONCE = 0.1
"""Seconds for a picture whose duration is 0, as in browsers."""


def read_animation(
    path: Path, request: Request, fit: TargetSize, allow_partial: bool, limits: Limits, page_seconds: float
) -> Decoded | None:
    """Read the requested pictures of an animation.

    Args:
        path: An image file.
        request: The pictures to read.
        fit: The size to keep them in.
        allow_partial: Accept the pictures before a broken one.
        limits: Limits of the file.
        page_seconds: Duration of a picture if the file does not say.

    Returns:
        The pictures and their times; None for a file with a single picture.

    Raises:
        VideoError: The file cannot be read, is broken or over a limit, or the clip is outside it.
    """
    with opened_picture(path, limits) as image:
        if not is_sequence(image):
            return None
        # The first picture of an animated PNG may be meant for programs without animation support.
        first, end = int(bool(getattr(image, "default_image", False))), getattr(image, "n_frames", 1)
    seconds: list[float] = []

    def time(image: Image.Image, _: int) -> None:
        shown = image.info.get("duration")
        seconds.append(page_seconds if shown is None else float(shown) / 1000 or AT_ONCE)

    warnings: tuple[str, ...] = ()
    try:
        _walk(path, range(first, end), limits, time)
    except VideoError as err:
        stop = f"{len(seconds)} of {end - first} pictures could be read ({err})"
        if not seconds or not allow_partial:
            raise VideoError(
                f"{path.name} is broken: {stop}, expected a whole file: get it again, or use what there is with "
                "allow_partial (--allow-partial)"
            ) from err
        warnings = (f"{path.name} is broken: only {stop}",)
    ends = np.cumsum(seconds)
    limits.check_duration(path.name, float(ends[-1]))
    timeline = FrameTimes(ends - seconds, float(ends[-1]))
    wanted, total = request.choose(timeline, path.name)
    buffer = FrameBuffer(wanted, fit, path.name)
    _walk(path, (wanted + first).tolist(), limits, lambda image, number: buffer.put(number - first, rgb(image)))
    return Decoded(buffer, timeline, total, warnings or request.notes(timeline))


def _walk(path: Path, numbers: list[int] | range, limits: Limits, look: Callable[[Image.Image, int], None]) -> None:
    """Visit some pictures of an animation, in order."""
    with opened_picture(path, limits) as image:
        for number in numbers:
            image.seek(number)
            limits.check_size(f"{path.name}, picture {number}", image.height, image.width)
            image.load()
            look(image, number)
