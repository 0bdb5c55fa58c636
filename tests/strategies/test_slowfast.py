"""SlowFast: published counts, pooling, budgets and provenance."""

import numpy as np
import pytest
import torch

from dyto import ConfigError, FrameFeatures
from dyto.strategies import SlowFast, build_strategy


def features(frames=50, side=24, dim=8, seed=0):
    return FrameFeatures.from_projected(
        torch.randn(frames, 1 + side * side, dim, generator=torch.Generator().manual_seed(seed))
    )


def test_the_published_setting_gives_2880_and_800_tokens():
    x = features()
    tokens = SlowFast().compress(x)
    assert len(tokens) == 3680 == tokens.budget
    slow = x.patches([0, 5, 10, 15, 20, 25, 30, 35, 40, 45])
    assert torch.equal(tokens.data[:2880], slow.view(10, 288, 2, 8).amax(2).flatten(0, 1))
    fast = x.patches().view(50, 4, 6, 4, 6, 8).mean((2, 4)).flatten(0, 2)
    torch.testing.assert_close(tokens.data[2880:], fast)
    assert tokens.frames[:288].tolist() == [0] * 288
    assert tokens.frames[2880::16].tolist() == list(range(50))


@pytest.mark.parametrize("pool", ["spatial_1d_max_pool", "spatial_2d_avg_pool"])
@pytest.mark.parametrize("side", [6, 7, 24])
@pytest.mark.parametrize("frames", [1, 2, 7, 50, 100])
@pytest.mark.parametrize("budget", [16, 37, 230, 3680, 10**6])
def test_the_budget_holds_and_tokens_are_what_their_patches_say(pool, side, frames, budget):
    x = features(frames, side)
    tokens = SlowFast(slow_pool=pool, token_budget=budget).compress(x)
    assert len(tokens) <= budget
    assert (np.diff(tokens.sources.token) >= 0).all()
    rng = np.random.default_rng(budget)
    for i in rng.integers(0, len(tokens), 12):
        pairs = tokens.patches_of(int(i))
        assert {k for k, _ in pairs} == {tokens.keyframe[i]}
        held = x.patches([tokens.keyframes.positions[tokens.keyframe[i]]])[0][[p for _, p in pairs]]
        reduced = [held.mean(0), held.amax(0)]
        assert any(torch.allclose(tokens.data[i], r, atol=1e-5) for r in reduced)


def test_a_smaller_tower_has_the_same_shares():
    tokens = SlowFast().compress(features(side=6))
    assert tokens.budget == 230
    assert len(tokens) == 10 * 18 + 50 * 1


def test_a_budget_below_one_fast_frame_names_the_minimum():
    with pytest.raises(ConfigError, match="budget 15, but one fast frame has 16 tokens.*at least 16"):
        SlowFast(token_budget=15).compress(features())


def test_options_that_make_no_sense_are_errors():
    with pytest.raises(ConfigError, match="did you mean 'spatial_1d_max_pool'"):
        build_strategy("slowfast", slow_pool="spatial_1d_max")
    with pytest.raises(ConfigError, match="slow_frames of strategy 'slowfast' is 0, expected at least 1"):
        SlowFast(slow_frames=0)
    with pytest.raises(ConfigError, match="fast_grid is 4, expected rows and columns"):
        build_strategy("slowfast:fast_grid=4")
