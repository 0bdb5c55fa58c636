"""Plus that reads the question: more tokens for the key frames, and for the patches, that match its words.

Ours. DIG (arXiv 2512.04000) found that questions about the whole of a video are better answered from evenly spread
frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.strategies import scenes
from dyto.strategies.base import Encode, check_at_least, hook, resolve_budget
from dyto.strategies.merging import Merging
from dyto.strategies.plus import Plus
from dyto.strategies.shared import assemble, largest
from dyto.strategies.with_question import match
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames

WHOLE = re.compile(
    r"\b(how (many|often|long)|describe|summar\w+|overall|whole|entire|mainly|main|about|first|last|begin\w*|start\w*"
    r"|end\w*|before|after|order|sequence|scenes?|times)\b"
)
"""Words of questions about the whole of a video, or about its order."""


@dataclass(frozen=True)
class PlusQuery(Plus):
    """`Plus` with more tokens for the key frames that match the question; none is dropped.

    Words and patches are compared in the space of the language model, as `Query` does without towers. A question about
    the whole of a video, or about its order, gets the tokens of `Plus`. Further fields are those of `Plus`.

    Attributes:
        boost: A key frame that matches the question by one standard deviation better than the mean gets exp(boost)
            times as many tokens.
        exact: Share of a key frame's tokens that are its best matching patches, unmerged; the others are merged.

    Example:
        >>> import numpy as np, dyto
        >>> scenes = np.random.default_rng(0).integers(0, 255, (3, 48, 48, 3), dtype=np.uint8)
        >>> video = np.repeat(scenes, 4, axis=0)
        >>> qa = dyto.VideoQA.from_pretrained("tiny", dyto.PlusQuery(token_budget=60))
        >>> qa.encode(video, question="what color is the star ?")
        VisualTokens(60 tokens of 3 key frames, budget=60, uncompressed=432, dim=192)
    """

    boost: float = 0.5
    exact: float = 0.25

    name: ClassVar[str] = "plus-query"
    uses_question: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("question", "words")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0.0, "boost", "exact")
        if self.exact > 1:
            raise ConfigError(f"exact of strategy {self.name!r} is {self.exact!r}, expected a share from 0 to 1")

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames, and compress them by how well they match the question.

        Raises:
            ConfigError: No question was given, or the model gives no embeddings of words.
        """
        if question is None or not question.strip():
            raise ConfigError(
                f"strategy {self.name!r} needs the question, but none was given: pass question=..., or use 'plus', "
                "which ignores it"
            )
        words: Tensor = hook(self, encode, "words")(question)
        features = encode(frames)
        if about_the_whole(question) or not len(words):
            return self.compress(features)
        return self.compress_for(features, words)

    @torch.no_grad()
    def compress_for(self, features: FrameFeatures, words: Tensor) -> VisualTokens:
        """Select key frames as `Plus` does, share the budget by the question, and merge.

        Args:
            features: Features of the T sampled frames.
            words: (n, D) embeddings of the question's words, n >= 1.

        Returns:
            At most the budget of tokens, at least one from each key frame of `Plus`.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = resolve_budget(self.token_budget, self.reference_budget, n)
        watch = Stopwatch(features.summary.device)
        positions, worth, room = self.chosen_of(features, budget, watch)
        patches = features.patches(positions)  # (K, N, D)
        with watch.stage("select"):
            fit = match(patches, words.to(patches.device)).mean(1).double().cpu().numpy()  # (K,)
            weight = worth * np.exp(self.boost * _standard(fit))
            room = np.minimum(n, np.ceil(room * np.maximum(1.0, weight / worth))).astype(np.int64)
            kept = scenes.share(weight, room, budget)
            unit = torch.nn.functional.normalize(words.float().to(patches.device), dim=1)
            relevance = (torch.nn.functional.normalize(patches.float(), dim=2) @ unit.T).mean(2)  # (K, N)
        parts: list[Tensor] = []
        owners = np.empty((len(positions), n), np.int64)
        for i, keep in enumerate(kept):
            tokens, owner = _exact_and_merged(Merging.of(self), patches[i], relevance[i], int(keep), self.exact)
            owners[i] = owner + sum(len(part) for part in parts)
            parts.append(tokens)
        rows = np.argsort(owners, axis=None, kind="stable")
        keyframe, patch = np.divmod(rows, n)
        return assemble(
            features,
            torch.cat(parts),
            np.repeat(positions, kept),
            (owners.ravel()[rows], positions[keyframe], patch),
            budget,
            summary_source=features.summary_source,
            stages=watch.seconds,
        )


def about_the_whole(question: str) -> bool:
    """Return whether a question is about the whole of a video, or about the order of what it shows.

    Example:
        >>> about_the_whole("How many scenes are there?"), about_the_whole("What color is the ring?")
        (True, False)
    """
    return WHOLE.search(question.lower()) is not None


def _standard(fit: FloatArray) -> FloatArray:
    """Return numbers less their mean, over their standard deviation, within -2 and 2; 0 where all are alike."""
    spread = float(fit.std())
    return np.clip((fit - fit.mean()) / spread, -2, 2) if spread > 1e-9 else np.zeros_like(fit)


def _exact_and_merged(
    how: Merging, patches: Tensor, relevance: Tensor, keep: int, exact: float
) -> tuple[Tensor, IntArray]:
    """Return (keep, D) tokens of (N, D) patches, the most relevant as they are, in raster order; (N,) their owners."""
    n = len(patches)
    alone = min(int(exact * keep), n - 1, keep - 1)
    chosen = largest(relevance, alone)  # (alone,)
    others = torch.ones(n, dtype=torch.bool, device=patches.device)
    others[chosen] = False
    merged, joined = how.merge(patches[others][None], min(keep - alone, n - alone))
    owner = torch.empty(n, dtype=torch.int64, device=patches.device)
    owner[chosen] = torch.arange(alone, device=patches.device)
    owner[others] = alone + joined[0]
    first = torch.full((keep,), n, device=patches.device).scatter_reduce(
        0, owner, torch.arange(n, device=patches.device), "amin"
    )
    order = torch.argsort(first, stable=True)  # tokens by their first patch
    return torch.cat([patches[chosen], merged[0]])[order], torch.argsort(order)[owner].cpu().numpy()
