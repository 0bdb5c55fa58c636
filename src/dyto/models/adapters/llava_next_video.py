"""LLaVA-NeXT-Video: CLIP tower with CLS, frames pooled before the projector, Vicuna, Mistral or Yi."""

from __future__ import annotations

from torch import Tensor

from dyto.models.adapters.llava import LlavaTower
from dyto.models.attention import mean_of_squares


class LlavaNextVideo(LlavaTower):
    """A LLaVA-NeXT-Video checkpoint in stock transformers, read like its video path.

    Frames are cropped to the middle (shorter side to the tower's, bicubic). Their patches are pooled 2 x 2 before the
    projector (24 x 24 to 12 x 12), and these tokens are merged. The summary of a frame is its CLS token after the
    projector.
    """

    def _grid(self, side: int) -> tuple[int, int]:
        pooled = side // int(self.model.config.spatial_pool_stride)
        return pooled, pooled

    def project(self, states: Tensor) -> Tensor:
        if states.shape[1] > 1:  # CLS alone
            states = self.model.model.vision_resampler(states)  # (B, N, C)
        return super().project(states)

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        states, attention = super().attend(pixels, layer)
        return states, mean_of_squares(attention, self.grid)
