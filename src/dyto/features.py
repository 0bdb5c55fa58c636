"""Features from a vision tower (`FrameFeatures`). The language model's tokens, `VisualTokens`, are in `dyto.tokens`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto._shapes import is_grid, numbers_of, per_frame, usable_features
from dyto.errors import BadFeaturesError
from dyto.finch import FloatArray, IntArray
from dyto.tokens import KeyFrames, Sources, VisualTokens

__all__ = [
    "FrameFeatures",
    "KeyFrames",
    "PatchLoader",
    "Sources",
    "Stands",
    "VisualTokens",
    "select",
    "usable_features",
]

PatchLoader = Callable[[Tensor], Tensor]
"""Function from (K,) int64 frame positions, on the CPU, to the projected patches of these frames, (K, N, D)."""

MergedLoader = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Function from (K,) frame positions and a number of tokens to (K, R, D) merged patches, R at least that number, and
(K, N) the one that each patch went to."""


class Stands(NamedTuple):
    """What frames stand for, if each was kept for a whole segment of a video.

    Attributes:
        sizes: (T,) frames of each segment.
        means: (T, D) float32 mean direction of each.
        noise: How far apart frames of one scene are, see `dyto.strategies.scenes.noise_level`.
    """

    sizes: IntArray
    means: npt.NDArray[np.float32]
    noise: float


@dataclass(frozen=True, repr=False)
class FrameFeatures:
    """Features of T frames in the space of the language model.

    Arrays work as well as tensors. Patches loaded on demand are moved to the device and dtype of the summary.

    Attributes:
        summary: (T, D) one projected vector per frame: CLS, or the mean patch if the tower has no CLS.
        grid: Rows and columns of the patches of a frame, in raster order; N = rows * columns.
        load_patches: Projects the patches of the requested frames, and no others.
        indices: (T,) number of each frame in its video.
        seconds: (T,) time of each frame in its video.
        summary_source: "CLS" or "mean patch".
        attention: (T, N) attention each patch receives from the summary, if requested.
        patch_dim: Dimensions of a patch, if they differ from those of the summary because an eye made it.
        load_deep: For a family that feeds layers of its tower to layers of the language model (DeepStack): the
            projected features of these layers, (levels, K, N, D), for the requested frames.
        stands: The segments that the frames stand for; None if each stands for itself.
        load_merged: Gives patches that were merged before, each round halving their number as in `dyto.merge`, so that
            merging goes on from there.

    Example:
        >>> import numpy as np, dyto
        >>> model = dyto.load_model("tiny")
        >>> features = model.encode(dyto.sample_frames(np.zeros((4, 48, 48, 3), np.uint8)))
        >>> features.grid, tuple(features.patches([0, 3]).shape)
        ((6, 6), (2, 36, 192))
    """

    summary: Tensor
    grid: tuple[int, int]
    load_patches: PatchLoader
    indices: IntArray
    seconds: FloatArray
    summary_source: str = "CLS"
    attention: Tensor | None = None
    load_deep: PatchLoader | None = None
    patch_dim: int | None = None
    stands: Stands | None = None
    load_merged: MergedLoader | None = None

    def __post_init__(self) -> None:
        summary = numbers_of(self.summary, "summary")
        if summary.ndim != 2 or not summary.numel():
            raise BadFeaturesError(f"summary has shape {tuple(summary.shape)}, expected (T, D) with T >= 1 and D >= 1")
        object.__setattr__(self, "summary", summary)
        for name, dtype in (("indices", np.int64), ("seconds", np.float64)):
            object.__setattr__(self, name, per_frame(getattr(self, name), name, dtype, len(summary)))
        if not is_grid(self.grid):
            raise BadFeaturesError(f"grid is {self.grid!r}, expected rows and columns of patches, at least 1 each")
        if self.attention is not None:
            attention, shape = numbers_of(self.attention, "attention"), (len(summary), self.num_patches)
            if attention.shape != shape:
                raise BadFeaturesError(f"attention has shape {tuple(attention.shape)}, expected {shape}")
            object.__setattr__(self, "attention", attention)

    def __len__(self) -> int:
        return len(self.summary)

    def __repr__(self) -> str:
        return (
            f"FrameFeatures(summary={tuple(self.summary.shape)} {self.summary_source}, grid={self.grid}, "
            f"device={self.summary.device}, dtype={self.summary.dtype})"
        )

    @property
    def num_patches(self) -> int:
        """Number of patches per frame, N."""
        return self.grid[0] * self.grid[1]

    @property
    def num_seen(self) -> int:
        """Number of frames that were encoded: T, or the frames of all segments."""
        return len(self) if self.stands is None else int(self.stands.sizes.sum())

    @property
    def dim(self) -> int:
        """Dimensions of a patch, D: those of the space of the language model."""
        return self.patch_dim or self.summary.shape[1]

    def patches(self, positions: Sequence[int] | IntArray | Tensor | None = None) -> Tensor:
        """Project the patches of some frames.

        Args:
            positions: (K,) positions among the T frames; None for all.

        Returns:
            (K, N, D) in raster order, on the device and in the dtype of the summary.

        Raises:
            BadFeaturesError: `load_patches` gives another shape.
        """
        if positions is None:
            positions = np.arange(len(self), dtype=np.int64)
        wanted = torch.as_tensor(positions, dtype=torch.int64, device="cpu")
        patches = numbers_of(self.load_patches(wanted), "patches").to(self.summary)
        expected = (len(wanted), self.num_patches, self.dim)
        if patches.shape != expected:
            raise BadFeaturesError(
                f"the patches of {len(wanted)} frames have shape {tuple(patches.shape)}, expected {expected}: frames, "
                "patches of the grid, dimensions of a patch"
            )
        return patches

    def deep_of(self, positions: IntArray, sources: Sources, count: int) -> Tensor | None:
        """Return the DeepStack features of tokens: for each token the mean over its patches.

        The language model adds them to its hidden states, so a mean keeps their scale. A token from a single patch
        gets that patch's features unchanged.

        Args:
            positions: (K,) positions of the key frames in `sources` among the T frames.
            sources: The patches behind each token.
            count: Number of tokens, L.

        Returns:
            (levels, L, D), or None for a family without DeepStack.

        Raises:
            ValueError: A token has no patch.
        """
        if self.load_deep is None:
            return None
        held = np.bincount(sources.token, minlength=count)  # (L,)
        if len(held) != count or not held.all():
            raise ValueError(f"{int((held == 0).sum())} of {count} tokens come from no patch, expected at least one")
        deep = self.load_deep(torch.as_tensor(positions, dtype=torch.int64, device="cpu"))  # (levels, K, N, D)
        if not len(deep):
            return deep.new_zeros(0, count, deep.shape[-1])
        rows = torch.from_numpy(sources.keyframe * self.num_patches + sources.patch).to(deep.device)  # (M,)
        lengths = torch.from_numpy(held).to(deep.device)
        means = [
            torch.segment_reduce(level.flatten(0, 1)[rows].float(), "mean", lengths=lengths).to(deep.dtype)
            for level in deep
        ]
        return torch.stack(means)

    @classmethod
    def from_projected(
        cls,
        features: Tensor | npt.NDArray[Any],
        *,
        has_cls: bool = True,
        grid: tuple[int, int] | None = None,
        indices: npt.ArrayLike | None = None,
        seconds: npt.ArrayLike | None = None,
    ) -> FrameFeatures:
        """Wrap features that have already passed the projector.

        Args:
            features: (T, 1 + N, D) with CLS first, or (T, N, D) with `has_cls=False`; array or tensor.
            has_cls: Whether the first token of each frame is CLS; otherwise the mean patch is the summary.
            grid: Rows and columns of the N patches; by default a square, or one row if N is not a square.
            indices: (T,) frame numbers, by default 0 .. T-1.
            seconds: (T,) times, by default the frame numbers.

        Returns:
            The features, on their device and in their dtype.

        Raises:
            BadFeaturesError: The shapes do not fit together.

        Example:
            >>> import numpy as np
            >>> FrameFeatures.from_projected(np.ones((4, 1 + 9, 8), dtype="float32"))
            FrameFeatures(summary=(4, 8) CLS, grid=(3, 3), device=cpu, dtype=torch.float32)
        """
        x = numbers_of(features, "features")
        if x.ndim != 3 or x.shape[1] <= int(has_cls):
            expected = "(T, 1 + N, D)" if has_cls else "(T, N, D)"
            raise BadFeaturesError(f"features have shape {tuple(x.shape)}, expected {expected}")
        patches = x[:, 1:] if has_cls else x  # (T, N, D)
        n = patches.shape[1]
        if grid is None:
            side = math.isqrt(n)
            grid = (side, side) if side * side == n else (1, n)
        if grid[0] * grid[1] != n:
            raise BadFeaturesError(f"grid {grid[0]} x {grid[1]} does not match the {n} patches of a frame")
        number = np.arange(len(x)) if indices is None else per_frame(indices, "indices", np.int64, len(x))
        return cls(
            summary=x[:, 0] if has_cls else patches.mean(1),
            grid=grid,
            load_patches=lambda positions: _rows(patches, positions),
            indices=number,
            seconds=per_frame(number if seconds is None else seconds, "seconds", np.float64, len(x)),
            summary_source="CLS" if has_cls else "mean patch",
        )


def _rows(x: Tensor, positions: Tensor) -> Tensor:
    """Return some rows of a tensor; a single row is not copied."""
    return x[int(positions) :][:1] if len(positions) == 1 else x[positions.to(x.device)]


def select(features: FrameFeatures, positions: IntArray) -> FrameFeatures:
    """Return the features of some frames; patches are still loaded on demand.

    Args:
        features: Features of T frames.
        positions: (K,) positions of the frames to keep.
    """
    changes: dict[str, Any] = {"stands": None, "load_merged": None}
    for name, value in vars(features).items():
        if name in changes:
            continue
        if isinstance(value, Tensor):
            changes[name] = value[torch.from_numpy(positions).to(value.device)]
        elif isinstance(value, np.ndarray):
            changes[name] = value[positions]
        elif callable(value):
            changes[name] = _at(value, torch.from_numpy(positions))
    return replace(features, **changes)


def _at(load: Callable[[Tensor], Tensor], positions: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda wanted: load(positions[wanted])
