"""Patches that match the question and do not echo the previous frame, in the manner of EchoPrune.

The idea comes from "EchoPrune: Interpreting Redundancy as Temporal Echoes for Efficient VideoLLMs" (arXiv 2605.10050).
The formulas come from a third-party port and were not checked against the paper, hence the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.strategies.base import Budgeted, Encode, check_at_least, check_flags
from dyto.strategies.shared import check_finite, chunks, frame_chunks, keep_patches, largest
from dyto.strategies.with_question import asked, words_of

if TYPE_CHECKING:
    from dyto.video import Frames


@dataclass(frozen=True)
class EchoLike(Budgeted):
    """Patches that match a word of the question and do not echo the previous frame.

    The score of a patch is its relevance, the cosine with its best word, minus its cosine with the same place one
    frame earlier, minus its echo: the mean of its cosines with all patches of that frame, with more similar ones
    weighted more.

    Attributes:
        temperature: Temperature of the softmax over the patches of the previous frame; higher is more equal.
        window: Odd side of the square around a place in which a patch can have an echo; None for all places.
        centre: Whether to subtract the mean patch and the mean word first. Not published: words and patches lie
            apart in their common space.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> qa = dyto.VideoQA.from_pretrained("tiny", dyto.EchoLike(token_budget=100))
        >>> qa.encode(video, question="is there a red ring ?")
        VisualTokens(100 tokens of 12 key frames, budget=100, uncompressed=432, dim=192)
    """

    temperature: float = 0.5
    window: int | None = None
    centre: bool = False
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "echo-like"
    uses_question: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("question", "words")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1e-3, "temperature")
        check_at_least(self, 1, "window")
        if self.window is not None and self.window % 2 == 0:
            raise ConfigError(f"window of strategy {self.name!r} is {self.window}, expected an odd number")
        check_flags(self, "centre")

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames and keep the patches that match the question and are new.

        Raises:
            ConfigError: No question was given, or the model gives no embeddings of words.
        """
        words = words_of(self, encode, asked(self, question))
        return self.compress(encode(frames), words)

    @torch.no_grad()
    def compress(self, features: FrameFeatures, words: Tensor) -> VisualTokens:
        """Keep the patches that match a word and are new.

        Args:
            features: Features of the T sampled frames.
            words: (n, D) embeddings of the question's words.

        Returns:
            The min(budget, T * N) tokens in the order of the video. The first frame, which echoes nothing, has
            budget // T tokens, at least 1, and more only if all others are kept.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        frames, n = len(features), features.num_patches
        budget = self.budget_for(n)
        total = min(budget, frames * n)
        patches = features.patches()  # (T, N, D)
        scores = relevance(patches, words.to(patches.device), self.centre)
        scores[1:] -= echoes(patches, features.grid, self.temperature, self.window)
        first = max(min(n, total, max(1, budget // frames)), total - (frames - 1) * n)
        rest = largest(scores[1:].flatten(), total - first) + n
        kept = torch.cat([largest(scores[0], first), rest])
        return keep_patches(features, patches, kept, budget)


def relevance(patches: Tensor, words: Tensor, centre: bool = False) -> Tensor:
    """Score how well each patch matches a question.

    Args:
        patches: (T, N, D) patches.
        words: (n, D) embeddings of its words.
        centre: Whether the mean patch and the mean word are subtracted first.

    Returns:
        (T, N) float32: the cosine with the most similar word.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.

    Example:
        >>> relevance(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[3.0, 0.0]]))
        tensor([[1., 0.]])
    """
    words = words.float()
    shift = torch.zeros(patches.shape[2], device=patches.device)
    if centre:
        words = words - words.mean(0)
        shift = torch.stack([patches[chunk].float().mean(1).sum(0) for chunk in frame_chunks(patches)]).sum(0)
        shift /= len(patches)
    unit = torch.nn.functional.normalize(words, dim=1)
    best = torch.empty(patches.shape[:2], device=patches.device)
    for chunk in frame_chunks(patches):
        x = torch.nn.functional.normalize(patches[chunk].float() - shift, dim=2)
        best[chunk] = (x @ unit.T).amax(2)
    check_finite(best)
    return best


def echoes(patches: Tensor, grid: tuple[int, int], temperature: float, window: int | None = None) -> Tensor:
    """Return how much of each patch the previous frame already contains.

    Args:
        patches: (T, N, D) patches.
        grid: Rows and columns of the patches of a frame.
        temperature: Temperature of the softmax over the patches of the previous frame.
        window: Side of the square of places to compare; None for all.

    Returns:
        (T - 1, N) float32, for all frames but the first: the cosine with the same place one frame earlier, plus the
        mean of the cosines with the places in the window, weighted by their softmax.
    """
    n = patches.shape[1]
    far = None if window is None else ~neighbourhood(grid, window, patches.device)  # (N, N)
    echo = torch.empty(len(patches) - 1, n, device=patches.device)
    for chunk in chunks(len(echo), 4 * n * n, patches.device):
        unit = torch.nn.functional.normalize(patches[chunk.start : chunk.stop + 1].float(), dim=2)
        cosine = unit[1:] @ unit[:-1].transpose(1, 2)  # (B, N, N)
        near = cosine if far is None else cosine.masked_fill(far, -torch.inf)
        weight = (near / temperature).softmax(2)
        echo[chunk] = torch.linalg.vecdot(weight, cosine) + cosine.diagonal(dim1=1, dim2=2)
    check_finite(echo)
    return echo


def neighbourhood(grid: tuple[int, int], window: int, device: torch.device) -> Tensor:
    """Return (N, N) bool: the places in the square around each place of a grid.

    Example:
        >>> neighbourhood((1, 3), 3, torch.device("cpu")).tolist()
        [[True, True, False], [True, True, True], [False, True, True]]
    """
    place = torch.arange(grid[0] * grid[1], device=device)
    reach = min(window // 2, max(grid))
    sides = (place // grid[1], place % grid[1])
    return torch.stack([(side[:, None] - side).abs() <= reach for side in sides]).all(0)
