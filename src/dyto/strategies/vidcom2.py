"""VidCom2: the patches least like their video and their frame, more of them from frames that stand out.

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
from dyto.strategies.base import EncodesAll, check_at_least
from dyto.strategies.shared import check_finite, frame_chunks, keep_patches

WIDTHS = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Of the Gaussians whose sum is the similarity: exp(-d^2 / (2 * width))."""


@dataclass(frozen=True)
class VidCom2(EncodesAll):
    """The patches least like their video and their frame, more of them from frames that stand out.

    Attributes:
        channels: Share of the features, those that vary least, by which patches are compared.
        temperature: Of the softmax by which frames share the budget; higher is more equal.
        token_budget: Most visual tokens in all. None: `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
    """

    channels: float = 0.5
    temperature: float = 0.01
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "vidcom2"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1e-6, "channels", "temperature")

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Keep the patches that stand out.

        Args:
            features: Features of the T sampled frames.

        Returns:
            min(budget, T * N) tokens in the order of the video.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        patches = features.patches()  # (T, N, D)
        to_video, to_frame = similarities(patches, self.channels)  # (T, N) each
        check_finite(to_video)
        likeness = to_video.mean(1).double().cpu().numpy()
        quota = frame_quotas(likeness, min(budget, len(features) * n), n, self.temperature)
        rank = torch.argsort(torch.argsort(to_video + to_frame, dim=1, stable=True), dim=1)  # (T, N)
        kept = rank < torch.as_tensor(quota, device=rank.device)[:, None]
        return keep_patches(features, patches, kept.flatten().nonzero().flatten(), budget)


def similarities(patches: Tensor, channels: float = 0.5) -> tuple[Tensor, Tensor]:
    """How alike patches are to the mean of the video, and to the mean of their frame.

    Args:
        patches: (T, N, D) patches.
        channels: Share of the D features, those of least variance, that is compared; at least one of them.

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
    """(D,) variance of each channel, but for a factor."""
    pivot = patches[0].float().mean(0)  # near the mean, so that little is lost in what is subtracted below
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


def frame_quotas(likeness: FloatArray, total: int, most: int, temperature: float = 0.01) -> IntArray:
    """How many tokens each frame keeps.

    Args:
        likeness: (T,) mean similarity of each frame's patches to the video.
        total: Tokens in all, at most T * `most`.
        most: Patches of a frame.
        temperature: Of the softmax.

    Returns:
        (T,) whole numbers of 0 to `most` that add up to `total`: total / T * (1 + s - mean(s)), s the softmax of
        -likeness / temperature; what rounding and full frames leave over goes to the largest remainders.

    Example:
        >>> import numpy as np
        >>> frame_quotas(np.array([0.9, 0.9, 0.1]), 10, 8).tolist()
        [2, 2, 6]
    """
    logits = (likeness.min() - likeness) / temperature
    share = np.exp(logits) / np.exp(logits).sum()
    wanted = np.minimum(total / len(share) * (1 + share - share.mean()), most)
    quota = np.floor(wanted).astype(np.int64)
    while quota.sum() < total:
        order = np.lexsort((np.arange(len(quota)), quota - wanted))  # the furthest below what it wants first
        order = order[quota[order] < most][: total - quota.sum()]
        quota[order] += 1
    return quota
