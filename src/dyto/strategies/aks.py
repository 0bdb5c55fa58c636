"""AKS: key frames that match the question, spread out if no stretch of the video stands out; merged as in DyTo.

Source: Tang et al., "Adaptive Keyframe Sampling for Long Video Understanding" (arXiv 2502.21271, CVPR 2025), as its
code does it. docs/rivals.md lists the differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dyto.errors import ConfigError
from dyto.finch import FloatArray, IntArray
from dyto.strategies.base import check_at_least, check_words
from dyto.strategies.uniform import spread
from dyto.strategies.with_question import AsksFrames


@dataclass(frozen=True)
class AKS(AsksFrames):
    """Key frames that match the question, spread over the video if no stretch stands out; merged as in DyTo.

    The video is halved repeatedly until the best frames of a stretch stand out from it; then these are taken.
    Frames are scored as in `query`. Further fields are those of `KeyFrameMerger`.

    Attributes:
        towers: A folder or hub name of a CLIP or SigLIP checkpoint; None for the language model's embeddings.
        peak: Least distance of the mean of the best scores from the mean of a stretch that stands out; scores go
            from 0 to 1.
        deviation: Least standard deviation of the scores of a stretch that stands out.
        depth: Largest number of halvings.
        remainder: Treatment of frames that do not divide evenly among the stretches: "share", or "release" for the
            published loss.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> qa = dyto.VideoQA.from_pretrained("tiny", dyto.AKS(token_budget=100))
        >>> qa.encode(video, question="is there a red ring ?")
        VisualTokens(100 tokens of 10 key frames, budget=100, uncompressed=432, dim=192)
    """

    peak: float = 0.8
    deviation: float = -100.0
    depth: int = 5
    remainder: str = "share"

    name: ClassVar[str] = "aks"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0.0, "peak")
        check_at_least(self, -1000.0, "deviation")
        check_at_least(self, 0, "depth")
        check_words(self, remainder=("share", "release"))

    def choose(self, scores: FloatArray) -> IntArray:
        """Choose key frames.

        Args:
            scores: (T,) how well each frame matches the question.

        Returns:
            Sorted int64 positions, min(T, `num_frames`) of them; fewer with `remainder="release"`.

        Raises:
            ConfigError: `remainder="release"` leaves no frame at all.

        Example:
            >>> AKS(num_frames=2, depth=1).choose(np.array([0.0, 0.2, 0.1, 0.0, 0.9, 1.0])).tolist()
            [1, 5]
        """
        total, count = len(scores), self.num_frames
        if total <= count:
            return np.arange(total)
        least, most = scores.min(), scores.max()
        if least == most:
            return spread(total, count)
        scores = (scores - least) / (most - least)
        leaves = self._leaves(scores, 0, total, 0)
        quota = np.array([count / 2**depth for _, _, depth in leaves])
        sizes = np.array([stop - start for start, stop, _ in leaves])
        given = np.minimum(quota.astype(np.int64), sizes)
        if self.remainder == "share":
            given = shared_out(given, quota, sizes, [scores[start:stop] for start, stop, _ in leaves], count)
        chosen = [
            start + np.argsort(-scores[start:stop], kind="stable")[:few]
            for (start, stop, _), few in zip(leaves, given.tolist(), strict=True)
        ]
        positions = np.sort(np.concatenate(chosen))
        if not len(positions):
            raise ConfigError(
                f"{self} leaves no frame, since {count} frames are shared by {len(leaves)} stretches and rounded down: "
                "raise num_frames, lower depth, or use remainder=share"
            )
        return positions

    def _leaves(self, scores: FloatArray, start: int, stop: int, depth: int) -> list[tuple[int, int, int]]:
        """Start, stop and depth of the final stretches, in time order."""
        own = scores[start:stop]
        best = np.sort(own)[::-1][: self.num_frames]
        stands_out = best.mean() - own.mean() > self.peak and own.std() > self.deviation
        if stands_out or depth >= self.depth or len(own) < 2:
            return [(start, stop, depth)]
        middle = start + len(own) // 2
        return self._leaves(scores, start, middle, depth + 1) + self._leaves(scores, middle, stop, depth + 1)


def shared_out(given: IntArray, quota: FloatArray, sizes: IntArray, scores: list[FloatArray], total: int) -> IntArray:
    """Share out what rounding down has left, so that stretches have `total` frames.

    Args:
        given: (S,) frames of each stretch so far.
        quota: (S,) exact share of each stretch, a fraction.
        sizes: (S,) size of each stretch, in frames.
        scores: Scores of the frames of each stretch.
        total: Frames wanted, at most the sum of `sizes`.

    Returns:
        (S,) frames of each: one more for the largest remainders (ties: the best frame not yet taken), until
        all are shared out.
    """
    given = given.copy()
    ranked = [np.sort(own)[::-1] for own in scores]
    while given.sum() < total:
        room = np.flatnonzero(given < sizes)
        following = np.array([ranked[leaf][given[leaf]] for leaf in room])
        order = room[np.lexsort((-following, (given - quota)[room]))]
        given[order[: total - given.sum()]] += 1
    return given
