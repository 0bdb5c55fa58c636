"""Qwen3.5 and Qwen3.6: times in text before every frame, three of four layers a gated linear attention."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import Tensor

from dyto.finch import FloatArray, IntArray
from dyto.models.mrope import QwenVL


class Qwen35(QwenVL):
    """A Qwen3.5 or Qwen3.6 checkpoint in stock transformers, read as its video path does.

    Every key frame is a separate block, after its true time: "<2.5 seconds>". Times and the marks of a block are
    text, which an answer reports separately from the budget of visual tokens.

    Layers of linear attention keep one state of the whole text instead of keys and values. A question is read into
    a copy of the state at the end of the video, see `dyto.models.generation.states`.
    """

    own_time_text: ClassVar[str] = "<{seconds:.1f} seconds>"

    def encode_patches(self, patches: Tensor, grid: Tensor) -> Tensor:
        tokens: Tensor = self.model.model.visual(patches, grid_thw=grid).pooler_output
        return tokens[None]  # (1, n, D)

    def time_steps(self, seconds: FloatArray) -> IntArray:
        return np.zeros(len(seconds), np.int64)
