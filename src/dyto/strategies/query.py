"""Key frames by how well they match the question, then merged as in DyTo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dyto.finch import FloatArray, IntArray
from dyto.strategies.base import check_at_least
from dyto.strategies.with_question import AsksFrames


@dataclass(frozen=True)
class Query(AsksFrames):
    """Key frames by how well they match the question, each merged to an equal share of the budget.

    With `towers`, a checkpoint whose text and image towers share a space (CLIP, SigLIP) scores how well the question
    matches a frame. Without, words and patches are compared in the space of the language model, into which its
    projector maps patches: the score of a word is that of its best patch, and the score of a question is the mean
    over its words. This costs nothing more, but is far less reliable. Further fields are those of `KeyFrameMerger`.

    Attributes:
        towers: A folder or hub name of a CLIP or SigLIP checkpoint; None for the language model's embeddings.
        apart: A chosen frame excludes its neighbours up to this share of the video on either side, as long as others
            are left.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> qa = dyto.VideoQA.from_pretrained("tiny", dyto.Query(token_budget=100))
        >>> qa.encode(video, question="is there a red ring ?")
        VisualTokens(100 tokens of 10 key frames, budget=100, uncompressed=432, dim=192)
    """

    apart: float = 0.02

    name: ClassVar[str] = "query"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0.0, "apart")

    def choose(self, scores: FloatArray) -> IntArray:
        """Return the best frames that are not too close to one another."""
        return best_apart(scores, self.num_frames, round(self.apart * len(scores)))


def best_apart(scores: FloatArray, count: int, distance: int) -> IntArray:
    """Return the best scored frames that are not too close to one another.

    Args:
        scores: (T,) scores.
        count: Frames wanted.
        distance: Frames this close to a better one are taken only if no others are left.

    Returns:
        Sorted int64 positions, min(T, `count`) of them; ties go to the earlier frame.

    Example:
        >>> import numpy as np
        >>> best_apart(np.array([0.1, 0.9, 0.8, 0.2, 0.5]), 2, 1).tolist()
        [1, 4]
    """
    order = np.argsort(-scores, kind="stable")
    chosen: list[int] = []
    passed: list[int] = []
    for frame in order.tolist():
        near = any(abs(frame - other) <= distance for other in chosen)
        (passed if near else chosen).append(frame)
    return np.sort(np.array([*chosen, *passed][:count], dtype=np.int64))
