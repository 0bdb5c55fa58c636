"""LLaVA-OneVision and LLaVA-Video: SigLIP tower without CLS, pooled frames, Qwen2."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dyto.errors import ModelError
from dyto.features import VisualTokens
from dyto.finch import IntArray
from dyto.models.adapters.llava import LlavaTower
from dyto.models.generation.layout import Layout, runs_of

NEWLINES = ("one_token", "grid", "frame", "no_token")
"""Positions of `image_newline` in a video: after the video, after each row, after each frame, nowhere."""


def _resized(patches: Tensor, stride: int) -> Tensor:
    return F.interpolate(patches, size=[math.ceil(side / stride) for side in patches.shape[2:]], mode="bilinear")


POOLINGS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "bilinear": _resized,
    "average": F.avg_pool2d,
    "max": F.max_pool2d,
}
"""Pooling of (B, D, rows, cols) patches by a stride; all but the first drop surplus rows."""


class LlavaOnevision(LlavaTower):
    """A LLaVA-OneVision checkpoint in stock transformers, read like its video path.

    Frames are resized to the tower's square, ignoring their aspect (bicubic). After the projector their patches are
    pooled 2 x 2 (bilinear, 27 x 27 to 14 x 14), and these tokens are merged. One `image_newline` closes the video; it
    does not count towards the budget. The summary of a frame is the mean of its pooled tokens.

    The config of a LLaVA-Video checkpoint sets another place for the newline (`mm_newline_position`), and may name
    another pooling (`mm_spatial_pool_mode`, `mm_spatial_pool_stride`). With "grid" a newline closes every row that has
    tokens left, if the tokens of a frame are ordered row by row. If a strategy orders them differently, there are no
    rows, and one newline closes the frame.

    Source: `get_2dPool` and `prepare_inputs_labels_for_multimodal` in `llava/model/llava_arch.py` of
    LLaVA-VL/LLaVA-NeXT; for the meaning of the positions, LLaVA-VL/LLaVA-NeXT#260.
    """

    def _grid(self, side: int) -> tuple[int, int]:
        self._newline = self._stated("mm_newline_position", NEWLINES)
        self._pooling = POOLINGS[self._stated("mm_spatial_pool_mode", tuple(POOLINGS))]
        stride = getattr(self.model.config, "mm_spatial_pool_stride", 2)
        if type(stride) is not int or not 1 <= stride <= side:
            raise ModelError(
                f"model {self.name} pools its patches by a stride of {stride!r}, expected 1 to {side}: correct "
                "mm_spatial_pool_stride in its config.json"
            )
        self._side, self._stride = side, stride
        rows, cols = self._pooled(torch.zeros(1, 1, side, side)).shape[2:]
        return rows, cols

    def _stated(self, key: str, known: tuple[str, ...]) -> str:
        """Return what the config says; the first known value if it says nothing."""
        found = getattr(self.model.config, key, known[0])
        if found not in known:
            raise ModelError(
                f"model {self.name} says {key} = {found!r}, expected one of {', '.join(known)}: correct it in its "
                "config.json"
            )
        return str(found)

    def project(self, states: Tensor) -> Tensor:
        return self._pool(super().project(states))  # (B, N, D)

    def _pooled(self, square: Tensor) -> Tensor:
        return square if self._stride == 1 else self._pooling(square, self._stride)

    def _pool(self, patches: Tensor) -> Tensor:
        """Pool (B, P, D) patches in raster order to (B, N, D)."""
        square = patches.transpose(1, 2).reshape(len(patches), -1, self._side, self._side)  # (B, D, rows, cols)
        return self._pooled(square).flatten(2).transpose(1, 2)

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        states, attention = super().attend(pixels, layer)
        return states, self._pool(attention[..., None])[..., 0]  # (B, N)

    def video_end(self) -> Tensor | None:
        return self._newline_token if self._newline == "one_token" else None

    @property
    def _newline_token(self) -> Tensor:
        newline: Tensor = self.model.model.image_newline
        return newline[None]  # (1, D)

    def count_text(self, video: VisualTokens) -> int:
        return super().count_text(video) + len(self._line_ends(video))

    def lay_out(self, video: VisualTokens | Tensor) -> Layout:
        """See `VideoModel.lay_out`; if newlines close rows, the rows of the tokens must be known."""
        layout = super().lay_out(video)
        if not isinstance(video, VisualTokens):
            if len(video) and self._newline in ("grid", "frame"):
                raise ModelError(
                    f"model {self.name} writes between the tokens, so it needs VisualTokens: pass the whole object"
                )
            return layout
        places = layout.visual.nonzero().flatten().cpu().numpy()[self._line_ends(video)]
        order = torch.from_numpy(np.insert(np.arange(len(layout)), places + 1, len(layout))).to(self.device)
        embeds = torch.cat([layout.embeds, self._newline_token.to(layout.embeds)])[order]
        visual = torch.cat([layout.visual, layout.visual.new_zeros(1)])[order]
        return replace(layout, embeds=embeds, visual=visual, advance=len(order))

    def _line_ends(self, video: VisualTokens) -> IntArray:
        """Return the positions (E,) of the tokens that a newline follows; empty if newlines are elsewhere."""
        ends: list[int] = []
        if self._newline in ("grid", "frame"):
            row = self._rows(video)
            for tokens, _ in runs_of(video.keyframe):
                steps = np.diff(row[tokens])
                if self._newline == "grid" and (steps >= 0).all():
                    ends += (tokens.start + np.flatnonzero(steps)).tolist()
                ends.append(tokens.stop - 1)
        return np.array(ends, np.int64)

    def _rows(self, video: VisualTokens) -> IntArray:
        """Return the (L,) rows of tokens in their frames; all 0 for tokens without an origin."""
        try:
            return np.asarray(video.patch // video.grid[1], np.int64)
        except ValueError:
            return np.zeros(len(video), np.int64)
