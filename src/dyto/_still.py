"""Stretches of a video in which nothing happens, told from the sizes of packets and the intra frames around them.

Where a picture is the one before, a codec spends next to nothing on it. A group of such packets is taken to show one
picture where, beyond that, the intra frame that follows the group shows the same: so what moves and stays away is never
lost, however small it is in bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dyto._sampling import Fit, Reel

if TYPE_CHECKING:
    from dyto._decode import Index

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

REORDERED = 17
"""A codec shows no picture later than so many packets on."""


@dataclass(frozen=True)
class Quiet:
    """Frames of one group that may be one picture.

    Attributes:
        rows: Which of the wanted frames.
        stand: The frame that may stand for them.
        next: The intra frame after the group.
    """

    rows: slice
    stand: int
    next: int


def read_still(
    path: str, index: Index, wanted: NDArray[np.int64], fit: Fit, read: Callable[[Reel], None]
) -> Reel | None:
    """Read frames, decoding one for all that show the same.

    Args:
        path: Name of the file, for messages.
        index: Its packets.
        wanted: (T,) frames.
        fit: The size to keep them in.
        read: Fills a reel.

    Returns:
        The frames; None where nothing is to be spared.
    """
    groups = quiet_groups(index, wanted)
    if not groups:
        return None
    ends = _Ends(np.unique([number for group in groups for number in (group.stand, group.next)]), fit, path)
    read(ends)
    stands = wanted.copy()
    for group in groups:
        if ends.same(group.stand, group.next):
            stands[group.rows] = group.stand
    others = Reel(np.setdiff1d(stands, ends.wanted), fit, path)
    if others.left:
        read(others)
    reel = Reel(wanted, Fit(), path)
    for number, stand in zip(wanted.tolist(), stands.tolist(), strict=True):
        source = ends if stand in ends.rows else others
        reel.put(number, source.data[source.rows[stand]])
    reel.source_size = ends.source_size
    return reel


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
        if lo < hi and min(numbers) >= 0:
            found.append(Quiet(slice(lo, hi), *numbers))
    return found


def _is_quiet(spent: NDArray[np.int64], intra: int, area: int) -> bool:
    median = float(np.median(spent))
    return median * 8 <= area * MOST_BITS and median <= intra * SHARE_OF_INTRA


class _Ends(Reel):
    """A reel that remembers what its pictures looked like in their full size."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._cells: dict[int, NDArray[np.uint8]] = {}

    def put(self, position: int, picture: NDArray[np.uint8]) -> None:
        """See `Reel.put`."""
        if position in self.left:
            self._cells[position] = np.asarray(Image.fromarray(picture).reduce(CELL))  # (H / 8, W / 8, 3)
        super().put(position, picture)

    def same(self, one: int, other: int) -> bool:
        """Whether two pictures look the same."""
        cells = [self._cells[position].astype(np.int16) for position in (one, other)]
        return cells[0].shape == cells[1].shape and bool(np.abs(cells[0] - cells[1]).max() <= LEVELS)
