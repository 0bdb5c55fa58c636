"""The common parts of strategies that look at the question."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.strategies.base import Encode, Named, hook
from dyto.strategies.matching import match_by_towers
from dyto.strategies.merging import KeyFrameMerger
from dyto.strategies.shared import check_finite, frame_chunks
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames


def asked(strategy: Named, question: str | None) -> str:
    """Return the question that a strategy needs.

    Raises:
        ConfigError: There is no question.
    """
    if question is None or not question.strip():
        raise ConfigError(
            f"strategy {strategy.name!r} needs the question, but none was given: pass question=..., or use a "
            "strategy that ignores it"
        )
    return question


def words_of(strategy: Named, encode: Encode, question: str) -> Tensor:
    """Embed the words of the question with the language model: (n, D).

    Raises:
        ConfigError: The model gives none, or knows no word of the question.
    """
    words: Tensor = hook(strategy, encode, "words")(question)
    if not len(words):
        raise ConfigError(f"the question {question!r} contains no word that the model knows: rephrase it")
    return words


@dataclass(frozen=True)
class AsksFrames(KeyFrameMerger):
    """The base of strategies that choose key frames by how well they match the question.

    Attributes:
        towers: A folder or hub name of a CLIP or SigLIP checkpoint; None for the language model's embeddings.
    """

    towers: str | None = None

    uses_question: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("question", "words")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.towers is not None and not (isinstance(self.towers, str) and self.towers.strip()):
            raise ConfigError(f"towers of strategy {self.name!r} is {self.towers!r}, expected a folder or a hub name")
        if self.towers is not None:
            object.__setattr__(self, "needs", ("question",))

    @abstractmethod
    def choose(self, scores: FloatArray) -> IntArray:
        """Sorted positions of key frames, by (T,) scores of how well each frame matches."""

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames, choose those that match the question, and merge them.

        Raises:
            ConfigError: No question was given, or the model gives no embeddings of words.
        """
        question = asked(self, question)
        if self.towers is not None:
            features = encode(frames)
            watch = Stopwatch(features.summary.device)
            with watch.stage("select"):
                scores = match_by_towers(self.towers, frames.data, question, features.summary.device)
            return self._chosen(features, scores, watch)
        words = words_of(self, encode, question)
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
        return self._chosen(loaded, scores, watch)

    def _chosen(self, features: FrameFeatures, scores: FloatArray, watch: Stopwatch) -> VisualTokens:
        with watch.stage("select"):
            positions = self.choose(scores)
        return self.merge(features, positions, watch)


def match(patches: Tensor, words: Tensor) -> Tensor:
    """Score how well each frame matches each word.

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
