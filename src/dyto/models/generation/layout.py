"""The layout of a video in the prompt: visual tokens, and the text between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from dyto.finch import IntArray


@dataclass(frozen=True)
class TextRun:
    """A text, and the visual tokens that follow it up to the next text.

    Attributes:
        text: (t,) token ids.
        tokens: Positions among the visual tokens; none after the last text.
    """

    text: Tensor
    tokens: slice

    def __len__(self) -> int:
        return len(self.text) + self.tokens.stop - self.tokens.start


@dataclass(frozen=True)
class Layout:
    """The content of the V places of a video.

    Attributes:
        embeds: (V, D) embeddings of the visual tokens and of the text between them.
        visual: (V,) bool, True for visual tokens.
        positions: (3, V) int64 time, height and width, counted from the first place of the video, for a family with
            positions of three axes (M-RoPE); None if places are simply counted.
        advance: How many positions after the video's first the text after it begins.
        deep: (levels, L, D) DeepStack features of the visual tokens, for a family that has them.
        ids: (V,) int64 ids of the text, -1 elsewhere; None if they are unknown.
        beside: Further inputs of the stock model for the prompt up to the end of the video, see
            `LanguageSide.beside`; set once the video has been read.
    """

    embeds: Tensor
    visual: Tensor
    positions: Tensor | None
    advance: int
    deep: Tensor | None = None
    ids: Tensor | None = None
    beside: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.embeds)


def runs_of(keyframe: IntArray) -> Iterator[tuple[slice, int]]:
    """Return the runs of consecutive tokens from one key frame, with the key frame of each.

    Example:
        >>> import numpy as np
        >>> list(runs_of(np.array([0, 0, 2])))
        [(slice(0, 2, None), 0), (slice(2, 3, None), 2)]
    """
    edges = [0, *(np.flatnonzero(np.diff(keyframe)) + 1).tolist(), len(keyframe)]
    for start, stop in zip(edges, edges[1:], strict=False):
        yield slice(start, stop), int(keyframe[start])


def clock(seconds: float) -> str:
    """Format a time in minutes and seconds, rounded down.

    Example:
        >>> clock(75.9), clock(6000)
        ('01:15', '100:00')
    """
    return f"{int(seconds // 60):02d}:{int(seconds % 60):02d}"
