"""LLaVA-OneVision: a newline closes the video, and pooling is that of its video path."""

import numpy as np
import pytest
import torch

import dyto

from forge_families import FAMILIES


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return dyto.load_model(FAMILIES["llava_onevision"].forge(tmp_path_factory.mktemp("onevision")), device="cpu")


def video(frames=12):
    return np.random.default_rng(0).integers(0, 255, (frames, 70, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize("strategy", ["concat", "dyto", "slowfast"])
def test_one_newline_closes_the_video_and_is_not_of_the_budget(model, strategy):
    tokens = dyto.VideoQA(model, strategy).encode(video())
    layout = model.lay_out(tokens)
    assert model.count_text(tokens) == 1
    assert len(layout) == len(tokens) + 1
    assert torch.equal(layout.embeds[-1], model.model.model.image_newline)
    assert layout.visual.tolist() == [True] * len(tokens) + [False]


def test_patches_are_pooled_as_in_the_stock_video_path(model):
    frames = list(video(3))
    pixels = FAMILIES["llava_onevision"].images()(frames, return_tensors="pt").pixel_values
    with torch.no_grad():
        stock = model.model.model.get_video_features(pixels[None], return_dict=True).pooler_output[0]
    ours = model.encode(frames).patches().flatten(0, 1)
    torch.testing.assert_close(ours, stock[: len(ours)], rtol=1e-4, atol=1e-4)  # some versions add the newline here
    assert model.grid == (5, 5)  # of 9 x 9
