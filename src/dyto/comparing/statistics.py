"""Paired tests over videos: answers about one video are correlated, so whole videos are permuted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import numpy.typing as npt

ALPHA = 0.05
SUBSETS = 10_000
"""Number of random subsets of videos, if there are too many to enumerate."""
MOST_SUBSETS = 1 << 14
_CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class Difference:
    """The difference of one strategy from another on the same questions.

    Attributes:
        value: Mean difference over questions.
        low: Lower end of the 95 % interval over videos, from the same test as p: it excludes zero if p is at
            most 5 %, and only then.
        high: Upper end.
        p: Two-sided p-value of the permutation test: how often chance alone gives a difference as large.
        questions: Number of questions.
        videos: Number of videos.
        spread: Standard deviation of the difference between videos, each weighed by its questions: the standard
            error is `spread / sqrt(videos)`. None for a single video.
    """

    value: float
    low: float
    high: float
    p: float
    questions: int
    videos: int
    spread: float | None = None


def sign_flip_p(differences: Sequence[int]) -> float:
    """Two-sided p-value of the permutation test that flips the sign of every video's difference, exactly.

    If two strategies were equal, each video's difference could just as well have the other sign. Of all
    2^V ways to set the signs, this is the share whose sum is at least as far from zero as the one observed. They
    are counted, not sampled: the distribution of the sum is built up video by video (Pagano and Tritchler, "On
    obtaining permutation distributions in polynomial time", 1983).

    Args:
        differences: For every video, the sum over its questions, in whole units.

    Returns:
        The p-value, more than 0; 1 if nothing differs.

    Example:
        >>> sign_flip_p([1, 1, 1, 1, 1])  # 2 of the 32 ways
        0.0625
    """
    sizes = [abs(value) for value in differences if value]
    unit = reduce(math.gcd, sizes, 0) or 1
    sizes = [size // unit for size in sizes]
    total = sum(sizes)
    chances = np.zeros(total + 1)  # for each sum of the positive ones
    chances[0] = 1.0
    reached = 0
    for size in sizes:
        shifted = chances[: reached + 1] / 2
        chances[: reached + 1] = shifted
        chances[size : size + reached + 1] += shifted
        reached += size
    sums = np.abs(2 * np.arange(total + 1) - total)
    return min(1.0, float(chances[sums >= abs(sum(differences)) // unit].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values by Holm's method, so that each can be read as if it came from a single test.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Returns:
        Corrected p-values in the order given.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    count = len(p_values)
    corrected = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def sign_flip_interval(
    differences: Sequence[int], counts: Sequence[int], *, p: float | None = None
) -> tuple[float, float]:
    """Return the 95 % interval of a mean: every true difference that the sign-flip test does not reject.

    Let x_v = d_v - D n_v be what is left of a video's sum d_v over its n_v questions if the true difference is D. The
    test refuses D if flipping the signs of whole videos gives a sum as far from zero in at most 5 % of all ways. For
    a D below the observed mean, the ways that do are those whose flipped videos, or whose other videos, have a mean
    of at most D; so the lower end is a quantile of the smaller of these two means over subsets of the videos, and the
    upper end one of the larger (after Hartigan, "Using subsample values as typical values", 1969). Up to 14 videos,
    all subsets are used, beyond that `SUBSETS` random ones; these are weighted so that exactly the share p of
    them speaks for zero. So zero lies outside if, and only if, p is at most 5 %.

    Args:
        differences: For every video, the sum over its questions, in whole units.
        counts: For every video, its number of questions.
        p: Result of `sign_flip_p`, if known.

    Returns:
        Lower and upper end, in units; minus and plus infinity below 6 videos, where no difference can be rejected.

    Example:
        >>> sign_flip_interval([2, 3, 2, 1, 2, 2], [4, 4, 4, 4, 4, 4])  # two of 64 ways are 3.1 %, four 6.3 %
        (0.25, 0.75)
    """
    sums, sizes = np.asarray(differences, np.float64), np.asarray(counts, np.float64)
    subsets = _subsets(len(sums))
    inside = _times(subsets, np.stack([sums, sizes], 1))  # (R, 2) sum and number of questions
    outside = np.array([sums.sum(), sizes.sum()]) - inside
    some = (inside[:, 1] > 0) & (outside[:, 1] > 0)
    means = np.full((len(some), 2), [-np.inf, np.inf])
    both = np.stack([part[some, 0] / part[some, 1] for part in (inside, outside)], 1)
    means[some] = np.sort(both, 1)
    known = sign_flip_p(differences) if p is None else p
    estimate = sums.sum() / sizes.sum()
    low = _quantile(means[:, 0], known if estimate > 0 else None)
    high = -_quantile(-means[:, 1], known if estimate < 0 else None)
    return min(low, estimate), max(high, estimate)


def _quantile(ends: npt.NDArray[np.float64], below_zero: float | None) -> float:
    """Return the first value up to which more than 5 % of the weight lies; `below_zero` lies at or below 0."""
    ends = np.sort(ends)
    weights = np.full(len(ends), 1 / len(ends))
    count = int(np.searchsorted(ends, 0.0, side="right"))
    if below_zero is not None and 0 < count < len(ends):
        weights[:count] = below_zero / count
        weights[count:] = (1 - below_zero) / (len(ends) - count)
    reached = np.cumsum(weights)
    if below_zero is not None and count == 0:  # too rare to occur among the drawn ones
        reached = below_zero + (1 - below_zero) * reached
    return float(ends[min(int(np.searchsorted(reached, ALPHA + 1e-12, side="right")), len(ends) - 1)])


def _times(subsets: npt.NDArray[np.int8], columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    step = max(1, _CHUNK_VALUES // subsets.shape[1])
    return np.concatenate([subsets[i : i + step] @ columns for i in range(0, len(subsets), step)])


@lru_cache(maxsize=8)
def _subsets(videos: int) -> npt.NDArray[np.int8]:
    """Return (R, V) subsets of videos: all of them, or `SUBSETS` random ones, always the same."""
    if 2**videos <= MOST_SUBSETS:
        return (np.arange(2**videos)[:, None] >> np.arange(videos) & 1).astype(np.int8)
    return np.random.default_rng(0).integers(0, 2, (SUBSETS, videos), dtype=np.int8)


def paired_difference(differences: Sequence[int], counts: Sequence[int], unit: int) -> Difference | None:
    """Return the difference of two strategies over the same questions, with interval and test.

    Args:
        differences: For every video, the sum of (one - other) over its questions, in units.
        counts: For every video, its number of questions.
        unit: Number of units in one right answer.

    Returns:
        The difference; below 6 videos its interval is -1 to 1. None without questions.

    Example:
        >>> paired_difference([2, -1, 1], [2, 2, 2], 1).value
        0.3333333333333333
    """
    questions, videos = sum(counts), len(counts)
    if not questions:
        return None
    value, p = sum(differences) / unit / questions, sign_flip_p(differences)
    low, high = (end / unit for end in sign_flip_interval(differences, counts, p=p))
    spread = None
    if videos > 1:
        left = [(d / unit - value * n) * videos / questions for d, n in zip(differences, counts, strict=True)]
        spread = math.sqrt(math.fsum(x * x for x in left) / (videos - 1))
    return Difference(
        value=value,
        low=max(-1.0, low),
        high=min(1.0, high),
        p=p,
        questions=questions,
        videos=videos,
        spread=spread,
    )
