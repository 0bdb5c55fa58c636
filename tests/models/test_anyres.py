"""Pictures and other resolutions through LLaVA-NeXT, against the stock model and processor."""

import numpy as np
import pytest
import torch

from dyto.models.adapters.llava_next import LlavaNext
from dyto.models.adapters.tiny import build_processor, build_tokenizer
from dyto.models.pixels import Normalization
from dyto.strategies.image_grid import picture_size, tile

from forge import forge_model

SIZES = [(252, 168), (168, 168), (84, 84), (90, 300), (301, 97), (40, 52)]


@pytest.fixture(scope="module")
def model():
    return LlavaNext("forged", forge_model(seed=3), build_tokenizer(), normalization=Normalization(), chat="tiny")


def picture(size, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_tokens_are_those_of_the_stock_model_and_processor(model, size):
    inputs = build_processor()(images=[picture(size)], text="<image>", return_tensors="pt")
    with torch.no_grad():
        stock = model.model.model.get_image_features(inputs.pixel_values, inputs.image_sizes)
    expected = getattr(stock, "pooler_output", stock)[0]
    tokens = model.encode_picture(picture(size))
    torch.testing.assert_close(tokens.data, expected, rtol=1e-4, atol=1e-4)
    assert model.picture_length(size) == len(expected) == (inputs.input_ids == model._image_id).sum()


@pytest.mark.parametrize("size", SIZES)
def test_boxes_say_what_each_token_sees(model, size):
    """A picture that is red at one place changes most the tokens whose boxes hold it."""
    boxes = model.encode_picture(picture(size)).boxes
    newline = np.isnan(boxes).all(1)
    assert newline.sum() > 0
    seen = boxes[~newline]
    assert (seen >= 0).all()
    assert (seen <= 1).all()
    assert (seen[:, 0] < seen[:, 2]).all()
    assert (seen[:, 1] < seen[:, 3]).all()
    # The whole, and the tiles, cover the picture once each.
    area = (seen[:, 2] - seen[:, 0]) * (seen[:, 3] - seen[:, 1])
    assert area[:36].sum() == pytest.approx(1)
    assert area[36:].sum() == pytest.approx(1, abs=0.15)  # stock cuts off patches that are mostly padding
    assert (np.diff(np.flatnonzero(newline)) == np.flatnonzero(newline)[0] - 35).all()  # at the end of each row


def test_a_tile_sees_the_place_that_its_box_names(model):
    """Of two pictures that differ in one cell, only tokens of that cell differ before attention mixes them."""
    frames = np.zeros((6, 84, 84, 3), np.uint8)
    changed = frames.copy()
    changed[3] = 255
    a, b = (model.encode_picture(tile(x)) for x in (frames, changed))
    difference = (a.data - b.data).abs().amax(1)
    assert len(a.data) == 36 + 18 * 13
    inside = (a.boxes >= [1 / 3 - 1e-6, 0.5 - 1e-6, 0, 0]).all(1) & (a.boxes <= [1, 1, 2 / 3 + 1e-6, 1 + 1e-6]).all(1)
    tiles = np.arange(len(inside)) >= 36
    assert inside[tiles].sum() == 36
    assert (difference[inside & tiles] > 0).all()
    assert (difference[~inside & tiles] == 0).all()  # other tiles are other pictures to the tower


def test_without_tiles_a_picture_is_one_frame(model):
    whole = model.encode_picture(picture((252, 168)), tiles=False)
    assert torch.equal(whole.data, model.encode([picture((252, 168))]).patches()[0])
    assert whole.boxes.shape == (36, 4)


def test_another_resolution_gives_the_grid_asked_for(model):
    pictures = [picture((84, 84), seed) for seed in range(19)]
    features = model.encode_grid(pictures, (4, 3))
    assert features.grid == (4, 3)
    assert features.patches([18, 2]).shape == (2, 12, 192)
    again = model.encode_grid(pictures[2:3], (4, 3))
    torch.testing.assert_close(features.patches([2]), again.patches(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.summary[2:3], again.summary, rtol=1e-4, atol=1e-4)


def test_the_towers_own_resolution_is_what_it_always_was(model):
    pictures = [picture((84, 84), seed) for seed in range(3)]
    own, same = model.encode(pictures), model.encode_grid(pictures, (6, 6))
    torch.testing.assert_close(own.patches(), same.patches())
    torch.testing.assert_close(own.summary, same.summary)


def test_words_are_embedded_without_special_tokens(model):
    words = model.embed_text("is it red ?")
    assert words.shape == (4, 192)
    ids = model.tokenizer("is it red ?", add_special_tokens=False).input_ids
    assert torch.equal(words, model.model.get_input_embeddings().weight[ids])


def test_the_published_sizes_give_the_published_number_of_tokens():
    assert picture_size(6, (336, 336)) == (1008, 672)
