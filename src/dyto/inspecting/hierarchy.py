"""The hierarchy over time behind a strategy's key frames, recomputed for drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dyto import finch, keyframes, segments
from dyto.features import FrameFeatures
from dyto.finch import IntArray
from dyto.strategies import DyTo, Plus, Plus2025, Strategy, scenes


@dataclass(frozen=True)
class Levels:
    """Nested partitions of the sampled frames.

    Attributes:
        partitions: Partitions, finest first, each (T,) labels 0 .. K-1; empty if the strategy has no hierarchy.
        used: Index of the partition that the key frames come from; None without partitions.
        wanted: Index of the partition that suits the content, if the strategy decides that; otherwise None.
        unit: Word for a part, such as "cluster".
    """

    partitions: tuple[IntArray, ...] = ()
    used: int | None = None
    wanted: int | None = None
    unit: str = "cluster"


def levels_of(strategy: Strategy, features: FrameFeatures | None, count: int) -> Levels:
    """Return the hierarchy of a strategy over the frames that it saw.

    Args:
        strategy: The strategy.
        features: Features that it saw; None if it never saw all sampled frames together.
        count: Number of key frames that it chose.

    Returns:
        For `DyTo` all levels; for `Plus` its runs, some of which may have no key frame; for `Plus2025` the used cut and
        the cut that suits the content, with coarser and finer cuts around them; for other strategies none.
    """
    if features is None:
        return Levels()
    if isinstance(strategy, DyTo) and type(strategy).select_keyframes is DyTo.select_keyframes:
        partitions = finch.tw_finch(features.summary, temporal=strategy.temporal)
        chosen = keyframes.choose_partition(partitions, strategy.partition)
        return Levels(tuple(partitions), next(i for i, labels in enumerate(partitions) if labels is chosen))
    if isinstance(strategy, Plus2025) and type(strategy).select_keyframes is Plus2025.select_keyframes:
        tree = segments.ward(features.summary)
        wanted = tree.wanted(strategy.least_gain, strategy.explained)
        cuts = around(count, wanted, tree.num_frames)
        return Levels(tuple(labels_of(tree.cut(cut)) for cut in cuts), cuts.index(count), cuts.index(wanted), "segment")
    if isinstance(strategy, Plus) and type(strategy).select_keyframes is Plus.select_keyframes:
        x = scenes.directions(features.summary)
        runs, _ = scenes.scenes_of(x, scenes.threshold(x, strategy.factor), load_patches=features.patches)
        return Levels((labels_of(runs.bounds),), 0, unit="run")
    return Levels()


def around(used: int, wanted: int, total: int) -> list[int]:
    """Return segment counts that show a hierarchy: both given counts, and 2, 1/2 and 1/4 times the used one.

    Example:
        >>> around(10, 10, 100), around(25, 40, 100), around(1, 1, 1)
        ([20, 10, 5, 2], [50, 40, 25, 12, 6], [1])
    """
    numbers = {used, wanted, *(number for number in (min(2 * used, total), used // 2, used // 4) if number > 1)}
    return sorted(numbers, reverse=True)


def labels_of(bounds: IntArray) -> IntArray:
    """Return (T,) the segment number of each frame, from the first frames of the segments and T.

    Example:
        >>> labels_of(np.array([0, 2, 5])).tolist()
        [0, 0, 1, 1, 1]
    """
    return np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
