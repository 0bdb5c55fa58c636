"""HoliTom without its stage inside the language model: still patches are merged over time, the rest is thinned.

Source: Shao et al., "HoliTom: Holistic Token Merging for Fast Video Large Language Models" (arXiv 2505.21334, NeurIPS
2025), as its code does it. docs/rivals.md lists the differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.keyframes import thin
from dyto.strategies.base import MOST_LAYERS, LooksAtAttention, check_at_least, check_shares, check_words
from dyto.strategies.density import TIES, distances, highest, nearest_centre, peak_scores
from dyto.strategies.parts import Part, assemble_parts
from dyto.strategies.shared import among_largest, check_finite, frame_chunks, group_sums, hit_total
from dyto.strategies.uniform import whole_frames

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HoliTomOuter(LooksAtAttention):
    """HoliTom's outer stage: still places in a stretch of frames become one token, others are kept by attention.

    The stretches are chosen so that as many patches as possible are saved.

    Attributes:
        threshold: Cosine with the same place one frame earlier above which a patch counts as still.
        window: Largest number of frames in a stretch.
        centre_weight: Weight of a density peak among still places relative to the mean of those that join it; None for
            the plain mean of all.
        neighbours: Number of nearest places for the density, including the place itself.
        ties: Order of equal density peaks: the lower "place" first, or "release", as in `torch.topk`.
        attention_layer: Layer of the tower whose attention is used.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.HoliTomOuter(token_budget=60)).encode(video)
        VisualTokens(60 tokens of 12 key frames, budget=60, uncompressed=432, dim=192)
    """

    threshold: float = 0.8
    window: int = 1024
    centre_weight: float | None = 0.6
    neighbours: int = 7
    ties: str = "place"
    attention_layer: int = -2
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "holitom-outer"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "window", "neighbours")
        check_at_least(self, -1.0, "threshold")
        check_words(self, ties=TIES)
        check_at_least(self, -MOST_LAYERS, "attention_layer")
        if self.centre_weight is not None:
            check_shares(self, "centre_weight")

    @torch.no_grad()
    def compress(self, features: FrameFeatures, attention: Tensor) -> VisualTokens:
        """Merge still patches over time, and keep other patches with high attention.

        Args:
            features: Features of the T sampled frames.
            attention: (T, N) attention that each patch receives.

        Returns:
            The min(budget, T * N) tokens, stretch by stretch: its still places at the first frame, then the others
            frame by frame. If the budget is below T, that many evenly spread frames are kept.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        positions = thin(np.arange(len(features)), budget)  # of the kept frames, T from here on
        attention = attention[positions]
        check_finite(attention)
        patches = features.patches(positions)  # (T, N, D)
        alike = likeness(patches)
        if budget >= len(features) * n:
            return whole_frames(features, positions, budget, len(features) * n)
        ends = stretches((alike > self.threshold).cpu().numpy(), self.window)
        still, quotas = self._plan(alike, ends, budget)
        held = torch.from_numpy(still).to(patches.device)  # (T, N): averaged over its stretch
        moving = among_largest(attention.masked_fill(held, -torch.inf), quotas[len(ends) :])  # (T, N)
        parts, start = [], 0
        for stop, quota in zip(ends, quotas, strict=False):
            if quota:
                parts.append(self._merge(patches[start:stop], held[start:stop], int(quota), start))
            parts.append(Part.unmerged(patches[start:stop], moving[start:stop], start))
            start = stop
        return assemble_parts(self, features, positions, parts, budget)

    def _plan(self, alike: Tensor, ends: list[int], budget: int) -> tuple[BoolArray, IntArray]:
        """Return which patches are averaged over their stretch, (T, N), and the tokens per stretch and per frame."""
        frames, n = ends[-1], alike.shape[1]
        still = np.zeros((frames, n), bool)
        first = np.array([0, *ends[:-1]])
        similar = (alike > self.threshold).cpu().numpy()
        for start, stop in zip(first, ends, strict=True):
            if stop - start > 1:
                still[start:stop] = similar[start : stop - 1].all(0)
        sizes = np.concatenate([still[first].sum(1), n - still.sum(1)])  # still places by stretch, others by frame

        def rounded(wanted: FloatArray) -> IntArray:
            parts = np.round(wanted[: len(ends)]), np.ceil(wanted[len(ends) :])
            return np.concatenate(parts).astype(np.int64)

        if sizes.sum() < budget:  # keep some still patches as single tokens: those least similar to the previous frame
            later = still.copy()
            later[first] = False
            frame, place = np.nonzero(later)
            order = np.argsort(alike.cpu().numpy()[frame - 1, place], kind="stable")[: budget - sizes.sum()]
            still[frame[order], place[order]] = False
            sizes[len(ends) :] = n - still.sum(1)
            return still, sizes
        return still, hit_total(sizes.astype(np.float64), rounded, budget, sizes)

    def _merge(self, patches: Tensor, held: Tensor, count: int, start: int) -> Part:
        """Cluster the still places of a stretch.

        Args:
            patches: (t, N, D) patches of its frames.
            held: (t, N) bool, the still patches; in the first frame, all places that are still anywhere.
            count: Number of tokens wanted, at least 1.
            start: Position of its first frame.
        """
        n = patches.shape[1]
        places = held[0].nonzero().flatten()  # (s,)
        means = still_means(patches, held, places)
        if count == len(places):
            centres = joined = torch.arange(count, device=means.device)
        else:
            apart = distances(means)
            centres = highest(peak_scores(apart, min(self.neighbours, count)), count, self.ties).sort().values
            joined = nearest_centre(apart, centres)
        sizes = torch.bincount(joined, minlength=count)[:, None]  # (count, 1), including the centre
        sums, peaks = group_sums(means, joined, count), means[centres]
        if self.centre_weight is None:
            data = sums / sizes
        else:
            others = (sums - peaks) / (sizes - 1).clamp_min(1)
            data = torch.where(sizes > 1, self.centre_weight * peaks + (1 - self.centre_weight) * others, peaks)
        owner = torch.full((n,), -1, dtype=torch.int64, device=means.device)
        owner[places] = joined
        source = held.flatten().nonzero().flatten()
        order = owner[source % n].sort(stable=True).indices
        columns = (places[centres] + start * n, owner[source % n][order], source[order] + start * n)
        return Part(data.to(patches.dtype), *(column.cpu().numpy() for column in columns))


def likeness(patches: Tensor) -> Tensor:
    """Return (T - 1, N) float32 cosines of each patch with the same place one frame later.

    Raises:
        BadFeaturesError: The patches hold NaN or infinity.
    """
    alike = torch.empty(len(patches) - 1, patches.shape[1], device=patches.device)
    check_finite(patches[:1])
    for chunk in frame_chunks(patches[1:]):
        now, later = (torch.nn.functional.normalize(x[chunk].float(), dim=2) for x in (patches[:-1], patches[1:]))
        alike[chunk] = torch.nn.functional.cosine_similarity(now, later, dim=2)
    check_finite(alike)
    return alike


def stretches(similar: BoolArray, most: int) -> list[int]:
    """Cut a video into stretches so that merging still patches saves as many patches as possible.

    Args:
        similar: (T - 1, N) whether a place is similar in a frame and the next.
        most: Largest number of frames in a stretch.

    Returns:
        Ends of the stretches, exclusive, ascending; the last is T. Ties go to the shortest last stretch.

    Example:
        >>> stretches(np.array([[True, True], [False, False], [True, False]]), 9)
        [2, 4]
    """
    frames, n = len(similar) + 1, similar.shape[1]
    spared = np.zeros(frames + 1, np.int64)  # in this many first frames
    begins = np.arange(frames)  # of the last stretch, by its last frame
    run = np.zeros(n, np.int64)  # steps for which each place has been still so far
    for last in range(frames):
        spared[last + 1] = spared[last]
        if last:
            run = np.where(similar[last - 1], run + 1, 0)
        steps = np.arange(1, min(last + 1, most))  # of a stretch that ends here
        if len(steps):
            lasting = np.bincount(run, minlength=last + 1)[::-1].cumsum()[::-1]  # places still for this many steps
            worth = spared[last - steps] + lasting[steps] * steps
            best = int(worth.argmax())
            if worth[best] > spared[last + 1]:
                spared[last + 1] = worth[best]
                begins[last] = last - steps[best]
    ends = [frames]
    while (begin := int(begins[ends[-1] - 1])) > 0:
        ends.append(begin)
    return ends[::-1]


def still_means(patches: Tensor, held: Tensor, places: Tensor) -> Tensor:
    """Average each place over the frames that hold it: (s, D) float32, computed in chunks of frames."""
    sums = torch.zeros(len(places), patches.shape[2], device=patches.device)
    for chunk in frame_chunks(patches):
        sums += (patches[chunk][:, places].float() * held[chunk][:, places, None]).sum(0)
    return sums / held[:, places].sum(0)[:, None]
