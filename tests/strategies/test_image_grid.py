"""The image grid and downsampling, on a real model."""

import numpy as np
import pytest
import torch

import dyto
from dyto import ConfigError, Frames, build_strategy
from dyto.models.adapters.llava_next import LlavaNext
from dyto.models.adapters.tiny import build_processor, build_tokenizer
from dyto.models.pixels import Normalization
from dyto.strategies.image_grid import layout, places_in_frames, tile
from dyto.strategies.uniform import spread
from strategies.world import Model, scenes, video

from forge import forge_model


@pytest.fixture(scope="module")
def model():
    return LlavaNext("forged", forge_model(seed=3), build_tokenizer(), normalization=Normalization(), chat="tiny")


def clip(count=40, size=(84, 84)):
    pixels = np.random.default_rng(0).integers(0, 255, (count, *size, 3), dtype=np.uint8)
    return Frames(pixels, np.arange(count), np.arange(count) / 10, size)


def test_six_frames_stand_in_three_rows_of_two():
    frames = np.arange(6, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 4, 3), np.uint8)
    picture = tile(frames)
    assert picture.shape == (6, 8, 3)
    assert picture[::2, ::4, 0].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_cells_without_a_frame_are_white():
    picture = tile(np.zeros((5, 2, 2, 3), np.uint8))
    assert picture[4:, 2:].min() == 255
    assert picture.sum() == 255 * 3 * 4


@pytest.mark.parametrize(
    ("count", "shape"), [(1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (6, (3, 2)), (8, (3, 3)), (9, (3, 3))]
)
def test_columns_are_the_rounded_root(count, shape):
    assert layout(count) == shape


def test_the_grid_is_read_as_the_stock_model_reads_the_picture(model):
    qa = dyto.VideoQA(model, build_strategy("image_grid", token_budget=300))
    frames = clip()
    tokens = qa.encode(frames)
    picture = tile(frames.data[spread(40, 6)])
    inputs = build_processor()(images=[picture], text="<image>", return_tensors="pt")
    with torch.no_grad():
        stock = model.model.model.get_image_features(inputs.pixel_values, inputs.image_sizes)
    torch.testing.assert_close(tokens.data, getattr(stock, "pooler_output", stock)[0], rtol=1e-4, atol=1e-4)
    assert len(tokens) == 36 + 18 * 13
    assert tokens.keyframes.positions.tolist() == spread(40, 6).tolist()
    assert qa.ask(tokens, "what color ?", max_new_tokens=3).num_visual_tokens == len(tokens)


def test_the_default_budget_has_room_for_fewer_frames(model):
    tokens = dyto.VideoQA(model, "image_grid").encode(clip())
    assert len(tokens) == 36 + 12 * 13 <= 230
    assert len(tokens.keyframes) == 4


def test_without_room_for_tiles_the_picture_is_one_square_and_says_so(model):
    tokens = dyto.VideoQA(model, build_strategy("image_grid", token_budget=40)).encode(clip())
    assert len(tokens) == 36
    assert len(tokens.keyframes) == 6
    assert any("no tiles fit" in warning for warning in tokens.warnings)
    with pytest.raises(ConfigError, match="one picture has 36 tokens.*at least 36"):
        dyto.VideoQA(model, build_strategy("image_grid", token_budget=35)).encode(clip())


def test_tokens_know_the_patches_that_they_see():
    boxes = np.array(
        [[0, 0, 1 / 3, 1 / 2], [1 / 3, 1 / 2, 1 / 3 + 1 / 12, 3 / 4], [np.nan] * 4, [0.25, 0.25, 0.5, 0.75]]
    )
    keyframe, sources = places_in_frames(boxes, 6, (4, 4))
    rows = [(sources.keyframe[sources.token == i], sources.patch[sources.token == i]) for i in range(4)]
    assert rows[0][0].tolist() == [0] * 16
    assert rows[0][1].tolist() == list(range(16))
    assert (rows[1][0].tolist(), rows[1][1].tolist()) == ([3, 3], [0, 1])
    assert (rows[2][0].tolist(), rows[2][1].tolist()) == ([3], [1])  # a newline is booked on the patch before it
    assert sorted(set(rows[3][0].tolist())) == [0, 1, 2, 3]
    assert keyframe.tolist() == [0, 3, 3, 3]


def test_downsampled_frames_are_those_of_the_tower_at_that_size(model):
    frames = clip()
    tokens = dyto.VideoQA(model, "downsample").encode(frames)
    positions = spread(40, 25)
    assert tokens.grid == (3, 3)
    assert len(tokens) == 25 * 9
    assert torch.equal(tokens.data, model.encode_grid(frames[positions], (3, 3)).patches().flatten(0, 1))


def test_every_strategy_answers_on_the_bundled_model(tiny):
    frames = clip(12)
    for name in dyto.strategies.STRATEGIES:
        answer = dyto.VideoQA(tiny, name).ask(frames, "what color is it ?", max_new_tokens=2)
        assert answer.num_visual_tokens <= (answer.token_budget or 12 * 36)
        assert answer.seconds["encode"] > 0


def test_a_model_that_encodes_another_grid_than_asked_is_told(model):
    encode = Model(scenes(30, 36), (6, 6))
    encode.encode_grid = lambda images, grid: encode(images)
    with pytest.raises(ConfigError, match="asked for frames of 3 x 3 patches and got 6 x 6"):
        build_strategy("downsample")(video(30), encode)
