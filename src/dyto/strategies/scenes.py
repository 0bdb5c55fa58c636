"""What a video shows: runs of frames that stand apart from noise, and how much each adds to those chosen before it.

Frames are compared by the squared distance of their directions, which is twice one minus their cosine. How far two
frames of one scene are apart is the noise of the video itself: `noise_level` takes it from the nearest neighbours in
time of every frame, so it says the same of ten seconds and of an hour, whatever part of them an event fills.

Nothing is held for pairs of frames: the memory is a copy of the features, the time T log T for the runs and one pass
over the runs for each that is chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from dyto.features import PatchLoader
from dyto.finch import FloatArray, IntArray
from dyto.strategies.fades import without_fades
from dyto.strategies.runs import Directions, Runs, runs_of

WINDOW = 8
"""Neighbours in time, on either side, among which the nearest is looked for."""
LEAST, MOST = 0.02, 0.25
"""Squared distances below the first are never a difference; those above the second always are: cosines of 0.99 and
0.875. Where every frame differs from its neighbours, these cannot tell what noise is."""
PART = 0.05
"""Part of the largest difference in the video from which on a difference counts, however calm the video is."""
ROWS = 1024
"""Frames that are gone through at a time."""


class Ranking(NamedTuple):
    """Runs in the order in which they are worth a key frame.

    Attributes:
        order: (K,) positions of runs; those that show something new first.
        apart: (K,) squared distance of each from the nearest one before it; infinite for the first, and 0 for runs that
            show what another shows.
    """

    order: IntArray
    apart: FloatArray


def directions(features: npt.ArrayLike | torch.Tensor) -> Directions:
    """Return (T, D) float32 of length 1, on the CPU; a zero vector stays zero.

    Raises:
        ValueError: The features are not a (T, D) matrix with T >= 1 and D >= 1, or hold NaN or infinity.
    """
    given = features.detach().float().cpu().numpy() if isinstance(features, torch.Tensor) else features
    x = np.array(given, np.float32)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"features have shape {x.shape}, expected (T, D) with T >= 1 and D >= 1")
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        norm = np.linalg.norm(part.astype(np.float64), axis=1, keepdims=True)
        if not np.isfinite(norm).all():
            raise ValueError("they hold NaN or infinity")
        part /= np.where(norm > 0, norm, 1).astype(np.float32)
    return x


def noise_level(x: Directions) -> float:
    """Return how far apart frames of one scene are.

    Args:
        x: (T, D) directions, in presentation order.

    Returns:
        The median over the frames of half the squared distance to the nearest of their neighbours in time; 0 for one
        frame. A neighbour is nearest if nothing happened in between, so cuts do not count, however many there are.

    Example:
        >>> noise_level(directions(np.repeat(np.eye(4), 3, axis=0)))
        0.0
    """
    if len(x) < 2:
        return 0.0
    nearest = np.full(len(x), np.inf, np.float32)
    for gap in range(1, min(WINDOW, len(x) - 1) + 1):
        for start in range(0, len(x) - gap, ROWS):
            end = min(start + ROWS, len(x) - gap)
            half = np.square(x[start + gap : end + gap] - x[start:end]).sum(1) / 2
            for rows in (slice(start, end), slice(start + gap, end + gap)):
                np.minimum(nearest[rows], half, out=nearest[rows])
    nearest.sort()  # np.median would import numpy.ma, which takes longer than all of this
    return float(nearest[(len(x) - 1) // 2 : len(x) // 2 + 1].mean())


def threshold(x: Directions, factor: float, noise: float | None = None) -> float:
    """Return the squared distance at which two means differ: a multiple of the noise, between `LEAST` and `MOST`.

    Args:
        x: (T, D) directions.
        factor: The multiple.
        noise: What `noise_level` said of all frames, if these are not all; None to measure it.
    """
    return float(np.clip(factor * (noise_level(x) if noise is None else noise), LEAST, MOST))


def scenes_of(
    x: Directions,
    least: float,
    segments: tuple[Directions, IntArray] | None = None,
    load_patches: PatchLoader | None = None,
) -> tuple[Runs, float]:
    """Find the runs that are scenes, not movement inside one and not the frames of a fade.

    The runs of `runs_of` join further until all that are left differ by `PART` of the largest distance from the longest
    of them. Then the frames of fades join (`dyto.strategies.fades`).

    Args:
        x: (T, D) directions.
        least: Squared distance that noise does not reach, see `threshold`.
        segments: (S, D) means and (S,) sizes of segments that stand for the frames, if the x do not stand for
            themselves; S = T.
        load_patches: Gives the patches of a few frames, which tell a fade from something new where the x do not.

    Returns:
        The runs, and the squared distance from which on runs differ.

    Example:
        >>> fade = np.array([[1, 0], [3, 1], [1, 3], [0, 1]])
        >>> runs, least = scenes_of(directions(np.repeat(fade, [20, 1, 1, 9], axis=0)), 0.02)
        >>> runs.bounds.tolist(), round(least, 3)
        ([0, 21, 31], 0.1)
    """
    runs = runs_of(x, least) if segments is None else runs_of(segments[0], least, sizes=segments[1])
    farthest = np.square(runs.means - runs.means[runs.sizes.argmax()]).sum(1).max()
    least = max(least, PART * float(farthest))
    more = runs_of(runs.means, least, sizes=runs.sizes)
    return without_fades(Runs(runs.bounds[more.bounds], more.means, more.sizes), load_patches), least


def rank(runs: Runs, most: int, least: float) -> Ranking:
    """Put runs in the order in which they add something.

    The longest is the first; then comes, each time, the run that differs most from all before it, wherever in the video
    it lies, as long as it differs by `least`. A scene that returns is so paid once. The others follow: the first and
    the last of the video, then the longest.

    Args:
        runs: The runs.
        most: How many are wanted; at least 1.
        least: Below this squared distance nothing is new.

    Example:
        >>> scenes = np.repeat(np.eye(2)[[0, 1, 0]], [9, 1, 5], axis=0)
        >>> rank(runs_of(directions(scenes), 0.1), 3, 0.1)
        Ranking(order=array([0, 1, 2]), apart=array([inf,  2.,  0.]))
    """
    means, sizes = runs.means, runs.sizes
    length = np.einsum("ij,ij->i", means, means, dtype=np.float64)
    chosen, apart = [int(sizes.argmax())], [np.inf]
    gap = np.full(len(means), np.inf)
    while True:
        last = chosen[-1]
        gap = np.minimum(gap, np.maximum(0, length + length[last] - 2 * (means @ means[last])))
        gap[last] = 0
        best = int(gap.argmax())
        if len(chosen) >= most or gap[best] < least:
            break
        chosen.append(best)
        apart.append(float(gap[best]))
    other = np.ones(len(means), bool)
    other[chosen] = False
    left = np.flatnonzero(other)
    inner = (left > 0) & (left < len(means) - 1)
    left = left[np.lexsort((left, -sizes[left], inner))][: max(0, most - len(chosen))]
    return Ranking(np.array([*chosen, *left.tolist()], np.int64), np.array(apart + [0.0] * len(left)))


def medoids(x: Directions, runs: Runs, chosen: IntArray) -> IntArray:
    """Return the frame of each chosen run that is nearest to its mean; of equal ones the one nearest to its middle.

    Args:
        x: (T, D) directions.
        runs: The runs.
        chosen: (K,) ascending positions of runs.

    Returns:
        (K,) sorted positions of frames.
    """
    frames = np.empty(len(chosen), np.int64)
    for i, run in enumerate(chosen):
        start, end = int(runs.bounds[run]), int(runs.bounds[run + 1])
        far = np.concatenate(
            [np.square(x[a : min(end, a + ROWS)] - runs.means[run]).sum(1) for a in range(start, end, ROWS)]
        )
        near = start + np.flatnonzero(far <= far.min() + 1e-6)
        frames[i] = near[np.abs(near - (start + end - 1) // 2).argmin()]
    return frames


def share(worth: FloatArray, room: IntArray, budget: int) -> IntArray:
    """Return tokens in proportion to worth: at least one each, at most what there is room for.

    Args:
        worth: (K,) above 0, K at most the budget.
        room: (K,) most tokens of each, at least 1.
        budget: Tokens to give; what nobody has room for is left over.

    Returns:
        (K,) int64; the whole budget, or all the room.

    Example:
        >>> share(np.array([1.0, 1.0, 0.05]), np.array([36, 36, 2]), 10).tolist()
        [5, 4, 1]
        >>> share(np.array([1.0, 0.5]), np.array([36, 18]), 99).tolist()
        [36, 18]
    """
    if room.sum() <= budget:
        return room
    low, high = 0.0, budget / float(max(worth.min(), 1e-6))
    for _ in range(60):
        middle = (low + high) / 2
        fits = np.clip(np.floor(middle * worth), 1, room).sum() <= budget
        low, high = (middle, high) if fits else (low, middle)
    kept = np.clip(np.floor(low * worth), 1, room).astype(np.int64)
    for i in np.argsort(kept - low * worth, kind="stable"):
        kept[i] += min(int(room[i] > kept[i]), budget - int(kept.sum()))
    return kept
