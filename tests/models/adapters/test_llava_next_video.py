"""LLaVA-NeXT-Video: the ways in which its video path pools."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlavaNextVideoConfig

import dyto

from forge_families import FAMILIES, _video_llava


@pytest.mark.parametrize("mode", ["average", "max", "conv"])
def test_patches_are_pooled_as_in_the_stock_video_path(tmp_path, mode):
    base = FAMILIES["llava_next_video"]
    config = _video_llava(LlavaNextVideoConfig, LlamaConfig, spatial_pool_mode=mode, spatial_pool_stride=4)
    model = dyto.load_model(type(base)(**{**base.__dict__, "config": config}).forge(tmp_path), device="cpu")
    frames = list(np.random.default_rng(0).integers(0, 255, (3, 70, 96, 3), dtype=np.uint8))
    pixels = base.images()(frames, return_tensors="pt").pixel_values
    with torch.no_grad():
        stock = model.model.model.get_video_features(pixels[None], return_dict=True).pooler_output
    stock = stock[0] if isinstance(stock, (list, tuple)) else stock
    features = model.encode(frames)
    assert features.grid == (2, 2)
    torch.testing.assert_close(
        features.patches().flatten(0, 1), stock.reshape(-1, stock.shape[-1]), rtol=1e-4, atol=1e-4
    )
