"""Means with intervals that account for questions about the same video.

Answers about one video are correlated, so 25 questions about one video are less evidence than 25
videos. The variance is therefore computed over videos (the sandwich estimator for cluster samples; Cameron and
Miller, "A Practitioner's Guide to Cluster-Robust Inference", 2015), and turned into Wilson's interval at the
number of independent questions that would have that variance (Korn and Graubard, "Confidence intervals for
proportions with small expected number of positive counts estimated from survey data", 1998, in spirit).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Mean:
    """A mean and its 95 % interval.

    Args:
        value: The mean.
        low: Lower end of the interval.
        high: Upper end of the interval.
        questions: Number of values.
        videos: Number of clusters.
    """

    value: float
    low: float
    high: float
    questions: int
    videos: int


def clustered_mean(values: Sequence[float], videos: Sequence[str], *, top: float = 1.0) -> Mean | None:
    """Return the mean of values in [0, top], with a 95 % interval over videos.

    Args:
        values: One value per question.
        videos: The video of each question.
        top: The largest possible value: 1 for right or wrong, 5 for a judge's score.

    Returns:
        The mean; None for no values. With a single video the interval is [0, top].

    Example:
        >>> clustered_mean([1, 1, 0, 1], ["a", "a", "b", "c"]).value
        0.75
    """
    n, clusters = len(values), len(set(videos))
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if clusters < 2:
        return Mean(mean, 0.0, top, n, clusters)
    excess: dict[str, float] = defaultdict(float)
    for value, video in zip(values, videos, strict=True):
        excess[video] += value - mean
    variance = clusters / (clusters - 1) * math.fsum(e * e for e in excess.values()) / n**2
    p = mean / top
    spread = variance / top**2
    # The number of independent questions with the same variance; the number of videos if nothing varies.
    effective = min(n, p * (1 - p) / spread) if spread > 0 and 0 < p < 1 else clusters
    low, high = _wilson(p, effective, student_t(clusters - 1))
    return Mean(mean, low * top, high * top, n, clusters)


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def student_t(freedom: int, *, confidence: float = 0.95) -> float:
    """Return the two-sided quantile of Student's t, to three digits (Cornish-Fisher expansion; exact for 1 and 2).

    Example:
        >>> [round(student_t(df), 2) for df in (1, 2, 5, 30)]
        [12.71, 4.3, 2.57, 2.04]
    """
    p = (1 + confidence) / 2
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (1 - (2 * p - 1) ** 2))
    z, v = NormalDist().inv_cdf(p), freedom
    terms = (
        z,
        (z**3 + z) / (4 * v),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3),
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4),
    )
    return math.fsum(terms)
