"""Conversion of decoded frames to RGB pixels with one plane a color, as a scaler takes them."""

from __future__ import annotations

import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p")
"""Formats for which FFmpeg converts to planes and to packed pixels by the same arithmetic."""

BLOCK = 16
"""Pixels that FFmpeg converts at once: it leaves what remains of a row unconverted."""


class PlanarConverter:
    """A converter of frames to RGB whose colors lie in planes: a view (H, W, 3) of memory (3, H, W).

    It gives exactly the pixels of `VideoFrame.to_ndarray`. The first frame is converted both ways: if this build of
    FFmpeg gives different ones, no frame is converted here.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._is_exact: bool | None = None

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8] | None:
        """Convert a frame, or return None for one that cannot be converted here."""
        if frame.format.name not in FORMATS or frame.height % 2 or self._is_exact is False:
            return None
        whole = frame if frame.width % BLOCK == 0 else _widened(frame)
        green, blue, red = self._reformatter.reformat(whole, format="gbrp").planes
        colors = np.empty((3, frame.height, frame.width), np.uint8)
        for color, plane in zip(colors, (red, green, blue), strict=True):
            color[...] = samples(plane)[:, : frame.width]
        pixels = colors.transpose(1, 2, 0)
        if self._is_exact is None:
            self._is_exact = np.array_equal(pixels, frame.to_ndarray(format="rgb24"))
        return pixels if self._is_exact else None


def samples(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return the bytes of a plane as a writable view, (height, bytes of a row with their padding)."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)


def _widened(frame: VideoFrame) -> VideoFrame:
    """Copy a frame into one whose width is a multiple of `BLOCK`."""
    wide = VideoFrame(-(-frame.width // BLOCK) * BLOCK, frame.height, frame.format.name)
    wide.colorspace, wide.color_range = frame.colorspace, frame.color_range
    for narrow_plane, wide_plane in zip(frame.planes, wide.planes, strict=True):
        samples(wide_plane)[:, : narrow_plane.width] = samples(narrow_plane)[:, : narrow_plane.width]
    return wide
