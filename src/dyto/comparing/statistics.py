"""Paired tests over videos: questions about one video stand or fall together, so videos are what chance deals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
_CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class Difference:
    """How much better one strategy is than another on the same questions.

    Attributes:
        value: Mean difference over questions.
        low: Lower end of the 95 % interval over videos.
        high: Upper end.
        p: Of the permutation test: how often chance alone gives a difference as large, either way.
        questions: Number of questions.
        videos: Number of videos.
    """

    value: float
    low: float
    high: float
    p: float
    questions: int
    videos: int


def sign_flip_p(differences: Sequence[int]) -> float:
    """Two-sided p-value of the permutation test that flips the sign of every video's difference, exactly.

    Were two strategies alike, each video's difference would as soon have come out with the other sign. Of all
    2^V ways to set the signs, this is the share whose sum is at least as far from zero as the one observed. They
    are counted, not drawn: the distribution of the sum is built up video by video (Pagano and Tritchler, "On
    obtaining permutation distributions in polynomial time", 1983).

    Args:
        differences: For every video, the sum over its questions, in whole units.

    Returns:
        The p-value, more than 0; 1 where nothing differs.

    Example:
        >>> sign_flip_p([1, 1, 1, 1, 1])  # 2 of the 32 ways
        0.0625
    """
    sizes = [abs(value) for value in differences if value]
    unit = reduce(math.gcd, sizes, 0) or 1
    sizes = [size // unit for size in sizes]
    total = sum(sizes)
    chances = np.zeros(total + 1)  # of each sum of those that come out positive
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
    """Holm's correction: p-values that may be read as if only one test had been made.

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


def bootstrap_interval(
    sums: Sequence[float], counts: Sequence[int], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of a mean over questions, drawing videos with replacement.

    Args:
        sums: For every video, the sum of its questions' values.
        counts: For every video, how many questions it has.
        resamples: How often all videos are drawn.
        seed: The same seed gives the same interval.

    Returns:
        Lower and upper end. With a single video both are its mean: there is nothing to draw from.
    """
    values, sizes = np.asarray(sums, np.float64), np.asarray(counts, np.float64)
    means = [(drawn @ values) / (drawn @ sizes) for drawn in _draws(len(values), resamples, seed)]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def _draws(videos: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.float64]]:
    """(R, V) how often each video is drawn, some resamples at a time; those of few videos are kept."""
    step = max(1, _CHUNK_VALUES // videos)
    if step >= resamples:
        yield _kept_draws(videos, resamples, seed)
        return
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, step):
        yield _drawn(rng, videos, min(step, resamples - start))


@lru_cache(maxsize=4)
def _kept_draws(videos: int, resamples: int, seed: int) -> npt.NDArray[np.float64]:
    return _drawn(np.random.default_rng(seed), videos, resamples)


def _drawn(rng: np.random.Generator, videos: int, resamples: int) -> npt.NDArray[np.float64]:
    return rng.multinomial(videos, np.full(videos, 1 / videos), size=resamples).astype(np.float64)


def paired_difference(differences: Sequence[int], counts: Sequence[int], unit: int) -> Difference | None:
    """The difference of two strategies over the same questions, with interval and test.

    Args:
        differences: For every video, the sum of (one - other) over its questions, in units.
        counts: For every video, how many questions it has.
        unit: How many units make one right answer.

    Returns:
        The difference, with a single video's interval everything there is, [-1, 1]; None where there is no question.

    Example:
        >>> paired_difference([2, -1, 1], [2, 2, 2], 1).value
        0.3333333333333333
    """
    questions = sum(counts)
    if not questions:
        return None
    low, high = -1.0, 1.0
    if len(counts) > 1:
        low, high = bootstrap_interval([value / unit for value in differences], counts)
    return Difference(
        value=sum(differences) / unit / questions,
        low=low,
        high=high,
        p=sign_flip_p(differences),
        questions=questions,
        videos=len(counts),
    )
