"""Merged tokens as regions of their frame: the token of each patch, the borders, and the colours."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from dyto.features import VisualTokens
from dyto.finch import IntArray

Pixels: TypeAlias = npt.NDArray[np.uint8]

DROPPED = -1
"""Label of a patch that no token holds."""


def regions(tokens: VisualTokens) -> IntArray:
    """Return the token that each patch of every key frame went to.

    Args:
        tokens: Tokens with their sources.

    Returns:
        (K, rows, cols) int64 positions in `tokens.data`, or `DROPPED` if no token holds the patch. If several tokens
        do (two pathways), the token with the fewest patches wins.

    Example:
        >>> import numpy as np, dyto
        >>> features = np.random.default_rng(0).normal(size=(2, 1 + 9, 32)).astype("float32")
        >>> made = dyto.DyTo(token_budget=10).compress(dyto.FrameFeatures.from_projected(features))
        >>> regions(made).shape, len(np.unique(regions(made)))
        ((2, 3, 3), 10)
    """
    source = tokens.sources
    size = np.bincount(source.token, minlength=len(tokens))  # (L,)
    last = np.argsort(-size[source.token], kind="stable")  # the smallest token is written last and stays
    rows, cols = tokens.grid
    label: IntArray = np.full((len(tokens.keyframes), rows * cols), DROPPED, dtype=np.int64)
    label[source.keyframe[last], source.patch[last]] = source.token[last]
    return label.reshape(-1, rows, cols)


def tokens_per_keyframe(tokens: VisualTokens) -> IntArray:
    """Return (K,) the number of tokens of each key frame."""
    counts: IntArray = np.bincount(tokens.keyframe, minlength=len(tokens.keyframes)).astype(np.int64)
    return counts


def borders(label: IntArray) -> list[tuple[int, int, int, int]]:
    """Return the lines between regions, each as long as possible.

    Args:
        label: (rows, cols) regions of a frame.

    Returns:
        (x0, y0, x1, y1) in patches: horizontal lines first, then vertical ones, without the frame's own border.

    Example:
        >>> import numpy as np
        >>> borders(np.array([[0, 0], [1, 1], [1, 2]]))
        [(0, 1, 2, 1), (1, 2, 2, 2), (1, 2, 1, 3)]
    """
    across = _runs(label[1:] != label[:-1])
    down = _runs((label[:, 1:] != label[:, :-1]).T)
    return [(lo, line + 1, hi, line + 1) for line, lo, hi in across] + [
        (line + 1, lo, line + 1, hi) for line, lo, hi in down
    ]


def _runs(on: npt.NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Return (row, first, past the last) of every run of True along the rows."""
    found = []
    for row, line in enumerate(on):
        edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0))
        found += [(row, int(lo), int(hi)) for lo, hi in zip(edges[::2], edges[1::2], strict=True)]
    return found


def mean_colors(picture: Pixels, label: IntArray) -> Pixels:
    """Return each patch in the mean colour of its region.

    Args:
        picture: (H, W, 3) uint8.
        label: (rows, cols) regions of the picture.

    Returns:
        (rows, cols, 4) uint8 with alpha; a dropped patch is dark and half transparent.
    """
    rows, cols = label.shape
    small = np.asarray(Image.fromarray(picture).resize((cols, rows), Image.Resampling.BOX), np.float64)
    _, region, size = np.unique(label, return_inverse=True, return_counts=True)
    region = region.reshape(-1)
    sums = np.zeros((len(size), 3))
    np.add.at(sums, region, small.reshape(-1, 3))
    colors = np.empty((rows * cols, 4), np.uint8)
    colors[:, :3] = np.rint(sums / size[:, None])[region]
    colors[:, 3] = 255
    colors[label.reshape(-1) == DROPPED] = (12, 12, 14, 185)
    return colors.reshape(rows, cols, 4)
