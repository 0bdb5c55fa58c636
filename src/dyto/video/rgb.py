"""Conversion of decoded frames to upright RGB pixels in a buffer; repeated frames are converted once."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from dyto.video.planes import PlanarConverter
from dyto.video.scaling import Scaler

if TYPE_CHECKING:
    from dyto.savings import Savings
    from dyto.video.sampling import FrameBuffer, TargetSize

_LATER = ("color_primaries", "color_trc")  # older versions of PyAV do not define it

SAMPLE_BYTES = {
    **dict.fromkeys(("gray", *(f"yuv{j}{n}p" for j in ("", "j") for n in (420, 422, 444))), 1),
    **dict.fromkeys((f"yuv{n}p{bits}le" for n in (420, 422, 444) for bits in (10, 12)), 2),
}
"""Formats with one plane per component, and their bytes per sample, to tell row padding from the picture."""

ROWS = 8
"""Number of rows to compare first; different pictures usually differ in one of them."""

AT_HAND = 16 << 20
"""Bytes; the C library uses at most twice this size as a hint."""

LARGE = 16_000_000
"""Pixels above which FFmpeg's scaler shrinks a picture on its way to RGB, if it is kept smaller anyway."""

RECENT = 4
"""Number of different pictures to remember: a codec refines a still picture and shows older ones in between."""


class Filler:
    """A writer of decoded frames into a buffer, as upright RGB pixels; a non-square pixel stays one pixel.

    Args:
        buffer: The buffer to fill.
        savings: With `repeats`, do not convert or resize a frame again if it is bit for bit equal to one of the last
            frames; with `quick_resize`, resize it with FFmpeg's scaler.
        matrix: Display matrix of the pictures. (It is not read from each frame: once PyAV has read a frame's side
            data, the frame lives until the garbage collector runs, and decoders that leave damaged parts of a picture
            undecoded show what was in that memory before.)
    """

    def __init__(self, buffer: FrameBuffer, savings: Savings, matrix: Matrix | None) -> None:
        self.buffer = buffer
        self.repeats = savings.repeats
        self._resize = Scaler() if savings.quick_resize else None
        self._planar = PlanarConverter()
        self._matrix = matrix
        self._reformatter = VideoReformatter()
        # Freeing it makes the C library keep memory of up to twice its size for the next picture. Otherwise each
        # picture's memory is returned and faulted in again page by page, which takes a quarter of the time.
        np.empty(AT_HAND, np.uint8)
        self._recent: list[tuple[int, FrameContent]] = []  # the latest is last

    def put(self, number: int, frame: av.VideoFrame) -> None:
        """Put a frame in its place.

        Args:
            number: Position of the frame in the video.
            frame: The decoded frame.
        """
        shown = FrameContent.of(frame) if self.repeats else None
        same = next((known for known in reversed(self._recent) if known[1].equals(shown)), None) if shown else None
        if same:
            self.buffer.repeat(number, same[0])
            self._recent.remove(same)
            self._recent.append((number, same[1]))
        else:
            pixels, shape = self._rgb(frame)
            if angle := slant(self._matrix):
                self.buffer.notes.add(
                    f"the display matrix rotates the pictures by {angle:.0f} degrees: they are rotated to the nearest "
                    "quarter turn instead"
                )
            self.buffer.turns |= {frame.rotation} - {0}
            if len(self.buffer.turns) > 1:
                self.buffer.notes.add("the pictures have different display matrices: all are rotated like the first")
            self.buffer.put(number, upright(pixels, self._matrix), shape, self._resize)
        if shown and not same:
            # Until some rows are seen again, there is no still picture whose copy would be worth its time.
            is_still = any(known.kind == shown.kind for _, known in self._recent)
            oldest = self._recent.pop(0)[1] if len(self._recent) == RECENT else None
            self._recent.append((number, shown.kept(oldest) if is_still else FrameContent([], shown.kind)))

    def _rgb(self, frame: av.VideoFrame) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """Convert a frame to RGB, shrunk by a whole factor if it is large: (H / k, W / k, 3), and upright (H, W)."""
        shape = _upright_shape(frame, self._matrix)
        if self._resize and self.buffer.fit.shape(*shape) != shape and frame.width * frame.height <= LARGE:
            pixels = self._planar(frame)
            if pixels is not None:
                return pixels, shape
        return to_rgb(frame, self._reformatter, self._matrix, self.buffer.fit)


def to_rgb(
    frame: av.VideoFrame, reformatter: VideoReformatter, matrix: Matrix | None, fit: TargetSize
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Convert a frame to RGB, shrunk by a whole factor if it is large: (H / k, W / k, 3), and upright (H, W).

    Args:
        frame: The decoded frame.
        reformatter: What converts it.
        matrix: Its display matrix; the pixels are not turned yet.
        fit: The size in which it will be kept.
    """
    shape = _upright_shape(frame, matrix)
    factor = min(math.ceil(math.sqrt(frame.width * frame.height / LARGE)), fit.shrinks(*shape))
    how: Any = {}
    if factor > 1:
        how = {"width": frame.width // factor, "height": frame.height // factor, "interpolation": "AREA"}
    pixels: Any = reformatter.reformat(frame, format="rgb24", **how).to_ndarray()
    return pixels, shape


def _upright_shape(frame: av.VideoFrame, matrix: Matrix | None) -> tuple[int, int]:
    return (frame.width, frame.height) if quarter_turned(matrix) else (frame.height, frame.width)


@dataclass(frozen=True, eq=False)
class FrameContent:
    """The content of a frame, for comparison with another frame.

    Attributes:
        planes: The samples of each plane without padding, (height, bytes of a row); empty if only its kind is known.
        kind: Everything else that determines the pixels, and the bytes of a few rows.
    """

    planes: list[NDArray[np.uint8]]
    kind: tuple[object, ...]

    @classmethod
    def of(cls, frame: av.VideoFrame) -> FrameContent | None:
        """Return the content of a frame, or None for a format with unknown padding."""
        size = SAMPLE_BYTES.get(frame.format.name)
        if size is None:
            return None
        planes = [_samples(plane, size) for plane in frame.planes]
        some = planes[0][:: len(planes[0]) // ROWS + 1].tobytes()
        color = (frame.colorspace, frame.color_range, *(getattr(frame, key, None) for key in _LATER))
        return cls(planes, (frame.format.name, frame.width, frame.height, *color, some))

    def kept(self, instead: FrameContent | None) -> FrameContent:
        """Copy the content into its own memory, reusing the memory of another content if it fits.

        A decoder may leave damaged parts of a picture with old memory content, so its own memory is not held.
        """
        if instead is None or [plane.shape for plane in instead.planes] != [plane.shape for plane in self.planes]:
            return FrameContent([plane.copy() for plane in self.planes], self.kind)
        for mine, other in zip(self.planes, instead.planes, strict=True):
            np.copyto(other, mine)
        return FrameContent(instead.planes, self.kind)

    def equals(self, other: FrameContent) -> bool:
        """Return whether both are known to be the same picture, bit for bit."""
        return self.kind == other.kind and bool(self.planes) and all(map(np.array_equal, self.planes, other.planes))


Matrix = tuple[float, float, float, float]
"""Display matrix (a, b, c, d): the picture's width runs along (a, b) and its height along (c, d), right and down."""


def matrix_of(frame: av.VideoFrame) -> Matrix | None:
    """Return the display matrix of a frame, or None if it has none."""
    # `frame.side_data` would create a reference cycle, so the frame's memory would be freed at a random time. The
    # undecoded parts of a damaged picture show old memory content and would then be random too.
    sides = SideDataContainer(frame)  # type: ignore[call-arg]  # its stub does not know of it
    if "DISPLAYMATRIX" not in {side.type.name for side in sides}:
        return None
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(sides["DISPLAYMATRIX"]))
    return a, b, c, d


def upright(pixels: NDArray[np.uint8], matrix: Matrix | None) -> NDArray[np.uint8]:
    """Turn a picture upright by its display matrix: a view (H, W, 3), or (W, H, 3) after a quarter turn.

    All eight orientations are supported, including mirrored ones. A matrix between two of them counts as the nearer
    one; sizes do not change.

    Example:
        >>> left, right = np.array([[[255] * 3, [0] * 3]], np.uint8), (-1, 0, 0, 1)
        >>> upright(left, right)[0, :, 0].tolist()
        [0, 255]
    """
    if matrix is None or not any(matrix):
        return pixels
    a, b, c, d = matrix
    if quarter_turned(matrix):
        pixels, across, down = pixels.swapaxes(0, 1), c, b
    else:
        across, down = a, d
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def quarter_turned(matrix: Matrix | None) -> bool:
    """Return whether a display matrix exchanges width and height.

    Example:
        >>> quarter_turned((0, 1, -1, 0)), quarter_turned((-1, 0, 0, -1)), quarter_turned(None)
        (True, False, False)
    """
    return matrix is not None and math.hypot(matrix[0], matrix[3]) < math.hypot(matrix[1], matrix[2])


def slant(matrix: Matrix | None) -> float:
    """Return the angle of a display matrix in degrees, or 0 if it is within one degree of a quarter turn."""
    if matrix is None or not any(matrix[:2]):
        return 0.0
    angle = math.degrees(math.atan2(matrix[1], matrix[0]))
    return angle % 360 if abs(angle - 90 * round(angle / 90)) >= 1 else 0.0


def _samples(plane: VideoPlane, size: int) -> NDArray[np.uint8]:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width * size]
