"""Sample sizes: videos and questions needed to tell two strategies apart, or to measure their difference precisely.

Everything follows from how much the difference of two strategies varies between videos, and between questions about
one video (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988; for questions in groups: Donner and
Klar, "Design and Analysis of Cluster Randomization Trials in Health Research", 2000).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

from dyto.comparing.statistics import ALPHA
from dyto.errors import ConfigError

POWER = 0.8
"""Power: the share of runs that should find an existing difference."""
PER_VIDEO = (1, 2, 5, 10, 20)
"""Numbers of questions per video in a plan."""


def least_p(videos: int, tests: int = 1) -> float:
    """Return the smallest p-value possible after Holm's correction: all videos favour the same strategy.

    Example:
        >>> least_p(7), least_p(7, 95)
        (0.015625, 1.0)
    """
    return min(1.0, tests * 2.0 ** (1 - videos)) if videos else 1.0


def fewest_videos(tests: int = 1) -> int:
    """Return the number of videos with which a corrected p-value can be below 5 % at all.

    Example:
        >>> fewest_videos(), fewest_videos(95)
        (6, 12)
    """
    return math.floor(math.log2(2 * tests / ALPHA)) + 1


def videos_to_tell(difference: float, spread: float, tests: int = 1) -> int | None:
    """Return how many videos tell two strategies with this difference apart in 80 % of all cases.

    Args:
        difference: The true difference.
        spread: Standard deviation of the difference between videos.
        tests: Number of tests to correct for.

    Returns:
        The number of videos; None if there is no difference to show.

    Example:
        >>> videos_to_tell(0.03, 0.2), videos_to_tell(0.03, 0.2, tests=95)
        (349, 826)
    """
    if not difference:
        return None
    z = _z(1 - ALPHA / tests / 2) + _z(POWER)
    return max(fewest_videos(tests), math.ceil((z * spread / difference) ** 2))


def videos_for_width(half: float, spread: float) -> int:
    """Return how many videos give an interval of plus and minus `half`.

    Example:
        >>> videos_for_width(0.02, 0.2)
        385
    """
    return max(fewest_videos(), math.ceil((_z(1 - ALPHA / 2) * spread / half) ** 2))


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)


@dataclass(frozen=True)
class Variation:
    """The variation of the difference of two strategies.

    Attributes:
        between: Variance between videos, of the mean that any number of questions would give.
        within: Variance between questions about one video.
    """

    between: float
    within: float

    @classmethod
    def of(cls, by_video: Sequence[Sequence[float]]) -> Variation | None:
        """Estimate from the differences at all questions, by video (analysis of variance); None for one video.

        If every video has one question, all variance counts as variance between videos.
        """
        videos, questions = len(by_video), sum(map(len, by_video))
        if videos < 2:
            return None
        mean = math.fsum(map(math.fsum, by_video)) / questions
        means = [math.fsum(values) / len(values) for values in by_video]
        among = math.fsum(len(v) * (m - mean) ** 2 for v, m in zip(by_video, means, strict=True)) / (videos - 1)
        if questions == videos:
            return cls(among, 0.0)
        pairs = zip(by_video, means, strict=True)
        within = math.fsum((x - m) ** 2 for values, m in pairs for x in values) / (questions - videos)
        usual = (questions - sum(len(v) ** 2 for v in by_video) / questions) / (videos - 1)
        return cls(max(0.0, (among - within) / usual), within)

    @classmethod
    def assumed(cls, differ: float, correlation: float) -> Variation:
        """Compute the spread from assumptions.

        Args:
            differ: Share of the questions that only one of the two answers correctly.
            correlation: Correlation of such differences at two questions about one video, 0 for none.

        Raises:
            ConfigError: A share is not between 0 and 1.
        """
        for name, value in (("share of questions that differ", differ), ("correlation", correlation)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}, expected 0 to 1")
        return cls(differ * correlation, differ * (1 - correlation))

    def spread(self, per_video: float) -> float:
        """Standard deviation between videos of the mean over this number of questions."""
        return math.sqrt(self.between + self.within / per_video)


@dataclass(frozen=True)
class Planned:
    """The required size of a run.

    Attributes:
        per_video: Questions about each video.
        width: Videos for an interval of plus and minus the wanted precision.
        tell: Videos that show a difference of that size in 80 % of all cases, after correction.
        margin: Videos that show in 80 % of all cases that an equally good strategy is not inferior.
    """

    per_video: float
    width: int
    tell: int
    margin: int


def plan(
    variation: Variation,
    precision: float,
    *,
    tests: int = 1,
    margin: float = 0.01,
    per_video: Sequence[float] = PER_VIDEO,
) -> list[Planned]:
    """Plan a run.

    Args:
        variation: Variation of the difference.
        precision: Half the width of the interval, and the difference to find: 0.02 for two points.
        tests: Number of tests.
        margin: By how much a strategy may be worse without being inferior.
        per_video: Numbers of questions about a video.

    Raises:
        ConfigError: The precision or the margin is not between 0 and 1.
    """
    for name, value in (("precision", precision), ("margin", margin)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} is {100 * value:g} points, expected more than 0 and less than 100")
    found = []
    for count in per_video:
        spread = variation.spread(count)
        tell = videos_to_tell(precision, spread, tests)
        assert tell is not None
        not_inferior = max(fewest_videos(), math.ceil(((_z(1 - ALPHA / 2) + _z(POWER)) * spread / margin) ** 2))
        found.append(Planned(count, videos_for_width(precision, spread), tell, not_inferior))
    return found


def plan_of(found: Mapping[str, Any], precision: float, *, margin: float = 0.01) -> dict[str, Any]:
    """Plan a run from what a comparison found.

    Args:
        found: The comparison, from `compare` or `compare.json`.
        precision: As in `plan`.
        margin: Likewise.

    Returns:
        JSON-ready: for the pair that varies most and for a median one, the sizes at several numbers of questions
        per video.

    Raises:
        ConfigError: The comparison has no two strategies about two videos.
    """
    pairs: dict[frozenset[str], tuple[str, Variation]] = {}
    tests = 1
    for cell in found["cells"]:
        for line in cell["vs"].values():
            if line.get("between") is not None:
                name = f"{cell['strategy']} minus {line['against']} at {cell['budget']}"
                key = frozenset((cell["strategy"], line["against"], str(cell["budget"])))
                pairs.setdefault(key, (name, Variation(line["between"], line["within"])))
                tests = line["tests"]
    if not pairs:
        raise ConfigError(
            "this comparison has no two strategies that were asked about two videos, expected a pilot to plan from: "
            "ask about more videos, or state assumptions (dyto plan --differ)"
        )
    usual = found["questions"] / found["videos"]
    ranked = sorted(pairs.values(), key=lambda pair: (pair[1].spread(usual), pair[0]))
    counts = sorted({*PER_VIDEO, round(usual, 1)})
    return {
        "precision": precision,
        "margin": margin,
        "tests": tests,
        "questions_per_video": usual,
        "pairs": [
            {
                "which": which,
                "pair": pair[0],
                **asdict(pair[1]),
                "plan": [asdict(one) for one in plan(pair[1], precision, tests=tests, margin=margin, per_video=counts)],
            }
            for which, pair in (("widest", ranked[-1]), ("middling", ranked[(len(ranked) - 1) // 2]))
        ],
    }


def plan_assumed(
    differ: float, correlation: float, precision: float, *, tests: int = 1, margin: float = 0.01
) -> dict[str, Any]:
    """Plan a run from assumptions, as `plan_of` does from a comparison.

    Args:
        differ: As in `Variation.assumed`.
        correlation: Likewise.
        precision: As in `plan`.
        tests: Likewise.
        margin: Likewise.
    """
    variation = Variation.assumed(differ, correlation)
    planned = [asdict(one) for one in plan(variation, precision, tests=tests, margin=margin)]
    name = f"{100 * differ:g} % differ, correlation {correlation:g}"
    pairs = [{"which": "assumed", "pair": name, **asdict(variation), "plan": planned}]
    return {"precision": precision, "margin": margin, "tests": tests, "questions_per_video": None, "pairs": pairs}
