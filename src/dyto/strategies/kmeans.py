"""Key frames by k-means on the frame summaries, then merged as in DyTo: clustering without time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.strategies.base import Encode, check_at_least
from dyto.strategies.merging import KeyFrameMerger
from dyto.strategies.shared import check_finite
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames

MAX_ROUNDS = 100


@dataclass(frozen=True)
class KMeans(KeyFrameMerger):
    """Key frames by k-means on the frame summaries, each merged to an equal share of the budget.

    The key frame of a cluster is the member nearest to its mean; `num_frames` is the number of clusters. Further
    fields are those of `KeyFrameMerger`.

    Attributes:
        seed: Random seed of the first means (k-means++).

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> KMeans(num_frames=5).compress(FrameFeatures.from_projected(features))
        VisualTokens(180 tokens of 5 key frames, budget=230, uncompressed=1440, dim=64)
    """

    seed: int = 0

    name: ClassVar[str] = "kmeans"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "seed")

    def select_keyframes(self, summary: Tensor) -> IntArray:
        """Choose key frames.

        Args:
            summary: (T, D) one vector per frame.

        Returns:
            Sorted int64 positions, at most `num_frames`; fewer if fewer frames differ.
        """
        check_finite(summary)
        x = summary.detach().double().cpu().numpy()
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)  # cosine, as DyTo compares them
        labels, means = kmeans(x, self.num_frames, self.seed)
        distance = np.square(x - means[labels]).sum(1)
        order = np.lexsort((np.arange(len(x)), distance, labels))
        _, first = np.unique(labels[order], return_index=True)
        return np.sort(order[first])

    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Select key frames and merge their patches.

        Args:
            features: Features of the T sampled frames.

        Returns:
            K * min(N, budget // K) tokens of K key frames, in time order.
        """
        watch = Stopwatch(features.summary.device)
        with watch.stage("select"):
            positions = self.select_keyframes(features.summary)
        return self.merge(features, positions, watch)

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames and compress; the question is ignored."""
        return self.compress(encode(frames))


def kmeans(x: FloatArray, count: int, seed: int = 0) -> tuple[IntArray, FloatArray]:
    """Lloyd's algorithm from k-means++ means.

    Args:
        x: (T, D) points.
        count: Number of clusters wanted; there are never more than distinct points.
        seed: Random seed of the first means.

    Returns:
        (T,) int64 labels and (K, D) means; ties go to the lower cluster, so both are reproducible.

    Example:
        >>> import numpy as np
        >>> kmeans(np.array([[0.0], [0.1], [5.0], [5.2]]), 2)[0].tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
        True
    """
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(x)))]
    nearest = np.square(x - x[chosen[0]]).sum(1)
    while len(chosen) < min(count, len(x)) and nearest.max() > 1e-12:
        chosen.append(int(rng.choice(len(x), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, np.square(x - x[chosen[-1]]).sum(1))
    means = x[chosen]
    labels = np.full(len(x), -1, dtype=np.int64)
    for _ in range(MAX_ROUNDS):
        distance = np.square(x[:, None] - means).sum(2)  # (T, K)
        before, labels = labels, distance.argmin(1)
        if np.array_equal(before, labels):
            break
        for cluster in np.unique(labels):
            means[cluster] = x[labels == cluster].mean(0)
    return labels, means
