"""Stretches of a video in which nothing happens, told from the sizes of packets and the intra frames around them.

Where a picture is the one before, a codec spends next to nothing on it. A group of such packets is taken to show one
picture where, beyond that, the intra frame that follows the group shows the same: so what moves and stays away is never
lost, however small it is in bytes. Groups that follow one another without a louder packet, and whose intra frames take
the same number of bytes, are one stretch, of which the first and the last intra frame are compared.
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
"""Bits per pixel that half of the packets of a quiet group have at most."""

SHARE_OF_INTRA = 1 / 8
"""And their part of the intra frame's size."""

LOUDER = (1.02, 16)
"""A packet of more than so many times the median, and so many bytes, says that something happened."""

CELL = 8
"""Side of the cells by which pictures are compared, pixels of the source."""

LEVELS = 12
"""What the mean of a cell may differ by for two pictures to be the same, of 255."""

SETTLING = 12
"""So many packets after an intra frame a codec may still be refining it."""

SAME_SIZE = (0.001, 8)
"""Intra frames whose sizes differ by no more than this part, or so many bytes, may be the same picture."""

REORDERED = 17
"""A codec shows no picture later than so many packets on."""


@dataclass(frozen=True)
class Quiet:
    """Frames of one group, or of several that follow one another, that may be one picture.

    Attributes:
        rows: Which of the wanted frames.
        first: The intra frame that it begins with.
        stand: The frame that may stand for them.
        next: The intra frame after them.
        sizes: Bytes of both intra frames.
        parts: The groups that it is made of; empty for one group.
    """

    rows: slice
    first: int
    stand: int
    next: int
    sizes: tuple[int, int]
    parts: tuple[Quiet, ...] = ()

    def and_then(self, after: Quiet) -> Quiet | None:
        """Both as one; None where something may have happened in between."""
        sizes = (self.sizes[1], *after.sizes)
        room = max(SAME_SIZE[0] * min(sizes), SAME_SIZE[1])
        if after.first != self.next or after.stand != after.first or max(sizes) - min(sizes) > room:
            return None
        rows, parts = slice(self.rows.start, after.rows.stop), (*(self.parts or (self,)), after)
        return Quiet(rows, self.first, self.stand, after.next, (self.sizes[0], after.sizes[1]), parts)


def read_still(
    path: str, index: Index, wanted: NDArray[np.int64], fit: TargetSize, read: Callable[[FrameBuffer], None]
) -> FrameBuffer | None:
    """Read frames, decoding one for all that show the same.

    Args:
        path: Name of the file, for messages.
        index: Its packets.
        wanted: (T,) frames.
        fit: The size to keep them in.
        read: Fills a buffer.

    Returns:
        The frames; None where nothing is to be spared.
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
    """Groups that follow one another joined, where nothing tells them apart."""
    found: list[Quiet] = []
    for group in groups:
        joined = found[-1].and_then(group) if found else None
        if joined:
            found[-1] = joined
        else:
            found.append(group)
    return found


def quiet_groups(index: Index, wanted: NDArray[np.int64]) -> list[Quiet]:
    """The groups of pictures of which frames are wanted and in which little seems to happen.

    Args:
        index: The packets.
        wanted: (T,) frames, in order.
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
        if (index.pts[after : after + REORDERED] < index.pts[after]).any():  # they lean on the group after, too
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
    """A buffer that remembers what its pictures looked like in their full size, cell by cell."""

    def __init__(
        self, wanted: NDArray[np.int64], fit: TargetSize, name: str, cells: dict[int, NDArray[np.uint8]]
    ) -> None:
        super().__init__(wanted, fit, name)
        self._cells = cells

    def put(self, position: int, picture: NDArray[np.uint8], shape: tuple[int, int] | None = None) -> None:
        """See `FrameBuffer.put`."""
        if position in self.left:
            self._cells[position] = np.asarray(Image.fromarray(picture).reduce(CELL))  # (H / 8, W / 8, 3)
        super().put(position, picture, shape)

    def repeat(self, position: int, before: int) -> None:
        """See `FrameBuffer.repeat`."""
        self._cells[position] = self._cells[before]
        super().repeat(position, before)


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether the cells of two pictures look the same."""
    return one.shape == other.shape and bool(np.abs(one.astype(np.int16) - other).max() <= LEVELS)
