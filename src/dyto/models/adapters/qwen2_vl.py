"""Qwen2-VL: frames of any size, time counted in frames."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dyto.finch import FloatArray, IntArray
from dyto.models.adapters.qwen2_5_vl import Qwen25VL


class Qwen2VL(Qwen25VL):
    """A Qwen2-VL checkpoint in stock transformers, read like its video path.

    The tokens of all key frames form one block; the position in time of a token is the number of its key frame.
    """

    def raster(self, grid: Tensor) -> Tensor | slice:
        return slice(None)

    def time_steps(self, seconds: FloatArray) -> IntArray:
        return np.unique(seconds, return_inverse=True)[1].astype(np.int64)
