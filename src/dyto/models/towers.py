"""Families with a tower for frames of one size: frames are encoded in chunks and projected on request."""

from __future__ import annotations

import logging
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, PatchLoader
from dyto.models.base import VideoModel
from dyto.models.loading.placement import device_of
from dyto.models.pixels import Pictures, as_pictures, resize_pictures
from dyto.video import FrameSize

if TYPE_CHECKING:
    from dyto.video import Frames

log = logging.getLogger(__name__)

CHUNK_FRAMES = 16
"""Number of frames that pass the tower together, if memory allows."""

KEEP_BYTES = 2 << 30
"""Bytes of tower output to keep; beyond it, chosen frames pass the tower a second time, with the same result."""


def look(
    pictures: Pictures, see: Callable[[Pictures], Tensor], summarise: Callable[[Tensor], Tensor], step: int
) -> tuple[Tensor, PatchLoader]:
    """Encode pictures with a tower, `step` at a time.

    Args:
        pictures: T pictures.
        see: Function from some pictures to the tower's output, (B, ...).
        summarise: Function from this output to summaries, (B, D).
        step: Number of pictures that pass together; fewer if memory runs short.

    Returns:
        (T, D) summaries, and a function that returns (K, ...) for K positions: from memory if everything fits into
        `KEEP_BYTES`, otherwise from the tower again.

    Raises:
        ConfigError: There are no pictures.
        torch.OutOfMemoryError: There is no memory for a single picture.
    """
    if not len(pictures):
        raise ConfigError("no pictures to encode, expected at least one")
    summaries, kept, start = [], torch.empty(0), 0
    for seen in _in_chunks(pictures, see, step):
        if start == 0:
            keep = len(pictures) * seen[0].nbytes <= KEEP_BYTES
            kept = seen.new_empty(len(pictures) if keep else 0, *seen.shape[1:])
        if keep:
            kept[start : start + len(seen)] = seen
        summaries.append(summarise(seen))
        start += len(seen)

    @torch.inference_mode()
    def load(positions: Tensor) -> Tensor:
        if len(kept):
            return kept[positions.to(kept.device)]
        chosen = [pictures[i] for i in positions.tolist()]
        return torch.cat(list(_in_chunks(chosen, see, step)))

    return torch.cat(summaries), load


def _in_chunks(pictures: Pictures, see: Callable[[Pictures], Tensor], step: int) -> Iterator[Tensor]:
    """Iterate over a tower's output, `step` pictures at a time, and half as many when memory runs short."""
    start = 0
    while start < len(pictures):
        try:
            seen = see(pictures[start : start + step])
        except torch.OutOfMemoryError:
            if step == 1:
                raise
            step //= 2
            log.info("not enough memory: %d pictures at a time", step)
            continue
        yield seen
        start += len(seen)


class FrameTower(VideoModel):
    """A family with a tower for frames of one size, and a projector.

    With `has_cls`, only the CLS of every frame and, later, the requested patches are projected; otherwise all frames
    are projected, and their summary is the mean patch.
    """

    grid: tuple[int, int]
    has_cls: bool = False
    """Whether the tower's first token is CLS, which can pass the projector alone."""

    finished_size: tuple[int, int] | None = None
    """Height and width of pictures that are already prepared and stay unchanged."""

    def set_grid(self, image_size: FrameSize, grid: tuple[int, int]) -> None:
        """Set `image_size`, and the rows and columns of the visual tokens of one frame."""
        self.image_size, self.grid, self.num_patches = image_size, grid, grid[0] * grid[1]

    def take_finished(self) -> None:
        """Take pictures of the tower's own size as they are: somebody else's processor has made them."""
        side = self.model.config.vision_config.image_size
        self.finished_size = (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))

    def _fit(self, image_size: FrameSize, grid: tuple[int, int]) -> None:
        warnings.warn("_fit was renamed: use set_grid", DeprecationWarning, stacklevel=2)
        self.set_grid(image_size, grid)

    @abstractmethod
    def tower_states(self, pixels: Tensor) -> Tensor:
        """Return the tower's output for (B, 3, H, W) pixels: (B, P, C), or (B, 1 + P, C) with CLS."""

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor | None]:
        """Return `tower_states`, and the (B, N) attention that patches receive in a layer; None if there is none."""
        return self.tower_states(pixels), None

    @abstractmethod
    def project(self, states: Tensor) -> Tensor:
        """Project (B, P, C) patches to (B, N, D) visual tokens; with CLS, also CLS alone to (B, 1, D)."""

    def prepare(self, pictures: Pictures) -> npt.NDArray[np.uint8]:
        """Resize pictures for the tower, (B, H, W, 3); by default bicubic, without keeping the aspect ratio."""
        if not isinstance(self.image_size, tuple):
            raise TypeError(f"{type(self).__name__} has no fixed image_size: it must define prepare")
        return resize_pictures(pictures, self.image_size)

    def _ready(self, pictures: Pictures) -> npt.NDArray[np.uint8]:
        if self.finished_size and all(picture.shape[:2] == self.finished_size for picture in pictures):
            return np.stack(pictures)
        return self.prepare(pictures)

    @torch.inference_mode()
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """Encode pictures as `VideoModel.encode` does."""
        device, dtype = device_of(self.tower()), next(self.tower().parameters()).dtype
        attentions: list[Tensor] = []

        def see(some: Pictures) -> Tensor:
            pixels = self.normalization.apply(self._ready(some), device, dtype)
            if attention_layer is None or sum(map(len, attentions)) == len(images):  # all seen once
                return self.tower_states(pixels)
            states, attention = self.attend(pixels, attention_layer)
            attentions.extend([] if attention is None else [attention])
            return states

        features = self._features(images, see, self.grid)
        return replace(features, attention=torch.cat(attentions)) if attentions else features

    def _features(
        self, images: Frames | Pictures, see: Callable[[Pictures], Tensor], grid: tuple[int, int]
    ) -> FrameFeatures:
        """Return features of pictures from a function for the tower's output (`tower_states`), on their token grid."""
        pictures, indices, seconds = as_pictures(images)

        def seen(some: Pictures) -> Tensor:
            return see(some) if self.has_cls else self.project(see(some))

        def summarise(some: Tensor) -> Tensor:
            return self.project(some[:, :1])[:, 0] if self.has_cls else some.mean(1)

        summary, load = look(pictures, seen, summarise, CHUNK_FRAMES)

        @torch.inference_mode()
        def load_patches(positions: Tensor) -> Tensor:
            return self.project(load(positions)[:, 1:]) if self.has_cls else load(positions)

        return FrameFeatures(
            summary=summary,
            grid=grid,
            load_patches=load_patches,
            indices=indices,
            seconds=seconds,
            summary_source="CLS" if self.has_cls else "mean patch",
        )
