"""Bipartite token merging to a fixed number of tokens, batched over frames.

The matching follows ToMe (Bolya et al., "Token Merging: Your ViT But Faster", ICLR 2023) as DyTo's release uses
it after the projector. A round yields a `MergePlan`, a plan of indices that any tensor of the same layout can
follow: features, sizes, or a map of where each patch went.

Example:
    >>> patches = torch.randn(2, 36, 8, generator=torch.Generator().manual_seed(0))  # two frames of 36 patches
    >>> tuple(merge_tokens(patches, 10).shape)
    (2, 10, 8)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

REDUCTIONS = ("max", "mean", "weighted-mean")
SPLITS = ("halves", "alternate")
ORDERS = ("release", "raster")
METRIC_GROUPS = 16

CACHE_BYTES = 4 << 20
"""Bytes of tokens that are merged at a time on a CPU, so that they are read from memory once."""


@dataclass(frozen=True)
class MergePlan:
    """One round of merging: the tokens that stay, and the token that each of the others merges into.

    Attributes:
        kept: (B, m) input position of every output token, in output order.
        owner: (B, n) output position of every input token, kept or merged away.
        a: Input positions that look for a partner; only these are merged away.
        best: (B, |a|) similarity of each of these to its partner; NaN if a vector holds NaN.
    """

    kept: Tensor
    owner: Tensor
    a: slice
    best: Tensor

    def apply(self, x: Tensor, reduce: str = "max", sizes: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """Merge a tensor along the plan.

        Args:
            x: (B, n, D) tokens.
            reduce: Elementwise "max"; "mean" of the tokens merged in this round; or "weighted-mean" by `sizes`.
            sizes: (B, n) number of patches that each token already stands for; for "weighted-mean".
            out: (B, m, D) contiguous output tensor.

        Returns:
            (B, m, D) in the dtype of `x`.
        """
        batch, m = self.kept.shape
        dim = x.shape[2]
        frame = torch.arange(batch, device=x.device)[:, None]
        rows = (self.kept + frame * x.shape[1]).flatten()  # (B * m,)
        flat = None if out is None else out.view(batch * m, dim)
        kept = torch.index_select(x.flatten(0, 1), 0, rows, out=flat)  # (B * m, D)
        moved = x[:, self.a].flatten(0, 1)  # (B * |a|, D); an unmerged a merges with itself, which changes nothing
        target = (self.owner[:, self.a] + frame * m).flatten()  # (B * |a|,)
        if reduce == "max":
            kept.scatter_reduce_(0, target[:, None].expand_as(moved), moved, "amax")
            return kept.view(batch, m, dim)
        weight = torch.ones(batch, x.shape[1], device=x.device)
        if reduce == "weighted-mean" and sizes is not None:
            weight = sizes.float()
        moved_weight = weight[:, self.a].flatten()[:, None]
        kept_weight = weight.gather(1, self.kept).flatten()[:, None]
        accurate = torch.promote_types(x.dtype, torch.float32)
        total = self._sum(kept_weight, moved_weight, target)
        added = self._sum(kept.to(accurate) * kept_weight, moved.to(accurate) * moved_weight, target)
        return kept.copy_(added / total).view(batch, m, dim)

    def _sum(self, kept: Tensor, moved: Tensor, target: Tensor) -> Tensor:
        """Add `moved` (B * |a|, D) into the rows `target` of `kept` (B * m, D), in a fixed order."""
        if kept.device.type == "cpu":
            return kept.index_add(0, target, moved)
        return kept + self._product(moved).view_as(kept)  # on other devices index_add adds in any order

    def _product(self, moved: Tensor) -> Tensor:
        """Sum the rows of `moved` (B * |a|, D) by output token into (B, m, D), with a matrix product."""
        batch, m = self.kept.shape
        place = torch.arange(m, device=moved.device)[:, None]
        chosen = self.owner[:, None, self.a] == place  # (B, m, |a|)
        return chosen.to(moved.dtype) @ moved.view(batch, -1, moved.shape[1])


def match_tokens(metric: Tensor, r: int, split: str = "halves", order: str = "release") -> MergePlan:
    """Match the tokens to merge, r per frame, by bipartite soft matching.

    Tokens are split into A and B; each a finds its most similar b, and the r best-matched a's are merged.
    Ties go to the lower index, so the plan is the same on every device, up to rounding of the similarities.

    Args:
        metric: (B, n, d) L2-normalised vectors to compare.
        r: Tokens to merge away, at most n // 2.
        split: "halves" (the first n // 2 and the rest, as in the release) or "alternate" (as in ToMe).
        order: "release" (unmerged a's by descending similarity, then all b's) or "raster" (input order).

    Returns:
        The plan.
    """
    batch, n, _ = metric.shape
    index = torch.arange(n, device=metric.device)
    a, b = (slice(0, n // 2), slice(n // 2, n)) if split == "halves" else (slice(0, n, 2), slice(1, n, 2))
    scores = metric[:, a] @ metric[:, b].transpose(1, 2)  # (B, |a|, |b|)
    best, nearest = scores.max(2)  # (B, |a|), the first among equals
    ranking = torch.sort(best, dim=1, descending=True, stable=True).indices  # (B, |a|)
    unmerged = index[a][ranking[:, r:]]  # (B, |a| - r)
    kept = torch.cat([unmerged, index[b].expand(batch, -1)], 1)  # (B, n - r)
    if order == "raster":
        kept = kept.sort(1).values
    owner = torch.empty(batch, n, dtype=torch.int64, device=metric.device)
    owner.scatter_(1, kept, index.expand(batch, -1))
    merged = ranking[:, :r]
    partner = index[b][nearest.gather(1, merged)]  # (B, r) input position of the b they go to
    owner.scatter_(1, index[a][merged], owner.gather(1, partner))
    return MergePlan(kept=kept, owner=owner, a=a, best=best)


def similarity_metric(x: Tensor, groups: int = METRIC_GROUPS) -> Tensor:
    """Return the vectors that tokens are compared by: the mean over `groups` slices of the features, L2-normalised.

    Args:
        x: (B, n, D) tokens.
        groups: Number of slices (the release uses 16, as if they were attention heads). If D is not a multiple of
            it, the features themselves are used.

    Returns:
        (B, n, D / groups) in float32, or in float64 if `x` is. A zero vector stays zero: it is similar to nothing.
    """
    batch, n, dim = x.shape
    metric = x.to(torch.promote_types(x.dtype, torch.float32))
    if groups > 1 and dim % groups == 0:
        width = dim // groups  # a sum is enough: normalising removes the length
        metric = metric.reshape(batch * n, groups, width).sum(1).view(batch, n, width)
    return torch.nn.functional.normalize(metric, dim=2)


def merge_with_owners(
    x: Tensor,
    keep: int,
    reduce: str = "max",
    split: str = "halves",
    order: str = "release",
    groups: int = METRIC_GROUPS,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Merge as `merge_tokens` does, and also return where each token went.

    Args:
        x: (B, N, D) tokens of B frames; for this and the next arguments, see `merge_tokens`.
        keep: Number of tokens to keep per frame.
        reduce: How merged tokens combine.
        split: How tokens are split for matching.
        order: Order of the output.
        groups: Number of feature slices that the metric averages.
        out: (B, min(keep, N), D) contiguous output tensor for the tokens.

    Returns:
        (B, min(keep, N), D) merged tokens and (B, N) int64, the output position of each input token.

    Raises:
        ValueError: As for `merge_tokens`.
    """
    _check(x, keep, reduce, split, order)
    batch, n, _ = x.shape
    owner = torch.arange(n, device=x.device).expand(batch, n)
    if n <= keep:
        return (x if out is None else out.copy_(x)), owner
    if out is None:
        out = x.new_empty(batch, keep, x.shape[2])
    at_once = batch if x.device.type != "cpu" else max(1, CACHE_BYTES // (n * x.shape[2] * x.element_size()))
    cut = zip(torch.split(x, at_once), torch.split(owner, at_once), torch.split(out, at_once), strict=True)
    parts = [_merge(*some, reduce, split, order, groups) for some in cut]
    owners, similarities = (torch.cat(part) for part in zip(*parts, strict=True))
    if not torch.isfinite(similarities).all():  # checked once, because it waits for the device
        raise ValueError("tokens hold NaN or infinity and cannot be compared")
    return out, owners


def _merge(
    x: Tensor, owner: Tensor, out: Tensor, reduce: str, split: str, order: str, groups: int
) -> tuple[Tensor, Tensor]:
    """Merge tokens (B, N, D) into `out` (B, keep, D); return owners (B, N) and the similarities of all rounds."""
    (batch, n, _), keep = x.shape, out.shape[1]
    sizes, similarities = None, []
    while n > keep:
        r = min(n - keep, n // 2)
        plan = match_tokens(similarity_metric(x, groups), r, split, order)
        n -= r
        similarities.append(plan.best.flatten())
        x = plan.apply(x, reduce, sizes, out if n == keep else None)
        owner = plan.owner.gather(1, owner)
        if reduce == "weighted-mean":
            sizes = torch.zeros(batch, n, device=x.device).scatter_add_(
                1, owner, torch.ones(owner.shape, device=x.device)
            )
    return owner, torch.cat(similarities)


def merge_tokens(
    x: Tensor,
    keep: int,
    reduce: str = "max",
    split: str = "halves",
    order: str = "release",
    groups: int = METRIC_GROUPS,
) -> Tensor:
    """Merge the tokens of each frame until `keep` are left.

    Each round merges away r = min(n - keep, n // 2) tokens, until `keep` are left. Frames do not influence each
    other. The defaults are DyTo's release.

    Args:
        x: (B, N, D) tokens of B frames, in raster order.
        keep: Number of tokens to keep per frame, at least 1; if it is N or more, nothing is merged.
        reduce: Elementwise "max", "mean", or "weighted-mean" by the number of patches a token stands for.
        split: "halves" or "alternate", see `match_tokens`.
        order: "release" or "raster", see `match_tokens`.
        groups: See `similarity_metric`.

    Returns:
        (B, min(keep, N), D) tokens on the device and in the dtype of `x`.

    Raises:
        ValueError: `x` is not (B, N, D), `keep` is below 1, an option is unknown, or tokens to merge hold NaN or
            infinity.

    Source:
        DyTo (arXiv 2411.14401), section 3.3, and its released code; section 5 of `docs/method.md`.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[1.0, 0.0], [0.0, 3.0], [2.0, 0.1], [0.0, 1.0]]])   # one frame, four tokens
        >>> merge_tokens(x, 3)                 # token 0 and token 2 look alike, but 1 and 3 even more
        tensor([[[1.0000, 0.0000],
                 [2.0000, 0.1000],
                 [0.0000, 3.0000]]])
    """
    return merge_with_owners(x, keep, reduce, split, order, groups)[0]


def _check(x: Tensor, keep: int, reduce: str, split: str, order: str) -> None:
    if x.ndim != 3 or 0 in x.shape[1:]:
        raise ValueError(f"tokens have shape {tuple(x.shape)}, expected (B, N, D) with N >= 1 and D >= 1")
    if keep < 1:
        raise ValueError(f"keep is {keep}, expected at least 1 token per frame")
    for name, value, known in (
        ("reduce", reduce, REDUCTIONS),
        ("split", split, SPLITS),
        ("order", order, ORDERS),
    ):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")
