"""Resizing pictures with FFmpeg's scaler, close to PIL's bicubic filter and in a fraction of its time.

FFmpeg's scaler computes PIL's filter if it is told the same cubic, goes first across and then down as PIL does, and
rounds in between. Only at the borders it repeats the outermost pixel, where PIL leaves the rest of the filter out:
these few rows and columns are computed here.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from av import VideoFormat, VideoFrame
from av.filter import Graph
from numpy.typing import NDArray

from dyto.video.planes import samples
from dyto.video.sampling import resized

SHARPNESS = 0.5
"""PIL's cubic has this slope, negative, where it ends."""

REACH = 2
"""Pixels that the cubic reaches to either side, of the larger of the two pictures."""

LEAST, MOST_SHRINK = 16, 16
"""Smallest side of a picture, and largest factor, for which FFmpeg's scaler is used."""


MOST_SIZES = 4
"""Number of sizes for which a scaler keeps what it has prepared: those of the frames and of their previews."""


class Scaler:
    """A resizer of pictures, to be used by one thread.

    Each level differs by at most two from that of `resized`, and few differ at all.

    Example:
        >>> noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
        >>> difference = Scaler()(noise, 48, 64).astype(int) - resized(noise, 48, 64)
        >>> bool(abs(difference).max() <= 2), bool((difference == 0).mean() > 0.9)
        (True, True)
    """

    def __init__(self) -> None:
        self._passes: dict[tuple[int, ...], _Passes] = {}

    def __call__(self, picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
        """Resize a picture (H, W, 3) to (height, width, 3); it is fastest if each color has a plane of its own."""
        sizes = (*picture.shape[:2], height, width)
        if sizes[:2] == sizes[2:] or not _suits(*sizes):
            return resized(picture, height, width)
        if sizes not in self._passes:
            if len(self._passes) == MOST_SIZES:
                self._passes.clear()
            self._passes[sizes] = _Passes(sizes)
        return self._passes[sizes].scale(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def _suits(full_height: int, full_width: int, height: int, width: int) -> bool:
    """Return whether FFmpeg's scaler is used: for sizes whose sides are not all border."""
    return all(
        min(full, kept) >= max(LEAST, 2 * _outer(full, kept)) and full <= MOST_SHRINK * kept
        for full, kept in ((full_height, height), (full_width, width))
    )


class _Passes:
    """Two passes of FFmpeg's scaler, across and down, for pictures of one size."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = full_height, full_width, height, width = sizes
        # Going across, the planes may lie below each other as one gray picture.
        self._across = _graph("gray", (3 * full_height, full_width), f"{width}:{3 * full_height}:flags=bicubic")
        self._down = _graph("yuv444p", (full_height, width), f"{width}:{height}:flags=bicubic+accurate_rnd")
        self._columns, self._rows = _Ends(full_width, width), _Ends(full_height, height)

    def scale(self, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize contiguous planes (3, H, W) to a picture (h, w, 3)."""
        full_height, full_width, height, width = self.sizes
        narrow = _through(self._across, VideoFrame.from_numpy_buffer(colors.reshape(-1, full_width), format="gray"))
        planes = samples(narrow.planes[0])[:, :width].reshape(3, full_height, width)
        self._columns.compute(colors, planes)
        tall = VideoFrame(width, full_height, "yuv444p")
        for plane, color in zip(tall.planes, planes, strict=True):
            samples(plane)[:, :width] = color
        picture = np.empty((height, width, 3), np.uint8)
        for number, plane in enumerate(_through(self._down, tall).planes):
            picture[:, :, number] = samples(plane)[:, :width]
        self._rows.compute(planes.swapaxes(1, 2), picture.transpose(2, 1, 0))
        return picture


class _Ends:
    """The first and last pixels of resized lines, computed as PIL does."""

    def __init__(self, full: int, kept: int) -> None:
        self.count = _outer(full, kept)
        step = full / kept
        reach = REACH * max(step, 1)
        self._seen = min(full, math.ceil((self.count - 0.5) * step + reach))
        centers = (np.arange(self.count) + 0.5) * step  # (k,)
        away = np.abs(np.arange(self._seen)[:, None] + 0.5 - centers) * REACH / reach  # (n, k)
        weights = _cubic(away)
        self._weights = (weights / weights.sum(0)).astype(np.float32)

    def compute(self, lines: NDArray[np.uint8], resized_lines: NDArray[np.uint8]) -> None:
        """Overwrite the ends of resized lines (3, L, kept), given the lines (3, L, full)."""
        for here, there in ((lines, resized_lines), (lines[:, :, ::-1], resized_lines[:, :, ::-1])):
            levels = here[:, :, : self._seen].astype(np.float32) @ self._weights  # (3, L, k)
            there[:, :, : self.count] = np.clip(levels + 0.5, 0, 255)


def _outer(full: int, kept: int) -> int:
    """Return how many pixels at an end of a resized line lie so near it that the filter reaches beyond the line."""
    step = full / kept
    return math.ceil(REACH * max(step, 1) / step - 0.5)


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the cubic at distances of 0 or more."""
    near = ((2 - SHARPNESS) * x - (3 - SHARPNESS)) * x * x + 1
    far = -SHARPNESS * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < REACH, far, 0.0))


def _graph(layout: str, full: tuple[int, int], scale: str) -> Graph:
    """Make a graph that resizes frames of one format and (height, width)."""
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=full[1], height=full[0], format=VideoFormat(layout), time_base=Fraction(1))
    scaler = graph.add("scale", f"{scale}:param0=0:param1={SHARPNESS}")
    source.link_to(scaler)
    scaler.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _through(graph: Graph, frame: VideoFrame) -> VideoFrame:
    graph.push(frame)
    done = graph.pull()
    assert isinstance(done, VideoFrame)
    return done
