"""Key frames by how well they match the question, then merged as DyTo does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.strategies.base import Encode, check_at_least, hook
from dyto.strategies.matching import match_by_towers
from dyto.strategies.merging import KeyFrameMerger
from dyto.strategies.shared import check_finite, frame_chunks
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class Query(KeyFrameMerger):
    """Key frames by how well they match the question, each merged to an equal share of the budget.

    With `towers`, a checkpoint whose text and image towers share a space (CLIP, SigLIP) judges how well the question
    matches a frame. Without, words and patches are compared in the space of the language model, into which its
    projector brings patches: a word matches a frame as well as its best patch does, a question as well as its words
    on average: it costs nothing more, and is a far weaker judge. Further fields are those of `KeyFrameMerger`.

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

    towers: str | None = None
    apart: float = 0.02

    name: ClassVar[str] = "query"
    uses_question: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("question", "words")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0.0, "apart")
        if self.towers is not None and not (isinstance(self.towers, str) and self.towers.strip()):
            raise ConfigError(f"towers of strategy 'query' is {self.towers!r}, expected a folder or a hub name")

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames, choose those that match the question, and merge them.

        Raises:
            ConfigError: No question was given, or the model gives no embeddings of words.
        """
        if question is None or not question.strip():
            raise ConfigError(
                f"strategy {self.name!r} needs the question, but none was given: pass question=..., or take a "
                "strategy that does not look at it"
            )
        if self.towers is not None:
            features = encode(frames)
            watch = Stopwatch(features.summary.device)
            with watch.stage("select"):
                scores = match_by_towers(self.towers, frames.data, question, features.summary.device)
            return self._choose(features, scores, watch)
        words: Tensor = hook(self, encode, "words")(question)
        if not len(words):
            raise ConfigError(f"the question {question!r} holds no word that the model knows: put it in other words")
        return self.compress(encode(frames), words)

    @torch.no_grad()
    def compress(self, features: FrameFeatures, words: Tensor) -> VisualTokens:
        """Select key frames and merge their patches.

        Args:
            features: Features of the T sampled frames.
            words: (n, D) embeddings of the question's words.

        Returns:
            K * min(N, budget // K) tokens of K key frames, in time order.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        watch = Stopwatch(features.summary.device)
        patches = features.patches()  # (T, N, D)
        with watch.stage("select"):
            scores = match(patches, words.to(patches.device)).mean(1).double().cpu().numpy()
        loaded = replace(features, load_patches=lambda frames: patches[frames.to(patches.device)])
        return self._choose(loaded, scores, watch)

    def _choose(self, features: FrameFeatures, scores: FloatArray, watch: Stopwatch) -> VisualTokens:
        with watch.stage("select"):
            positions = best_apart(scores, self.num_frames, round(self.apart * len(features)))
        return self.merge(features, positions, watch)


def match(patches: Tensor, words: Tensor) -> Tensor:
    """How well each frame matches each word.

    Args:
        patches: (T, N, D) patches.
        words: (n, D) words.

    Returns:
        (T, n) float32: the cosine of the best patch, less its mean over the frames.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.
    """
    unit = torch.nn.functional.normalize(words.float(), dim=1)
    best = torch.empty(len(patches), len(unit), device=patches.device)
    for chunk in frame_chunks(patches):
        x = torch.nn.functional.normalize(patches[chunk].float(), dim=2)
        best[chunk] = (x @ unit.T).amax(1)
    check_finite(best)
    return best - best.mean(0)


def best_apart(scores: FloatArray, count: int, distance: int) -> IntArray:
    """The best scored frames that are not too close to one another.

    Args:
        scores: (T,) scores.
        count: Frames wanted.
        distance: Frames this close to a better one are taken only when no other is left.

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
