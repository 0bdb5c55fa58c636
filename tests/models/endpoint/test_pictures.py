"""Key frames as pictures: as many and as large as the budget pays for."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import dyto
from dyto.errors import ConfigError
from dyto.models.endpoint.counting import RULES, rule_for
from dyto.models.endpoint.pictures import SMALLEST, FramePicture, shares, shrunk

from conftest import scenes


@settings(max_examples=300, deadline=None)
@given(
    given=st.lists(st.integers(1, 400), min_size=1, max_size=30),
    least=st.integers(1, 300),
    more=st.integers(0, 700),
    budget=st.integers(1, 9000),
)
def test_shares_keep_the_budget_and_every_picture_can_be_read(given, least, more, budget):
    given = np.array(given)
    if budget < least:
        with pytest.raises(ConfigError, match="the smallest picture at this endpoint"):
            shares(given, least, least + more, budget)
        return
    chosen, paid = shares(given, least, least + more, budget)
    assert paid.sum() <= budget
    assert paid.min() >= least
    assert paid.max() <= least + more
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) == min(len(given), budget // least), "as many as the budget pays for"
    left_out = np.delete(given, chosen)
    assert not len(left_out) or left_out.max() <= given[chosen].min(), "those with most tokens come first"


def test_without_a_budget_every_key_frame_is_sent_at_full_size():
    chosen, paid = shares(np.array([1, 9]), 20, 100, None)
    assert (chosen.tolist(), paid.tolist()) == ([0, 1], [100, 100])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.names)
@pytest.mark.parametrize("size", [(432, 768), (768, 432), (300, 300)])
def test_a_picture_costs_at_most_its_share_and_is_as_large_as_that_allows(rule, size):
    pixels = np.zeros((*size, 3), np.uint8)
    full = rule.count(*size)
    for share in (full, full * 3 // 4, full // 2):
        picture = shrunk(pixels, share, rule.count)
        smallest = max(picture.height, picture.width) == SMALLEST
        assert picture.tokens <= share or smallest
        assert picture.tokens == rule.count(picture.height, picture.width)
        assert abs(picture.width / picture.height - size[1] / size[0]) < 0.02
    whole = shrunk(pixels, full, rule.count)
    assert (whole.height, whole.width) == size


def test_drawings_are_sent_without_loss_and_photographs_as_jpeg():
    drawn = np.zeros((96, 96, 3), np.uint8)
    drawn[20:50, 30:60] = (200, 30, 30)
    noisy = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert [FramePicture.of(pixels, 1).kind for pixels in (drawn, noisy)] == ["png", "jpeg"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(FramePicture.of(drawn, 1).content))), drawn)
    assert FramePicture.of(noisy, 1).url.startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("strategy", ["plus", "dyto", "kmeans", "uniform", "uniform-merge", "plus-2025"])
@pytest.mark.parametrize("budget", [None, 60, 700])
def test_pictures_are_the_key_frames_and_cost_the_budget_at_most(reach, strategy, budget):
    frames = dyto.sample_frames(scenes(), num_frames=40)
    options = {} if budget is None else {"token_budget": budget}
    tokens = reach(dyto.build_strategy(strategy, **options), tokens_per_image=30).encode(frames)
    assert len(tokens) == sum(picture.tokens for picture in tokens.pictures) <= tokens.budget
    assert len(tokens.pictures) == len(tokens.keyframes)
    for picture, position in zip(tokens.pictures, tokens.keyframes.positions, strict=True):
        sent = np.asarray(Image.open(io.BytesIO(picture.content)).convert("RGB"))
        if picture.kind == "png":
            np.testing.assert_array_equal(sent, frames.data[position])
        else:
            assert np.abs(sent.astype(int) - frames.data[position]).mean() < 25


def test_what_the_budget_leaves_out_is_said(reach):
    tokens = reach(dyto.DyTo(token_budget=65), tokens_per_image=30).encode(scenes())
    said = " ".join(tokens.warnings)
    assert "2 of " in said
    assert "a budget of 65 tokens pays for no more pictures" in said
    assert said.count("an endpoint merges no tokens") == 1
    assert not reach("uniform", tokens_per_image=30).encode(scenes()).warnings, "whole frames were never merged"


def test_a_rule_counts_the_picture_that_is_sent(reach):
    tokens = reach("uniform", name="qwen2.5vl").encode(np.zeros((12, 448, 756, 3), np.uint8))
    assert tokens.uncompressed == 12 * rule_for("qwen2.5vl").count(448, 756)
    assert {picture.tokens for picture in tokens.pictures} == {434}
