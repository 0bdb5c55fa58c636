"""Frames of a fade, told from brief scenes: they lie between the scenes before and after them.

That one vector a frame lies between two others happens by chance, too. That all its patches do, place by place, hardly
does: each patch of a fade is a mixture of what was there and of what will be.
"""

from __future__ import annotations

import heapq

import numpy as np
import torch

from dyto.features import PatchLoader
from dyto.strategies.runs import Joining, Runs

FADE = 3
"""Most frames of a run that can be a step of a fade."""
SURELY, BETWEEN, PERHAPS = 1.1, 1.2, 1.6
"""A run lies between two others if its squared distances from both add up to at most the first of these multiples of
theirs, and does not if to more than the last; 1 is the ball that has the two at either end. In between patches decide,
and where they are not known the second multiple."""
PLACE_BY_PLACE = 1.35
"""Patches decide by the multiple of the same distances, added up over all places of a frame."""


def without_fades(runs: Runs, load_patches: PatchLoader | None = None) -> Runs:
    """Let the frames of fades join the nearer of their two scenes, whose mean they leave as it is.

    Args:
        runs: The runs.
        load_patches: Gives the patches of a few frames; None to go by the means alone.

    Example:
        >>> start, middle, end = np.eye(2)[0], np.array([0.6, 0.8]), np.eye(2)[1]
        >>> means = np.stack([start, middle, end]).astype("float32")
        >>> without_fades(Runs(np.array([0, 20, 21, 40]), means, np.array([20, 1, 19]))).bounds.tolist()
        [0, 20, 40]
    """
    row, total = _Fading(runs, load_patches), len(runs.means)
    turn = np.zeros(total, np.int64)
    heap = [(*step, i, 0) for i in range(total) if (step := row.step(i))]
    heapq.heapify(heap)
    while heap:
        _, _, i, when = heapq.heappop(heap)
        if not row.stands[i] or when != turn[i]:
            continue
        before, after = int(row.left[i]), int(row.right[i])
        nearer = row.gap(before, i) <= row.gap(i, after)
        first, second = (before, i) if nearer else (i, after)
        row.join(first, second, row.mean[before if nearer else after].copy())
        for later in (int(row.left[first]), first, int(row.right[first])):
            if 0 <= later < total:
                turn[later] += 1
                if step := row.step(later):
                    heapq.heappush(heap, (*step, later, int(turn[later])))
    return row.runs(runs.bounds)


class _Fading(Joining):
    """Runs of which some are steps between their neighbours."""

    def __init__(self, runs: Runs, load_patches: PatchLoader | None) -> None:
        super().__init__(runs.means, runs.sizes)
        self._bounds, self._load_patches = runs.bounds, load_patches
        self._seen: dict[tuple[int, int], bool | None] = {}

    def step(self, i: int) -> tuple[int, float] | None:
        """Return the size of a run that is a step between its neighbours, and how far it is from the middle of them."""
        before, after = int(self.left[i]), int(self.right[i])
        if before < 0 or after >= len(self.mean) or self.size[i] > min(FADE, self.size[before], self.size[after]):
            return None
        by_way, apart = self.gap(before, i) + self.gap(i, after), self.gap(before, after)
        if by_way > PERHAPS * apart or (by_way > SURELY * apart and not self._mixed(i, by_way, apart)):
            return None
        return int(self.size[i]), by_way - SURELY * apart

    def _mixed(self, i: int, by_way: float, apart: float) -> bool:
        """Say whether a run mixes the frames before and after it, as far as their patches are known."""
        frames = int(self._bounds[i]), int(self._bounds[self.right[i]])
        if frames not in self._seen:  # once, however often the runs beside it grow
            self._seen[frames] = self._by_patches(*frames)
        seen = self._seen[frames]
        return by_way <= BETWEEN * apart if seen is None else seen

    def _by_patches(self, start: int, end: int) -> bool | None:
        """Say the same of the frames from start to end - 1 by patches alone; None if these tell nothing."""
        if self._load_patches is None:
            return None
        three = self._load_patches(torch.tensor([start - 1, (start + end - 1) // 2, end]))
        before, inside, after = torch.nn.functional.normalize(three.float(), dim=-1)
        across = float((after - before).square().sum())
        way = float((inside - before).square().sum() + (after - inside).square().sum())
        return way <= PLACE_BY_PLACE * across if across > 0 else None
