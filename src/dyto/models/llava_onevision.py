"""LLaVA-OneVision: SigLIP tower without CLS, pooled frames, Qwen2."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dyto.models.llava import LlavaTower


class LlavaOnevision(LlavaTower):
    """A LLaVA-OneVision checkpoint in stock transformers, read like its video path.

    Frames are squashed to the tower's square (bicubic). After the projector their patches are pooled 2 x 2
    (bilinear, 27 x 27 to 14 x 14), and these tokens are merged. One `image_newline` ends the video; the budget does
    not count it. The summary of a frame is the mean of its pooled tokens.
    """

    def _grid(self, side: int) -> tuple[int, int]:
        return (side + 1) // 2, (side + 1) // 2

    def project(self, states: Tensor) -> Tensor:
        return self._pool(super().project(states))  # (B, N, D)

    def _pool(self, patches: Tensor) -> Tensor:
        """Pool (B, P, D) patches in raster order to (B, N, D)."""
        side = self._edge // self.model.config.vision_config.patch_size
        square = patches.transpose(1, 2).reshape(len(patches), -1, side, side)  # (B, D, rows, cols)
        pooled = F.interpolate(square, size=self.grid, mode="bilinear")
        return pooled.flatten(2).transpose(1, 2)

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        states, attention = super().attend(pixels, layer)
        return states, self._pool(attention[..., None])[..., 0]  # (B, N)

    def video_end(self) -> Tensor:
        newline: Tensor = self.model.model.image_newline
        return newline[None]  # (1, D)
