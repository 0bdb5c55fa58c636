"""VidCom2: the patches least similar to their video and their frame, more of them from frames that stand out.

Source: Liu et al., "Video Compression Commander: Plug-and-Play Inference Acceleration for Video Large Language Models"
(arXiv 2505.14454).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.strategies.base import EncodesAll, check_at_least, check_words
from dyto.strategies.shared import among_largest, check_finite, frame_chunks, hit_total, keep_patches, largest

WIDTHS = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Widths of the Gaussians whose sum is the similarity: exp(-d^2 / (2 * width))."""


@dataclass(frozen=True)
class VidCom2(EncodesAll):
    """The patches least similar to their video and their frame, more of them from frames that stand out.

    Attributes:
        channels: Share of the feature channels, those that vary least, to use for comparing patches.
        temperature: Temperature of the softmax that shares the budget among frames; higher is more equal.
        settle: How to meet the budget exactly, which the published rounding misses: "rate" for the
            rate at which rounding meets it; or "scores", as in vLLM, for the budget's own rate, after which the
            most similar kept patches are dropped or the least similar dropped ones are added.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(40, 1 + 36, 64)).astype("float32")
        >>> VidCom2(token_budget=100).compress(FrameFeatures.from_projected(features))
        VisualTokens(100 tokens of 40 key frames, budget=100, uncompressed=1440, dim=64)
    """

    channels: float = 0.5
    temperature: float = 0.01
    settle: str = "rate"
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "vidcom2"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1e-6, "channels", "temperature")
        check_words(self, settle=("rate", "scores"))

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Keep the patches that stand out.

        Args:
            features: Features of the T sampled frames.

        Returns:
            The min(budget, T * N) tokens in the order of the video.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        patches = features.patches()  # (T, N, D)
        to_video, to_frame = similarities(patches, self.channels)  # (T, N) each
        check_finite(to_video)
        likeness = to_video.mean(1).double().cpu().numpy()
        total = min(budget, len(features) * n)
        quota = frame_quotas(likeness, total, n, self.temperature, exact=self.settle == "rate")
        scores = to_video + to_frame
        kept = among_largest(-scores, quota)  # (T, N)
        if self.settle == "scores":
            kept = settled(kept, scores, total)
        return keep_patches(features, patches, kept.flatten().nonzero().flatten(), budget)


def similarities(patches: Tensor, channels: float = 0.5) -> tuple[Tensor, Tensor]:
    """Return how similar patches are to the mean of the video, and to the mean of their frame.

    Args:
        patches: (T, N, D) patches.
        channels: Share of the D channels, those of smallest variance, to compare; at least one.

    Returns:
        Two (T, N) float32: sums of Gaussians of the distance between L2-normalised vectors.
    """
    dim = patches.shape[2]
    count = min(dim, max(1, int(dim * channels)))
    chosen = torch.sort(_spread(patches), stable=True).indices[:count]
    mask = torch.zeros(dim, device=patches.device).index_fill_(0, chosen, 1.0)
    inverse = torch.empty(patches.shape[:2], device=patches.device)  # (T, N) 1 / length, 0 for a zero vector
    of_frames = torch.empty(len(patches), dim, device=patches.device)
    for chunk in frame_chunks(patches):
        x = patches[chunk].float()
        length = (x.square() @ mask).sqrt_()  # (B, N)
        inverse[chunk] = torch.where(length > 0, 1 / length, 0)
        of_frames[chunk] = (inverse[chunk][:, None] @ x)[:, 0] * mask / x.shape[1]  # (B, D)
    of_video = of_frames.mean(0)  # (D,)
    centres = torch.stack([of_video.expand_as(of_frames), of_frames], 2)  # (T, D, 2)
    along = torch.cat([patches[c].float() @ centres[c] for c in frame_chunks(patches)])  # (T, N, 2)
    size = (inverse > 0).float()[..., None] + centres.square().sum(1)[:, None]  # (T, N, 2)
    near = _gaussians(size - 2 * along * inverse[..., None])
    return near[..., 0], near[..., 1]


def _spread(patches: Tensor) -> Tensor:
    """Return the (D,) variance of each channel, up to a factor."""
    pivot = patches[0].float().mean(0)  # near the mean, so that the difference below keeps its precision
    wide = torch.float32 if patches.device.type == "mps" else torch.float64  # which Apple's devices lack
    sums = torch.zeros(2, patches.shape[2], dtype=wide, device=patches.device)
    for chunk in frame_chunks(patches):
        x = patches[chunk].flatten(0, 1).float() - pivot  # (n, D)
        ones = x.new_ones(len(x))
        sums += torch.stack([ones @ x, ones @ x.square_()])
    return sums[1] - sums[0].square() / (patches.shape[0] * patches.shape[1])


def _gaussians(squares: Tensor) -> Tensor:
    squares = squares.clamp_min(0)
    return torch.stack([torch.exp(-squares / (2 * width)) for width in WIDTHS]).sum(0)


def settled(kept: Tensor, scores: Tensor, total: int) -> Tensor:
    """Keep exactly `total` patches (T, N): drop the most similar kept ones, or add the least similar others."""
    flat, over = kept.flatten().clone(), int(kept.sum()) - total
    among = (flat if over > 0 else ~flat).nonzero().flatten()
    likeness = scores.flatten()[among]
    flat[among[largest(likeness if over > 0 else -likeness, abs(over))]] = over < 0
    return flat.view_as(kept)


def frame_quotas(
    likeness: FloatArray, total: int, most: int, temperature: float = 0.01, *, exact: bool = True
) -> IntArray:
    """Return the number of tokens that each frame keeps.

    Args:
        likeness: (T,) mean similarity of each frame's patches to the video.
        total: Number of all tokens, at most T * `most`.
        most: Number of patches per frame.
        temperature: Temperature of the softmax.
        exact: Whether they must add up to `total`.

    Returns:
        (T,) whole numbers from 0 to `most`, at least 1 if `total` suffices: rate * `most` * (1 + s - mean(s)),
        rounded, with s the softmax of -likeness / temperature. The rate is the one at which they add up to `total`; if
        there is none, the highest that stays below, and the rest goes to the largest remainders. Unless they must
        be exact, it is total / (T * `most`).

    Example:
        >>> import numpy as np
        >>> frame_quotas(np.array([0.9, 0.9, 0.1]), 10, 8).tolist()
        [2, 2, 6]
    """
    logits = (likeness.min() - likeness) / temperature
    share = np.exp(logits) / np.exp(logits).sum()
    scale = most * (1 + share - share.mean())  # at rate 1
    least = int(total >= len(share))

    def rounded(wanted: FloatArray) -> IntArray:
        return np.clip(np.round(wanted), least, most).astype(np.int64)

    if not exact:
        return rounded(total / (len(share) * most) * scale)
    return hit_total(scale, rounded, total, np.full(len(share), most))
