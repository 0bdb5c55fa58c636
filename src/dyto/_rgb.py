"""Decoded frames on their way into a reel: upright RGB pixels, made once for frames that repeat one another."""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dyto._sampling import Reel

SAMPLE_BYTES = {
    **dict.fromkeys(("gray", *(f"yuv{j}{n}p" for j in ("", "j") for n in (420, 422, 444))), 1),
    **dict.fromkeys((f"yuv{n}p{bits}le" for n in (420, 422, 444) for bits in (10, 12)), 2),
}
"""Formats with a plane for each component, and the bytes of a sample: what pads a row is not a part of the picture."""

SPARSE = 16
"""Pictures that differ mostly do so in every so many rows already."""

RECENT = 4
"""So many different pictures are remembered: a codec refines a still picture, and shows older ones in between."""

_KEPT = ("width", "height", "rotation", "colorspace", "color_range", "color_primaries", "color_trc")


class Filler:
    """Puts decoded frames into a reel as upright RGB pixels, as stored: a non-square pixel stays one pixel.

    Args:
        reel: Where to.
        repeats: A frame that is, bit for bit, one of the last ones is neither converted nor resized again.
    """

    def __init__(self, reel: Reel, repeats: bool) -> None:
        self.reel = reel
        self.repeats = repeats
        self._reformatter = VideoReformatter()
        self._recent: list[tuple[int, av.VideoFrame]] = []  # the latest at the end

    def put(self, number: int, frame: av.VideoFrame) -> None:
        """Put a frame in its place.

        Args:
            number: Its position in the video.
            frame: As it was decoded.
        """
        same = next((known for known in reversed(self._recent) if equal(known[1], frame)), None)
        if same:
            self.reel.repeat(number, same[0])
            self._recent.remove(same)
        else:
            pixels = self._reformatter.reformat(frame, format="rgb24").to_ndarray()  # (H, W, 3)
            self.reel.put(number, np.ascontiguousarray(np.rot90(pixels, frame.rotation // 90)))
        if self.repeats:
            self._recent = [*self._recent[1 - RECENT :], (number, frame)]


def equal(one: av.VideoFrame, other: av.VideoFrame) -> bool:
    """Whether two frames are the same picture, bit for bit; a format whose padding is not known counts as different."""
    name = one.format.name
    if name not in SAMPLE_BYTES or name != other.format.name:
        return False
    if any(getattr(one, key, None) != getattr(other, key, None) for key in _KEPT):
        return False
    size = SAMPLE_BYTES[name]
    planes = [(_samples(a, size), _samples(b, size)) for a, b in zip(one.planes, other.planes, strict=True)]
    sparse = ((a[::SPARSE], b[::SPARSE]) for a, b in planes)
    return all(starmap(np.array_equal, sparse)) and all(starmap(np.array_equal, planes))


def _samples(plane: VideoPlane, size: int) -> NDArray[np.uint8]:
    """The bytes of a plane without its padding, (height, width * size)."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width * size]
