"""Frames of a video whose pictures cannot be had back from the pixels that a processor made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures
from dyto.finch import FloatArray, IntArray
from dyto.models.base import VideoModel
from dyto.video import Frames


class UnseenFrames(Frames):
    """Frames without pictures: only their numbers and times are known.

    Args:
        stand_ins: (T, rows, columns, 3), one pixel for each token of a frame.
        indices: As in `Frames`.
        seconds: As in `Frames`.
        source_size: Rows and columns of the tokens of a frame.
        warnings: As in `Frames`.
    """

    def __init__(
        self,
        stand_ins: npt.NDArray[np.uint8],
        indices: IntArray,
        seconds: FloatArray,
        source_size: tuple[int, int],
        warnings: tuple[str, ...] = (),
    ) -> None:
        values = {"indices": indices, "seconds": seconds, "source_size": source_size, "warnings": warnings}
        vars(self).update(_stand_ins=stand_ins, total=len(indices), source=None, **values)

    def __getattr__(self, name: str) -> Any:
        if name not in ("data", "preview"):
            raise AttributeError(name)
        raise ConfigError(
            "this strategy looks at the pictures themselves, but in a family without an adapter they cannot be had "
            "back from the pixels of its processor: use another strategy, or ask with VideoQA"
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"UnseenFrames({len(self)} of {self.total})"

    def __getitem__(self, which: slice | Sequence[int] | npt.NDArray[np.int64]) -> Frames:
        pick = which if isinstance(which, slice) else np.asarray(which, np.int64)
        return UnseenFrames(
            self._stand_ins[pick], self.indices[pick], self.seconds[pick], self.source_size, self.warnings
        )


class SeenFrames:
    """The vision side of a model for frames whose tokens the stock class has made already.

    Args:
        adapter: The model, which encodes pictures that are not frames.
        tokens: The (N, D) tokens of each frame.
        grid: Their rows and columns.
    """

    def __init__(self, adapter: VideoModel, tokens: tuple[Tensor, ...], grid: tuple[int, int]) -> None:
        self._adapter, self._tokens, self._grid = adapter, tokens, grid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def encode(
        self, images: Frames | list[npt.NDArray[np.uint8]], *, attention_layer: int | None = None
    ) -> FrameFeatures:
        """Encode pictures as `VideoModel.encode` does; frames are recognised by number."""
        if not isinstance(images, Frames):
            return self._adapter.encode(images, attention_layer=attention_layer)
        tokens = torch.stack([self._tokens[number] for number in images.indices.tolist()])  # (T, N, D)
        return FrameFeatures(
            summary=tokens.mean(1),
            grid=self._grid,
            load_patches=lambda positions: tokens[positions.to(tokens.device)],
            indices=images.indices,
            seconds=images.seconds,
            summary_source="mean patch",
        )
