"""A fast eye for films of hundreds of frames, which computes a patch's features from its pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from dyto.features import FrameFeatures
from dyto.models.base import VideoModel
from dyto.video import Frames

CHANNELS = 9
"""Numbers that describe a patch: mean, mean of squares and mean of products of its colours."""
OWN = 0.02
"""Weight of a patch's unique part, so that no two patches of a film have the same features."""
_SAMPLES = 4
_KEPT = 4


class PlainEye:
    """A replacement for a model's tower if the tower would take too long.

    The tower encodes one frame, for the form of its features: grid, width, dtype, device, and whether there is any
    attention. The features of other frames are the mean colour of every patch, mixed by fixed random
    numbers: similar pictures have similar features, and all patches differ slightly. Pictures that a strategy
    composes, and frames at another resolution, go to the model itself.

    Args:
        model: The model.

    Attributes:
        model: The same model with this eye.
    """

    def __init__(self, model: VideoModel) -> None:
        self._encode = model.encode
        self._forms: dict[int | None, FrameFeatures] = {}
        self._kept: list[tuple[Frames, Tensor, Tensor, Tensor]] = []
        self.model = model.seeing_by(self.encode)

    def encode(self, images: Any, *, attention_layer: int | None = None, **more: Any) -> FrameFeatures:
        """Encode frames as `VideoModel.encode` does; the same object gets the same tensors again."""
        if more or not isinstance(images, Frames):
            return self._encode(images, attention_layer=attention_layer, **more)
        if attention_layer not in self._forms:
            self._forms[attention_layer] = self._encode(images[:1], attention_layer=attention_layer)
        form = self._forms[attention_layer]
        summary, patches, attention = self._seen(images, form)

        def load_deep(positions: Tensor) -> Tensor:
            assert form.load_deep is not None
            levels = len(form.load_deep(torch.zeros(1, dtype=torch.int64)))
            return patches[positions.to(patches.device)].expand(levels, -1, -1, -1)  # (levels, K, N, D)

        return replace(
            form,
            summary=summary,
            load_patches=lambda positions: patches[positions.to(patches.device)],
            indices=images.indices,
            seconds=images.seconds,
            attention=None if form.attention is None else attention,
            load_deep=form.load_deep and load_deep,
        )

    def _seen(self, images: Frames, form: FrameFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Return (T, D) summaries, (T, N, D) features and (T, N) attention of frames."""
        for frames, *kept in reversed(self._kept):
            if frames is images:
                return kept[0], kept[1], kept[2]
            if images.data.base is None and len(images) < len(frames):  # a part, copied like `frames[positions]`
                places = np.searchsorted(frames.indices, images.indices).clip(max=len(frames) - 1)
                same = np.array_equal(frames.indices[places], images.indices)
                if same and np.array_equal(frames.data[places], images.data):
                    rows = torch.from_numpy(places).to(form.summary.device)
                    return kept[0][rows], kept[1][rows], kept[2][rows]
        found = self._look(images, form)
        self._kept = [*self._kept[1 - _KEPT :], (images, *found)]
        return found

    def _look(self, images: Frames, form: FrameFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the same without the stored features, frame by frame, so that each is exact to the last bit."""
        shape = form.num_patches, form.summary.shape[1]
        mixing = 2 * torch.randn(CHANNELS, shape[1], generator=torch.Generator().manual_seed(5))
        own = OWN * torch.randn(2, *shape, generator=torch.Generator().manual_seed(6))  # (2, N, D)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for pixels, number in zip(images.data, images.indices.tolist(), strict=True):
            seen = cells(pixels, form.grid)  # (N, 9)
            patches = torch.tanh(seen @ mixing) + math.cos(number) * own[0] + math.sin(number) * own[1]
            weights = seen.std(-1) + 0.01
            found.append((patches.mean(0), patches, weights / weights.sum()))
        summary, every, attention = (torch.stack(part).to(form.summary) for part in zip(*found, strict=True))
        return summary, every, attention

    def changed(self) -> int:
        """Count the frames whose returned features were changed, among the stored ones."""
        form = next(iter(self._forms.values()), None)
        count = 0
        for frames, *kept in self._kept:
            assert form is not None
            same = all(torch.equal(fresh, one) for fresh, one in zip(self._look(frames, form), kept, strict=True))
            count += 0 if same else len(frames)
        return count


def cells(pixels: npt.NDArray[np.uint8], grid: tuple[int, int]) -> Tensor:
    """Average the pixels of each patch: (N, 9), each number from -1 to 1.

    Args:
        pixels: (H, W, 3) pixels of a frame; some of them represent all.
        grid: Rows and columns of the N patches.
    """
    steps = [max(1, side // (_SAMPLES * count)) for side, count in zip(pixels.shape[:2], grid, strict=True)]
    colours = torch.tensor(pixels[:: steps[0], :: steps[1]]).permute(2, 0, 1).float() / 127.5 - 1  # (3, H, W)
    mixed = torch.cat([colours, colours**2, colours * colours.roll(1, 0)])
    return F.adaptive_avg_pool2d(mixed, grid).flatten(1).T
