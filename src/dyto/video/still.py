"""Still stretches of a video, found from the sizes of packets and the intra frames around them.

A codec spends almost no bytes on a picture that equals the previous one. A group of such packets counts as one picture
if the next intra frame also shows it. So an object that moves and stays in its new place is never lost, however few
bytes it takes. Consecutive groups without a larger packet, and whose intra frames have the same number of bytes, form
one stretch, of which only the first and the last intra frame are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dyto.video.index import Index
from dyto.video.sampling import FrameBuffer, TargetSize, resized

MOST_BITS = 1 / 80
"""Largest median of bits per pixel among the packets of a quiet group."""

SHARE_OF_INTRA = 1 / 8
"""Largest median packet size of a quiet group, as a fraction of its intra frame's size."""

LOUDER = (1.02, 16)
"""Size of a packet that signals a change: this multiple of the median, and this many bytes."""

CELL = 8
"""Side of the cells in which pictures are compared, in pixels of the source."""

LEVELS = 12
"""Largest difference of a cell's mean between two pictures that count as equal, of 255."""

SETTLING = 12
"""Number of packets after an intra frame in which a codec may still refine it."""

SAME_SIZE = (0.001, 8)
"""Largest difference in size, as a fraction or in bytes, between intra frames that may be the same picture."""

REORDERED = 17
"""Largest number of packets by which a codec shows a picture later."""


@dataclass(frozen=True)
class Quiet:
    """Frames of one or several consecutive groups that may show one picture.

    Attributes:
        rows: Rows of these frames among the wanted frames.
        first: The intra frame at the beginning.
        stand: The frame that may represent them.
        next: The intra frame after them.
        sizes: Bytes of both intra frames.
        parts: The groups inside; empty for a single group.
    """

    rows: slice
    first: int
    stand: int
    next: int
    sizes: tuple[int, int]
    parts: tuple[Quiet, ...] = ()

    def and_then(self, after: Quiet) -> Quiet | None:
        """Join both, or return None if something may have happened in between."""
        sizes = (self.sizes[1], *after.sizes)
        room = max(SAME_SIZE[0] * min(sizes), SAME_SIZE[1])
        if after.first != self.next or after.stand != after.first or max(sizes) - min(sizes) > room:
            return None
        rows, parts = slice(self.rows.start, after.rows.stop), (*(self.parts or (self,)), after)
        return Quiet(rows, self.first, self.stand, after.next, (self.sizes[0], after.sizes[1]), parts)


def read_still(
    path: str, index: Index, wanted: NDArray[np.int64], fit: TargetSize, read: Callable[[FrameBuffer], None]
) -> FrameBuffer | None:
    """Read frames, decoding only one of those that show the same picture.

    Args:
        path: Name of the file, for messages.
        index: Packets of the file.
        wanted: (T,) numbers of the wanted frames.
        fit: The size to keep them in.
        read: Function that fills a buffer.

    Returns:
        The frames; None if nothing can be saved.
    """
    stretches = in_stretches(quiet_groups(index, wanted))
    reels: list[FrameBuffer] = []
    cells: dict[int, NDArray[np.uint8]] = {}
    stands = wanted.copy()

    def fill(numbers: NDArray[np.int64], compared: bool) -> None:
        known = [buffer.wanted for buffer in reels]
        missing = np.setdiff1d(numbers, np.concatenate([[], *known])).astype(np.int64)
        reels.append(_Remembering(missing, fit, path, cells) if compared else FrameBuffer(missing, fit, path))
        if reels[-1].left:
            read(reels[-1])

    while stretches:
        fill(np.unique([number for stretch in stretches for number in (stretch.stand, stretch.next)]), compared=True)
        broken: list[Quiet] = []
        for stretch in stretches:
            if _same(cells[stretch.stand], cells[stretch.next]):
                stands[stretch.rows] = stretch.stand
            else:
                broken += stretch.parts
        stretches = broken
    if not reels:
        return None
    fill(stands, compared=False)
    found = FrameBuffer(wanted, TargetSize(), path)
    place = {number: (buffer, row) for buffer in reels for number, row in buffer.rows.items()}
    chosen = [place[stand] for stand in stands.tolist()]
    for number, (buffer, row) in zip(wanted.tolist(), chosen, strict=True):
        found.put(number, buffer.data[row])
    if fit.preview is not None:
        small = [buffer.preview[row] for buffer, row in chosen if buffer.preview is not None]
        found.preview = np.stack([resized(picture, *small[0].shape[:2]) for picture in small])
    found.source_size = reels[0].source_size
    found.notes = {note for buffer in reels for note in buffer.notes}
    return found


def in_stretches(groups: list[Quiet]) -> list[Quiet]:
    """Join consecutive groups that cannot be told apart."""
    found: list[Quiet] = []
    for group in groups:
        joined = found[-1].and_then(group) if found else None
        if joined:
            found[-1] = joined
        else:
            found.append(group)
    return found


def quiet_groups(index: Index, wanted: NDArray[np.int64]) -> list[Quiet]:
    """Find the quiet groups of pictures that contain wanted frames.

    Args:
        index: The packets.
        wanted: (T,) numbers of the wanted frames, in order.
    """
    keys = np.flatnonzero(index.key)
    times, sizes = index.ticks[wanted], np.diff(index.end, prepend=0)
    found = []
    for first, after in zip(keys[:-1].tolist(), keys[1:].tolist(), strict=True):
        lo = int(np.searchsorted(times, index.pts[first], "right"))
        hi = int(np.searchsorted(times, index.pts[after], "left"))
        spent = sizes[first + 1 : after]
        if lo >= hi or not spent.size or not _is_quiet(spent, int(sizes[first]), index.area):
            continue
        if (index.pts[after : after + REORDERED] < index.pts[after]).any():  # they also depend on the next group
            continue
        loud = np.flatnonzero(spent > np.median(spent) * LOUDER[0] + LOUDER[1])
        last = first + (int(loud[-1]) + 1 if loud.size else 0)
        latest = first + int(np.argmax(index.pts[first : last + 1]))
        stand = first if last - first <= SETTLING else latest
        lo = int(np.searchsorted(times, index.pts[latest], "right"))
        numbers = index.number(int(index.pts[stand])), index.number(int(index.pts[after]))
        begin = index.number(int(index.pts[first]))
        if lo < hi and min(*numbers, begin) >= 0:
            found.append(Quiet(slice(lo, hi), begin, *numbers, (int(sizes[first]), int(sizes[after]))))
    return found


def _is_quiet(spent: NDArray[np.int64], intra: int, area: int) -> bool:
    median = float(np.median(spent))
    return median * 8 <= area * MOST_BITS and median <= intra * SHARE_OF_INTRA


class _Remembering(FrameBuffer):
    """A buffer that remembers the cell means of its full-size pictures."""

    def __init__(
        self, wanted: NDArray[np.int64], fit: TargetSize, name: str, cells: dict[int, NDArray[np.uint8]]
    ) -> None:
        super().__init__(wanted, fit, name)
        self._cells = cells

    def kept(self, position: int, picture: NDArray[np.uint8]) -> None:
        """Override `FrameBuffer.kept`: remember the cells."""
        self._cells[position] = np.asarray(Image.fromarray(picture).reduce(CELL))  # (H / 8, W / 8, 3)

    def repeat(self, position: int, before: int) -> None:
        """Override `FrameBuffer.repeat`: also remember the cells."""
        self._cells[position] = self._cells[before]
        super().repeat(position, before)


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Return whether the cells of two pictures look the same."""
    return one.shape == other.shape and bool(np.abs(one.astype(np.int16) - other).max() <= LEVELS)
