"""What a vision tower saw (`FrameFeatures`) and what the language model gets (`VisualTokens`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.finch import FloatArray, IntArray

PatchLoader = Callable[[Tensor], Tensor]
"""Takes (K,) int64 positions of frames, on the CPU, and returns their projected patches, (K, N, D)."""


@dataclass(frozen=True, repr=False)
class FrameFeatures:
    """Features of T frames in the space of the language model.

    Attributes:
        summary: (T, D) one projected vector per frame: CLS, or the mean patch where a tower has no CLS.
        grid: Rows and columns of the patches of a frame, in raster order; N = rows * columns.
        load_patches: Projects the patches of the frames asked for, and of no others.
        indices: (T,) number of each frame in the video it comes from.
        seconds: (T,) its time in that video.
        summary_source: "CLS" or "mean patch".
        attention: (T, N) attention each patch receives from the summary, where it was asked for.
        load_deep: For a family that feeds layers of its tower to layers of the language model (DeepStack): the
            projected features of these layers, (levels, K, N, D), for the frames asked for.
    """

    summary: Tensor
    grid: tuple[int, int]
    load_patches: PatchLoader
    indices: IntArray
    seconds: FloatArray
    summary_source: str = "CLS"
    attention: Tensor | None = None
    load_deep: PatchLoader | None = None

    def __post_init__(self) -> None:
        if self.summary.ndim != 2 or not len(self.summary):
            raise ValueError(f"summary has shape {tuple(self.summary.shape)}, expected (T, D) with T >= 1")
        for name in ("indices", "seconds"):
            if np.shape(getattr(self, name)) != (len(self),):
                raise ValueError(f"{name} has shape {np.shape(getattr(self, name))}, expected ({len(self)},)")

    def __len__(self) -> int:
        return len(self.summary)

    def __repr__(self) -> str:
        return (
            f"FrameFeatures(summary={tuple(self.summary.shape)} {self.summary_source}, grid={self.grid}, "
            f"device={self.summary.device}, dtype={self.summary.dtype})"
        )

    @property
    def num_patches(self) -> int:
        """Patches per frame, N."""
        return self.grid[0] * self.grid[1]

    def patches(self, positions: Sequence[int] | IntArray | Tensor | None = None) -> Tensor:
        """Project the patches of some frames.

        Args:
            positions: (K,) positions among the T frames; None for all of them.

        Returns:
            (K, N, D) in raster order.
        """
        if positions is None:
            positions = np.arange(len(self), dtype=np.int64)
        return self.load_patches(torch.as_tensor(positions, dtype=torch.int64, device="cpu"))

    def deep_of(self, positions: IntArray, sources: Sources, count: int) -> Tensor | None:
        """DeepStack features of tokens: the mean over the patches that each stands for.

        They are added to what the language model has made of a token, so that a mean keeps their scale; a token of
        one patch gets its features unchanged.

        Args:
            positions: (K,) positions among the T frames of the key frames that `sources` counts.
            sources: Where the tokens come from.
            count: Number of tokens, L.

        Returns:
            (levels, L, D), or None for a family without DeepStack.

        Raises:
            ValueError: A token comes from no patch.
        """
        if self.load_deep is None:
            return None
        held = np.bincount(sources.token, minlength=count)  # (L,)
        if len(held) != count or not held.all():
            raise ValueError(f"{int((held == 0).sum())} of {count} tokens come from no patch, expected at least one")
        deep = self.load_deep(torch.as_tensor(positions, dtype=torch.int64, device="cpu"))  # (levels, K, N, D)
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
        """Wrap features that already went through the projector.

        Args:
            features: (T, 1 + N, D) with CLS first, or (T, N, D) with `has_cls=False`; array or tensor.
            has_cls: Whether the first token of each frame is CLS; otherwise the mean patch is the summary.
            grid: Rows and columns of the N patches; by default a square, or one row where N is no square.
            indices: (T,) frame numbers, by default 0 .. T-1.
            seconds: (T,) times, by default the frame numbers.

        Returns:
            The features, on their device and in their dtype.

        Raises:
            ValueError: The shapes do not fit together.

        Example:
            >>> import numpy as np
            >>> FrameFeatures.from_projected(np.ones((4, 1 + 9, 8), dtype="float32"))
            FrameFeatures(summary=(4, 8) CLS, grid=(3, 3), device=cpu, dtype=torch.float32)
        """
        x = torch.as_tensor(features)
        if x.ndim != 3 or x.shape[1] <= int(has_cls):
            raise ValueError(f"features have shape {tuple(x.shape)}, expected (T, {'1 + ' if has_cls else ''}N, D)")
        patches = x[:, 1:] if has_cls else x  # (T, N, D)
        n = patches.shape[1]
        if grid is None:
            side = math.isqrt(n)
            grid = (side, side) if side * side == n else (1, n)
        if grid[0] * grid[1] != n:
            raise ValueError(f"grid {grid[0]} x {grid[1]} does not hold the {n} patches of a frame")
        number = np.arange(len(x), dtype=np.int64) if indices is None else np.asarray(indices, np.int64)
        return cls(
            summary=x[:, 0] if has_cls else patches.mean(1),
            grid=grid,
            load_patches=lambda positions: _rows(patches, positions),
            indices=number,
            seconds=number.astype(np.float64) if seconds is None else np.asarray(seconds, np.float64),
            summary_source="CLS" if has_cls else "mean patch",
        )


def _rows(x: Tensor, positions: Tensor) -> Tensor:
    """Some rows of a tensor; a single one without a copy."""
    return x[int(positions) :][:1] if len(positions) == 1 else x[positions.to(x.device)]


def select(features: FrameFeatures, positions: IntArray) -> FrameFeatures:
    """The features of some frames: what there is for each frame is cut, what is loaded on demand is looked up.

    Args:
        features: Of T frames.
        positions: (K,) which of them.
    """
    changes: dict[str, Any] = {}
    for name, value in vars(features).items():
        if isinstance(value, Tensor):
            changes[name] = value[torch.from_numpy(positions).to(value.device)]
        elif isinstance(value, np.ndarray):
            changes[name] = value[positions]
        elif callable(value):
            changes[name] = _at(value, torch.from_numpy(positions))
    return replace(features, **changes)


def _at(load: Callable[[Tensor], Tensor], positions: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda wanted: load(positions[wanted])


@dataclass(frozen=True)
class KeyFrames:
    """The frames whose tokens reach the language model.

    Attributes:
        indices: (K,) frame numbers in the video, in presentation order.
        seconds: (K,) their times in the video.
        positions: (K,) their positions among the sampled frames.
    """

    indices: IntArray
    seconds: FloatArray
    positions: IntArray

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def of(cls, features: FrameFeatures, positions: IntArray) -> KeyFrames:
        """The key frames at some positions of the sampled frames."""
        return cls(features.indices[positions], features.seconds[positions], positions)


@dataclass(frozen=True)
class Sources:
    """Where tokens come from, as a list of M (token, key frame, patch) triples sorted by token.

    A token merged from several patches has several rows; a patch that was dropped has none.

    Attributes:
        token: (M,) position in `VisualTokens.data`.
        keyframe: (M,) position in `VisualTokens.keyframes`.
        patch: (M,) raster position in the frame.
    """

    token: IntArray
    keyframe: IntArray
    patch: IntArray

    @classmethod
    def from_owners(cls, owners: Tensor | IntArray, tokens_per_frame: int) -> Sources:
        """From (K, N) int64: the token, counted within its frame, that each patch went to."""
        owner = owners.cpu().numpy() if isinstance(owners, Tensor) else owners
        frames, patches = owner.shape
        token = (owner + np.arange(frames)[:, None] * tokens_per_frame).ravel()
        order = np.argsort(token, kind="stable")
        return cls(
            token=token[order],
            keyframe=np.repeat(np.arange(frames), patches)[order],
            patch=np.tile(np.arange(patches), frames)[order],
        )


@dataclass(frozen=True, repr=False)
class VisualTokens:
    """The tokens that stand for a video in the prompt, and where each came from.

    Attributes:
        data: (L, D) in the order in which the language model reads them.
        keyframes: The K frames they come from.
        keyframe: (L,) which key frame each token belongs to (the first, where there are several).
        sources: The patches merged into each token.
        grid: Rows and columns of the patches of a frame.
        budget: The number of tokens that was allowed; None for no limit.
        uncompressed: Tokens of all sampled frames before anything was dropped or merged.
        summary_source: What frames were compared by: "CLS" or "mean patch"; None if they were not compared.
        stages: Seconds spent in stages that the strategy timed itself ("select").
        warnings: What a reader of the answer should know about the video (an incomplete file).
        deep: (levels, L, D) their DeepStack features, for a family that has them.
    """

    data: Tensor
    keyframes: KeyFrames
    keyframe: IntArray
    sources: Sources
    grid: tuple[int, int]
    budget: int | None
    uncompressed: int
    summary_source: str | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    deep: Tensor | None = None

    def __post_init__(self) -> None:
        if self.data.ndim != 2 or not len(self.data):
            raise ValueError(f"tokens have shape {tuple(self.data.shape)}, expected (L, D) with L >= 1")
        if self.budget is not None and len(self) > self.budget:
            raise ValueError(f"{len(self)} tokens exceed the budget of {self.budget}")
        if self.keyframe.shape != (len(self),):
            raise ValueError(f"keyframe has shape {self.keyframe.shape}, expected ({len(self)},)")

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return (
            f"VisualTokens({len(self)} tokens of {len(self.keyframes)} key frames, "
            f"budget={self.budget}, uncompressed={self.uncompressed}, dim={self.data.shape[1]})"
        )

    @property
    def frames(self) -> IntArray:
        """(L,) number in the video of the frame each token comes from."""
        return self.keyframes.indices[self.keyframe]

    @property
    def seconds(self) -> FloatArray:
        """(L,) time in the video of the frame each token comes from."""
        return self.keyframes.seconds[self.keyframe]

    @property
    def patch(self) -> IntArray:
        """(L,) raster position whose place in the frame each token takes.

        Of the patches in its own key frame it is the one nearest to their middle (the first of several), so that an
        unmerged token keeps its place, and no two tokens of different patches share one.

        Raises:
            ValueError: A token has no patch in its key frame.
        """
        own = self.sources.keyframe == self.keyframe[self.sources.token]
        token, patch = self.sources.token[own], self.sources.patch[own]  # (M,)
        held = np.bincount(token, minlength=len(self))  # (L,)
        if not held.all():
            raise ValueError(f"{int((held == 0).sum())} of {len(self)} tokens have no patch in their key frame")
        distance = np.zeros(len(token))
        for side in np.divmod(patch, self.grid[1]):
            middle = np.bincount(token, side) / held
            distance += (side - middle[token]) ** 2
        nearest = np.lexsort((patch, distance.round(9), token))  # by token, then distance, then raster
        first = np.cumsum(held) - held
        return np.asarray(patch[nearest[first]], np.int64)

    def patches_of(self, token: int) -> list[tuple[int, int]]:
        """The (key frame, patch) pairs merged into one token; patch is the raster position.

        Args:
            token: Position in `data`, 0 .. L-1.

        Raises:
            IndexError: There is no such token.
        """
        if not 0 <= token < len(self):
            raise IndexError(f"token {token}, expected 0 to {len(self) - 1}")
        lo, hi = np.searchsorted(self.sources.token, [token, token + 1])
        return list(zip(self.sources.keyframe[lo:hi].tolist(), self.sources.patch[lo:hi].tolist(), strict=True))
