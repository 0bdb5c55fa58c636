"""FlashVID without its stage inside the language model: diverse patches, and trees of similar ones over time.

Source: Fan et al., "FlashVID: Efficient Video Large Language Models via Training-free Tree-based Spatiotemporal Token
Merging" (arXiv 2602.08024, ICLR 2026), as its code does it. docs/rivals.md lists the differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import IntArray
from dyto.keyframes import thin
from dyto.strategies.base import MOST_LAYERS, LooksAtAttention, check_at_least, check_flags, check_shares, check_words
from dyto.strategies.density import TIES, distances, highest, nearest_centre, peak_scores
from dyto.strategies.diversity import diverse_patches
from dyto.strategies.parts import Part, assemble_parts, together
from dyto.strategies.peaks import neighbour_cosines
from dyto.strategies.shared import check_finite, frame_chunks, group_sums, take_rows
from dyto.strategies.trees import find_links, links_above, roots_of, tree_sums
from dyto.strategies.uniform import whole_frames


@dataclass(frozen=True)
class FlashVIDOuter(LooksAtAttention):
    """Diverse patches with high attention, and trees of similar patches over time: FlashVID's stages outside the model.

    Attributes:
        segments: Smallest number of segments; no tree crosses a segment's end.
        threshold: Cosine of the mean patches of consecutive frames below which a segment always ends.
        diverse: Share of the tokens that are diverse patches; the rest represent the other patches.
        relevance: Whether to prefer diverse patches that are similar to their segment.
        link: Cosine with the most similar patch one frame earlier above which a patch joins its tree.
        neighbours: Number of nearest trees of a frame for the density, including the tree itself.
        counts: Divisor of a tree's sum: "true" for its patches, or "release" for 1 + the patches that joined its root
            directly, which makes the tokens of deep trees too long.
        repeats: Whether a patch may be kept twice, as in the release: in a segment of one frame, where diverse patches
            are clustered again with the others, and where relevance is far below 0.
        ties: Order of equal density peaks: the lower "place" first, or "release", as in `torch.topk`.
        attention_layer: Layer of the tower whose attention is used.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.FlashVIDOuter(token_budget=90)).encode(video)
        VisualTokens(90 tokens of 12 key frames, budget=90, uncompressed=432, dim=192)
    """

    segments: int = 8
    threshold: float = 0.9
    diverse: float = 0.7
    relevance: bool = True
    link: float = 0.8
    neighbours: int = 7
    counts: str = "true"
    repeats: bool = False
    ties: str = "place"
    attention_layer: int = -2
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "flashvid-outer"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "segments", "neighbours")
        check_at_least(self, -1.0, "threshold", "link")
        check_shares(self, "diverse")
        check_flags(self, "relevance", "repeats")
        check_words(self, counts=("true", "release"), ties=TIES)
        check_at_least(self, -MOST_LAYERS, "attention_layer")

    @torch.no_grad()
    def compress(self, features: FrameFeatures, attention: Tensor) -> VisualTokens:
        """Keep diverse patches, and merge the others over time and then in each frame.

        Args:
            features: Features of the T sampled frames.
            attention: (T, N) attention that each patch receives.

        Returns:
            The min(budget, T * N) tokens in the order of the video, each at the earliest of its patches or, if trees
            were merged, at that of the central tree. If the budget is below T, that many evenly spread frames are
            kept.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = self.budget_for(n)
        positions = thin(np.arange(len(features)), budget)  # of the kept frames, T from here on
        attention = attention[positions]
        check_finite(attention)
        patches = features.patches(positions)  # (T, N, D)
        means = torch.cat([patches[chunk].float().mean(1) for chunk in frame_chunks(patches)])
        check_finite(means)
        if budget >= len(features) * n:
            return whole_frames(features, positions, budget, len(features) * n)
        ends = parted_ends(means, self.segments, self.threshold, self.ties)
        each = budget // len(positions)  # smallest number of tokens per frame
        diverse = math.ceil(each * self.diverse)
        picks = self._picks(patches, attention, means, ends, diverse)  # (T, diverse)
        chosen = torch.zeros(patches.shape[:2], dtype=torch.bool, device=patches.device).scatter_(1, picks, True)
        place = (picks.cpu().numpy() + np.arange(len(picks))[:, None] * n).ravel()
        parts = [Part(take_rows(patches, picks).flatten(0, 1), place, np.arange(len(place)), place)]
        if budget > len(place):
            parts += self._trees(patches, chosen, ends, each, budget - len(place))
        return assemble_parts(self, features, positions, [together(parts).in_order()], budget)

    def _picks(self, patches: Tensor, attention: Tensor, means: Tensor, ends: list[int], count: int) -> Tensor:
        """Return the (T, count) places of the diverse patches of each frame."""
        if not self.relevance:
            return diverse_patches(patches, attention, None, count, self.repeats)
        relevance = torch.empty_like(attention)
        for start, stop in zip([0, *ends], ends, strict=False):
            centre = means[start:stop].mean(0)
            for chunk in frame_chunks(patches[start:stop]):
                relevance[start:stop][chunk] = patches[start:stop][chunk].float() @ centre
        return diverse_patches(patches, attention, relevance, count, self.repeats)

    def _trees(self, patches: Tensor, chosen: Tensor, ends: list[int], each: int, total: int) -> list[Part]:
        """Make this many tokens of the patches that were not chosen, (T, N), frame by frame."""
        n, spans = patches.shape[1], list(zip([0, *ends], ends, strict=False))
        alike, parent = find_links(patches, chosen, ends)  # (T, N) each
        linked = np.concatenate([links_above(alike[a:b], self.link, each * (b - a)) for a, b in spans])
        free = ~chosen.cpu().numpy()
        for start, stop in spans:
            free[start:stop] |= self.repeats and stop - start == 1
        quota = each - math.ceil(each * self.diverse)
        roots = (free & ~linked).sum(1)  # (T,)
        counts = cluster_counts(roots, ends, quota, total)
        if (missing := total - int(counts.sum())) > 0:  # then every root is a token, so cut the weakest links
            frame, place = np.nonzero(linked)
            weakest = np.argsort(alike[frame, place], kind="stable")[:missing]
            linked[frame[weakest], place[weakest]] = False
            counts = counts + np.bincount(frame[weakest], minlength=len(counts))
        root = roots_of(linked, parent).ravel()  # (T * N,)
        weight = np.bincount(root, minlength=root.size)
        if self.counts == "release":
            frame, place = np.nonzero(linked)
            weight = 1 + np.bincount((frame - 1) * n + parent[frame, place], minlength=root.size)
        members = np.flatnonzero(free)
        members = members[np.argsort(root[members], kind="stable")]
        bounds = np.searchsorted(root[members], np.arange(len(free) + 1) * n)  # of the trees that begin in a frame
        parts = []
        for frame in np.flatnonzero(counts).tolist():
            own = members[bounds[frame] : bounds[frame + 1]]
            parts.append(self._cluster(patches, own, root[own], weight, int(counts[frame])))
        return parts

    def _cluster(self, patches: Tensor, members: IntArray, root: IntArray, weight: IntArray, count: int) -> Part:
        """Make this many tokens of the trees that begin in one frame.

        Args:
            patches: (T, N, D) patches.
            members: (m,) places of the patches of these trees, sorted by tree.
            root: (m,) root of each patch, as a place.
            weight: (T * N,) divisor of a tree's sum, by its root.
            count: Number of tokens wanted.
        """
        device = patches.device
        places, tree = np.unique(root, return_inverse=True)  # (r,), (m,)
        sums = tree_sums(patches, torch.from_numpy(members).to(device), torch.from_numpy(tree).to(device), len(places))
        x = sums / torch.from_numpy(weight[places]).to(device)[:, None]
        if count == len(places):
            return Part(x.to(patches.dtype), places, tree, members)
        apart = distances(x)
        centres = highest(peak_scores(apart, min(self.neighbours, count)), count, self.ties)
        joined = nearest_centre(apart, centres)
        means = group_sums(x, joined, count) / torch.bincount(joined, minlength=count)[:, None]
        token = joined.cpu().numpy()[tree]
        order = np.argsort(token, kind="stable")
        return Part(means.to(patches.dtype), places[centres.cpu().numpy()], token[order], members[order])


def parted_ends(means: Tensor, count: int, threshold: float, ties: str = "place") -> list[int]:
    """Return the ends of segments of similar frames.

    Args:
        means: (T, D) mean patch of each frame.
        count: Smallest number of segments, if enough frames differ.
        threshold: Cosine of consecutive frames below which a segment always ends.
        ties: Order in which equally dissimilar neighbours are separated, as in `highest`.

    Returns:
        Ends of the segments, exclusive, ascending; the last is T. Neighbours that are already separated count as equal
        when more ends are needed.

    Example:
        >>> parted_ends(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0], [0.1, 1.0]]), 3, 0.9)
        [1, 2, 5]
    """
    alike = neighbour_cosines(means)
    parted = alike < threshold
    if (missing := count - 1 - int(parted.sum())) > 0:
        parted[highest(-alike.masked_fill(parted, 1.0), min(missing, len(alike)), ties)] = True
    return [*(parted.nonzero().flatten() + 1).tolist(), len(means)]


def cluster_counts(roots: IntArray, ends: list[int], quota: int, total: int) -> IntArray:
    """Return the number of tokens for the trees that begin in each frame.

    Args:
        roots: (T,) numbers of these trees.
        ends: Ends of the segments.
        quota: Average number of tokens per frame of a segment.
        total: Number of all tokens.

    Returns:
        (T,) at most `roots`, and `total` in all if there are enough roots: within a segment in proportion to roots,
        rounded up. An excess is taken from where most was rounded, first from frames with several tokens; a
        shortfall is given to where most trees would be merged.

    Example:
        >>> [cluster_counts(np.array([9, 3, 3]), [3], 2, total).tolist() for total in (6, 7, 8, 9)]
        [[4, 1, 1], [4, 1, 2], [4, 2, 2], [5, 2, 2]]
    """
    wanted = np.zeros(len(roots))
    for start, stop in zip([0, *ends], ends, strict=False):
        there = int(roots[start:stop].sum())
        wanted[start:stop] = roots[start:stop] * min(1.0, quota * (stop - start) / max(1, there))
    counts = np.ceil(wanted).astype(np.int64)
    while (missing := total - int(counts.sum())) < 0:
        several = np.flatnonzero(counts > min(1, counts.max() - 1))
        order = several[np.argsort((wanted - counts)[several], kind="stable")]
        counts[order[:-missing]] -= 1
    while (missing := total - int(counts.sum())) > 0 and (counts < roots).any():
        room = np.flatnonzero(counts < roots)
        order = room[np.argsort((counts - roots)[room], kind="stable")]
        counts[order[:missing]] += 1
    return counts
