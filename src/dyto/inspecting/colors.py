"""Colours of clusters: a child's hue lies within its parent's range, which shows the hierarchy."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from dyto.finch import IntArray

Color: TypeAlias = tuple[int, int, int]

HUES = (205.0, 505.0)
"""Hue range of the whole video in degrees, starting at blue; less than a circle, so that the ends differ."""


def cluster_colors(partitions: Sequence[IntArray]) -> list[list[Color]]:
    """Return colours for every cluster of nested partitions.

    Args:
        partitions: Partitions, finest first, each (T,) labels 0 .. K-1.

    Returns:
        For every partition, in the same order, an RGB colour for each label.

    Example:
        >>> import numpy as np
        >>> [len(level) for level in cluster_colors([np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1])])]
        [3, 2]
    """
    levels: list[list[Color]] = []
    spans: list[tuple[float, float]] = [HUES]
    parent: IntArray | None = None
    for labels in reversed(partitions):
        within = np.zeros_like(labels) if parent is None else parent
        spans = _share(labels, within, spans)
        levels.append([_color((lo + hi) / 2, place) for place, (lo, hi) in enumerate(spans)])
        parent = labels
    return levels[::-1]


def _share(labels: IntArray, parent: IntArray, spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Divide the hues of each parent among its children, in proportion to their sizes."""
    size, room = np.bincount(labels), np.bincount(parent)
    owner = [int(parent[labels == label][0]) for label in range(len(size))]
    used = [lo for lo, _ in spans]
    shares = []
    for label, above in enumerate(owner):
        lo, hi = spans[above]
        width = (hi - lo) * size[label] / room[above]
        shares.append((used[above], used[above] + width))
        used[above] += width
    return shares


def _color(hue: float, place: int) -> Color:
    """Return a colour whose lightness also differs between neighbours."""
    lightness = (0.50, 0.66)[place % 2]
    red, green, blue = colorsys.hls_to_rgb(hue % 360 / 360, lightness, 0.52)
    return round(255 * red), round(255 * green), round(255 * blue)
