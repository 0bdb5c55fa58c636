"""Bipartite token merging to a fixed number of tokens, batched over frames.

The matching follows ToMe (Bolya et al., "Token Merging: Your ViT But Faster", ICLR 2023) as DyTo's release uses
it after the projector. A round yields a `MergePlan`, a plan of indices that any tensor of the same layout can
ride: features, sizes, or a map of where each patch went.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

REDUCTIONS = ("max", "mean", "weighted-mean")
SPLITS = ("halves", "alternate")
ORDERS = ("release", "raster")
METRIC_GROUPS = 16


@dataclass(frozen=True)
class MergePlan:
    """One round of merging: which tokens stay, and into which of them the others go.

    Attributes:
        kept: (B, m) input position of every output token, in output order.
        merged: (B, r) input positions of the tokens merged away, best match first.
        target: (B, r) output position each of them goes to.
    """

    kept: Tensor
    merged: Tensor
    target: Tensor

    def owners(self) -> Tensor:
        """(B, m + r) output position of every input token."""
        batch, m = self.kept.shape
        owner = self.kept.new_empty(batch, m + self.merged.shape[1])
        owner.scatter_(1, self.kept, torch.arange(m, device=owner.device).expand(batch, m))
        return owner.scatter_(1, self.merged, self.target)

    def apply(self, x: Tensor, reduce: str = "max", sizes: Tensor | None = None) -> Tensor:
        """Merge a tensor along the plan.

        Args:
            x: (B, m + r, D) tokens.
            reduce: "max" elementwise; "mean" of the tokens that meet in this round; "weighted-mean" by `sizes`.
            sizes: (B, m + r) how many patches each token already stands for; for "weighted-mean".

        Returns:
            (B, m, D), the dtype of `x`.
        """
        batch, n, dim = x.shape
        m, r = self.kept.shape[1], self.merged.shape[1]
        frame = torch.arange(batch, device=x.device)[:, None]
        flat = x.reshape(batch * n, dim)
        out = flat.index_select(0, (self.kept + frame * n).flatten())  # (B * m, D)
        if r == 0:
            return out.view(batch, m, dim)
        moved = flat.index_select(0, (self.merged + frame * n).flatten())  # (B * r, D)
        target = (self.target + frame * m).flatten()  # (B * r,)
        if reduce == "max":
            out.scatter_reduce_(0, target[:, None].expand_as(moved), moved, "amax")
            return out.view(batch, m, dim)
        weight = torch.ones(batch, n, device=x.device) if reduce == "mean" or sizes is None else sizes.float()
        kept_weight = weight.gather(1, self.kept).flatten()
        moved_weight = weight.gather(1, self.merged).flatten()
        total = self._sum(kept_weight[:, None], moved_weight[:, None], target)
        accurate = torch.promote_types(x.dtype, torch.float32)
        merged = self._sum(
            out.to(accurate) * kept_weight[:, None], moved.to(accurate) * moved_weight[:, None], target
        )
        return (merged / total).to(x.dtype).view(batch, m, dim)

    def _sum(self, out: Tensor, moved: Tensor, target: Tensor) -> Tensor:
        """Add `moved` (B * r, D) into the rows `target` of `out` (B * m, D), in an order that never varies."""
        if out.device.type == "cpu":
            return out.index_add(0, target, moved)
        batch, m = self.kept.shape  # elsewhere index_add adds in any order; a matrix product does not
        chosen = self.target[:, None, :] == torch.arange(m, device=out.device)[:, None]  # (B, m, r)
        added = chosen.to(out.dtype) @ moved.view(batch, -1, moved.shape[1])
        return out + added.view_as(out)


def match_tokens(metric: Tensor, r: int, split: str = "halves", order: str = "release") -> MergePlan:
    """Match tokens to be merged, r per frame, by bipartite soft matching.

    Tokens are split into A and B; each a looks for its most similar b, and the r best matched a's are merged.
    Ties go to the lower index, so the plan is the same on every device but for rounding of the similarities.

    Args:
        metric: (B, n, d) L2-normalised vectors to compare.
        r: Tokens to merge away, at most n // 2.
        split: "halves" (first n // 2 against the rest, the release) or "alternate" (ToMe itself).
        order: "release" (unmerged a's by falling similarity, then all b's) or "raster" (input order).

    Returns:
        The plan.
    """
    n = metric.shape[1]
    index = torch.arange(n, device=metric.device)
    a, b = (index[: n // 2], index[n // 2 :]) if split == "halves" else (index[0::2], index[1::2])
    scores = metric[:, a] @ metric[:, b].transpose(1, 2)  # (B, |a|, |b|)
    best = scores.amax(2)  # (B, |a|)
    place = torch.arange(len(b), device=metric.device)
    nearest = torch.where(scores == best[..., None], place, len(b)).amin(2)  # first b that attains the best
    ranking = torch.sort(best, dim=1, descending=True, stable=True).indices  # (B, |a|)
    unmerged = a[ranking[:, r:]]  # (B, |a| - r)
    kept = torch.cat([unmerged, b.expand(len(metric), -1)], 1)  # (B, n - r)
    target = nearest.gather(1, ranking[:, :r]) + unmerged.shape[1]  # (B, r)
    if order == "raster":
        kept, position = kept.sort(1)
        target = position.argsort(1).gather(1, target)
    return MergePlan(kept=kept, merged=a[ranking[:, :r]], target=target)


def similarity_metric(x: Tensor, groups: int = METRIC_GROUPS) -> Tensor:
    """What tokens are compared by: the mean over `groups` slices of the features, L2-normalised.

    Args:
        x: (B, n, D) tokens.
        groups: Number of slices (the release takes 16 as if they were attention heads). Where D is not a
            multiple of it, the features themselves are taken.

    Returns:
        (B, n, D / groups) in float32, or float64 where `x` is. A zero vector stays zero: similar to nothing.
    """
    batch, n, dim = x.shape
    metric = x.to(torch.promote_types(x.dtype, torch.float32))
    if groups > 1 and dim % groups == 0:
        metric = metric.view(batch, n, groups, dim // groups).mean(2)
    return torch.nn.functional.normalize(metric, dim=2)


def merge_with_owners(
    x: Tensor,
    keep: int,
    reduce: str = "max",
    split: str = "halves",
    order: str = "release",
    groups: int = METRIC_GROUPS,
) -> tuple[Tensor, Tensor]:
    """Merge as `merge_tokens` does, and say where each token went.

    Returns:
        (B, keep', D) merged tokens and (B, N) int64, the output position of each input token, where
        keep' = min(keep, N).

    Raises:
        ValueError: As `merge_tokens`.
    """
    _check(x, keep, reduce, split, order)
    batch, n, _ = x.shape
    owner = torch.arange(n, device=x.device).expand(batch, n)
    sizes = None
    while n > keep:
        r = min(n - keep, n // 2)
        metric = similarity_metric(x, groups)
        if not torch.isfinite(metric).all():
            raise ValueError("tokens hold NaN or infinity and cannot be compared")
        plan = match_tokens(metric, r, split, order)
        x = plan.apply(x, reduce, sizes)
        owner = plan.owners().gather(1, owner)
        n -= r
        if reduce == "weighted-mean":
            sizes = torch.zeros(batch, n, device=x.device).scatter_add_(
                1, owner, torch.ones(owner.shape, device=x.device)
            )
    return x, owner


def merge_tokens(
    x: Tensor,
    keep: int,
    reduce: str = "max",
    split: str = "halves",
    order: str = "release",
    groups: int = METRIC_GROUPS,
) -> Tensor:
    """Merge the tokens of each frame until `keep` are left.

    A round merges away r = min(n - keep, n // 2) tokens; rounds follow until the number is reached. Frames do
    not influence one another. The defaults are DyTo's release.

    Args:
        x: (B, N, D) tokens of B frames, in raster order.
        keep: Tokens to keep per frame, at least 1; where it is N or more, nothing is merged.
        reduce: "max" elementwise, "mean", or "weighted-mean" by the number of patches a token stands for.
        split: "halves" or "alternate", see `match_tokens`.
        order: "release" or "raster", see `match_tokens`.
        groups: See `similarity_metric`.

    Returns:
        (B, min(keep, N), D) tokens on the device and in the dtype of `x`.

    Raises:
        ValueError: `x` is not (B, N, D), `keep` is below 1, an option is unknown, or a token holds NaN.

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
