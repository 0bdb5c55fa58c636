"""Qwen2.5-VL: a tower with window attention, absolute time in the positions."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from transformers.vision_utils import get_vision_window_index

from dyto.finch import FloatArray, IntArray
from dyto.models.mrope import QwenVL


class Qwen25VL(QwenVL):
    """A Qwen2.5-VL checkpoint in stock transformers, read like its video path.

    The tokens of all key frames form one block. The position in time of a token is `tokens_per_second` times the
    seconds since the first key frame, rounded down: the stock model's formula for evenly spaced frames, here with the
    true times of the key frames. In most layers of the tower, patches see only their window, so the attention that
    they receive there comes from the window alone.
    """

    def encode_patches(self, patches: Tensor, grid: Tensor) -> Tensor:
        tokens: Tensor = self.model.model.visual(patches, grid_thw=grid).pooler_output
        return tokens[None]  # (1, n, D)

    def raster(self, grid: Tensor) -> Tensor | slice:
        vision = self.model.config.vision_config
        order, _ = get_vision_window_index(grid, self._merge, vision.window_size, self._patch)
        return order.argsort().to(grid.device)

    def time_steps(self, seconds: FloatArray) -> IntArray:
        rate = self.model.config.vision_config.tokens_per_second
        return np.floor((seconds - seconds.min()) * rate + 1e-6).astype(np.int64)
