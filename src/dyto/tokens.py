"""The tokens of a video that the language model reads (`VisualTokens`), and their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from dyto._shapes import numbers_of
from dyto.errors import BadFeaturesError, StrategyError
from dyto.finch import FloatArray, IntArray
from dyto.subtitles.finding import Subtitles

NOT_ITS_WORLD = "this video shows nothing that the model knows (drawn shapes), so its answer means nothing"
"""Warning of tokens that are not meaningful."""


class Timed(Protocol):
    """Protocol for objects with numbered and timed frames, such as `dyto.FrameFeatures`."""

    @property
    def indices(self) -> IntArray:
        """(T,) frame numbers in the video."""

    @property
    def seconds(self) -> FloatArray:
        """(T,) times of the frames."""


@dataclass(frozen=True)
class KeyFrames:
    """The frames whose tokens reach the language model.

    Attributes:
        indices: (K,) frame numbers in the video, in presentation order.
        seconds: (K,) their times in the video.
        positions: (K,) their positions among the sampled frames.

    Example:
        >>> import numpy as np
        >>> frames = KeyFrames(np.array([3, 9]), np.array([0.3, 0.9]), np.array([1, 4]))
        >>> len(frames), frames.seconds.tolist()
        (2, [0.3, 0.9])
    """

    indices: IntArray
    seconds: FloatArray
    positions: IntArray

    def __len__(self) -> int:
        return len(self.indices)

    @classmethod
    def of(cls, features: Timed, positions: IntArray) -> KeyFrames:
        """Make key frames from positions among the sampled frames."""
        return cls(features.indices[positions], features.seconds[positions], positions)


@dataclass(frozen=True)
class Sources:
    """Sources of tokens, as M triples (token, key frame, patch) sorted by token.

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
        """Make sources from (K, N) int64 owners: the token, counted within its frame, that each patch went to."""
        owner = owners.cpu().numpy() if isinstance(owners, Tensor) else owners
        frames, patches = owner.shape
        token = (owner + np.arange(frames)[:, None] * tokens_per_frame).ravel()
        order = np.argsort(token, kind="stable")
        return cls(
            token=token[order],
            keyframe=np.repeat(np.arange(frames), patches)[order],
            patch=np.tile(np.arange(patches), frames)[order],
        )


def _tokens(values: Any) -> Tensor:
    try:
        return numbers_of(values, "data")
    except BadFeaturesError as err:
        raise StrategyError(str(err)) from err


@dataclass(frozen=True, repr=False)
class VisualTokens:
    """The tokens that represent a video in the prompt, and their sources.

    Attributes:
        data: (L, D) tokens in the order in which the language model reads them.
        keyframes: The K frames that the tokens come from.
        keyframe: (L,) key frame of each token (the first if there are several).
        sources: The patches merged into each token.
        grid: Rows and columns of the patches of a frame.
        budget: The token budget; None for no limit.
        uncompressed: Tokens of all sampled frames before anything was dropped or merged.
        summary_source: What frames were compared by: "CLS" or "mean patch"; None if they were not compared.
        stages: Seconds spent in stages that the strategy timed itself ("select").
        warnings: What a reader of the answer should know about the video (an incomplete file).
        deep: (levels, L, D) their DeepStack features, for a family that has them.
        places: (L,) raster position of each token in its key frame, if the strategy sets it; None for the centre of
            its patches.
        subtitles: What is said in the video, for the prompts of its questions.

    Raises:
        StrategyError: The shapes do not fit together, or there are more tokens than the budget allows.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> tokens = dyto.VideoQA.from_pretrained("tiny", "dyto").encode(video)
        >>> tokens
        VisualTokens(220 tokens of 11 key frames, budget=230, uncompressed=432, dim=192)
        >>> tuple(tokens.data.shape), tokens.keyframes.indices.tolist()
        ((220, 192), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
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
    places: IntArray | None = None
    subtitles: Subtitles | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", _tokens(self.data))
        if self.data.ndim != 2 or not self.data.numel():
            raise StrategyError(f"tokens have shape {tuple(self.data.shape)}, expected (L, D) with L >= 1 and D >= 1")
        if self.budget is not None and len(self) > self.budget:
            raise StrategyError(f"{len(self)} tokens exceed the budget of {self.budget}")
        object.__setattr__(self, "keyframe", np.asarray(self.keyframe))
        if self.keyframe.shape != (len(self),):
            raise StrategyError(f"keyframe has shape {self.keyframe.shape}, expected ({len(self)},)")
        if not 0 <= self.keyframe.min() <= self.keyframe.max() < len(self.keyframes):
            raise StrategyError(
                f"keyframe goes from {self.keyframe.min()} to {self.keyframe.max()}, expected positions among "
                f"{len(self.keyframes)} key frames"
            )
        if self.places is not None:
            object.__setattr__(self, "places", np.asarray(self.places))
            if self.places.shape != (len(self),) or self.places.dtype.kind not in "iu":
                found = f"{self.places.dtype} of shape {self.places.shape}"
                raise StrategyError(f"places are {found}, expected ({len(self)},) whole numbers")
            if not 0 <= self.places.min() <= self.places.max() < self.grid[0] * self.grid[1]:
                raise StrategyError(
                    f"places go from {self.places.min()} to {self.places.max()}, expected positions in a grid of "
                    f"{self.grid[0]} x {self.grid[1]}"
                )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def meaningful(self) -> bool:
        """Whether the model knows anything of what the frames show, as far as it can tell; only `tiny` says no."""
        return NOT_ITS_WORLD not in self.warnings

    def __repr__(self) -> str:
        return (
            f"VisualTokens({len(self)} tokens of {len(self.keyframes)} key frames, "
            f"budget={self.budget}, uncompressed={self.uncompressed}, dim={self.data.shape[1]})"
        )

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the tokens and their sources hold."""
        tensors = [self.data] if self.deep is None else [self.data, self.deep]
        arrays = [self.keyframe, *vars(self.sources).values(), *vars(self.keyframes).values()]
        return sum(part.untyped_storage().nbytes() for part in tensors) + sum(part.nbytes for part in arrays)

    @property
    def frames(self) -> IntArray:
        """(L,) video frame number of each token."""
        return self.keyframes.indices[self.keyframe]

    @property
    def seconds(self) -> FloatArray:
        """(L,) time in the video of each token, in seconds."""
        return self.keyframes.seconds[self.keyframe]

    @property
    def patch(self) -> IntArray:
        """(L,) raster position of each token in its frame.

        The strategy may set it. Otherwise it is that of the patch in the token's own key frame that is nearest to the
        centre of all these patches (the first of several), so an unmerged token keeps its place, and no two tokens of
        different patches share one.

        Raises:
            ValueError: A token has no patch in its key frame.
        """
        if self.places is not None:
            return self.places
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
        """Return the (key frame, patch) pairs merged into one token; patch is the raster position.

        Args:
            token: Position in `data`, 0 .. L-1.

        Returns:
            The pairs, by key frame and patch.

        Raises:
            IndexError: There is no such token.
        """
        if not 0 <= token < len(self):
            raise IndexError(f"token {token}, expected 0 to {len(self) - 1}")
        lo, hi = np.searchsorted(self.sources.token, [token, token + 1])
        return list(zip(self.sources.keyframe[lo:hi].tolist(), self.sources.patch[lo:hi].tolist(), strict=True))
