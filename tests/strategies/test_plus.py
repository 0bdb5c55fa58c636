"""Plus: what is brief is kept at every length, budgets are met, and tokens go where something is to be seen."""

import dataclasses
import time
import tracemalloc

import numpy as np
import pytest
import torch

from dyto import ConfigError, DyTo, FrameFeatures, ModelError
from dyto.strategies import Plus, build_strategy, scenes
from dyto.strategies.plus import how_many
from dyto.timing import Stopwatch


def film(*shots, n=36, dim=64, noise=0.2, seed=0):
    """Features of shots (scene, frames): frames of one scene differ by noise alone."""
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(1 + max(scene for scene, _ in shots), 1 + n, dim)).astype(np.float32)
    x = np.concatenate([np.repeat(views[scene, None], frames, axis=0) for scene, frames in shots])
    return FrameFeatures.from_projected(x + noise * rng.normal(size=x.shape).astype(np.float32))


def shown(tokens, *shots):
    """Which shot each key frame lies in."""
    ends = np.cumsum([frames for _, frames in shots])
    return np.searchsorted(ends, tokens.keyframes.positions, side="right").tolist()


@pytest.mark.parametrize("frames", [20, 200, 2000])
@pytest.mark.parametrize("budget", [3, 4, 18, 230, 1440])
def test_an_event_of_one_frame_is_kept_however_long_the_film_is(frames, budget):
    shots = (0, frames), (1, 1), (0, frames // 2), (2, frames)
    tokens = Plus(token_budget=budget).compress(film(*shots, n=16))
    assert {1, 3} <= set(shown(tokens, *shots))
    assert set(shown(tokens, *shots)) & {0, 2}


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_a_film_in_which_nothing_happens_has_one_key_frame(noise):
    tokens = Plus(token_budget=3680).compress(film((0, 1000), n=4, noise=noise))
    assert len(tokens.keyframes) == 1
    assert len(tokens) == 4


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 35, 36, 37, 58, 229, 3680])
@pytest.mark.parametrize("shots", [((0, 1),), ((0, 4), (1, 3)), tuple((i, 1) for i in range(40))])
def test_the_budget_is_kept_and_every_patch_of_a_key_frame_is_in_one_token(shots, budget):
    tokens = Plus(token_budget=budget).compress(film(*shots))
    count = len(tokens.keyframes)
    assert len(tokens) == min(budget, 36 * len(shots))
    held = sorted(pair for i in range(len(tokens)) for pair in tokens.patches_of(i))
    assert held == [(k, p) for k in range(count) for p in range(36)]
    assert (np.diff(tokens.frames) >= 0).all()


def test_cutting_to_and_fro_is_paid_once_and_marked_where_there_is_room():
    shots = [(i % 2, 3) for i in range(30)]
    features = film(*shots)
    few = Plus(token_budget=8).compress(features)
    assert len(few.keyframes) <= 4
    many = Plus(token_budget=500).compress(features)
    sizes = np.sort(np.bincount(many.keyframe))
    assert len(sizes) == 30
    assert sizes[:26].max() == round(0.05 * 36)
    assert sizes[-2:].tolist() == [36, 36]


def test_slides_that_all_differ_are_no_noise():
    shots = [(i, 1) for i in range(12)]
    assert len(Plus(token_budget=100).compress(film(*shots, noise=0.0)).keyframes) == 12


def test_what_adds_more_gets_more_tokens_and_what_adds_little_its_part():
    assert scenes.share(np.array([1.0, 1.0, 0.25]), np.array([36, 36, 9]), 18).tolist() == [8, 8, 2]
    assert scenes.share(np.array([1.0, 0.25]), np.array([36, 9]), 1000).tolist() == [36, 9]
    assert scenes.share(np.array([0.001] * 5), np.ones(5, np.int64), 5).tolist() == [1] * 5


@pytest.mark.parametrize("seed", range(20))
def test_shares_spend_the_budget_where_there_is_room(seed):
    rng = np.random.default_rng(seed)
    worth = rng.uniform(0.001, 1, rng.integers(1, 30))
    budget = int(rng.integers(len(worth), 400))
    room = np.maximum(1, np.rint(36 * worth)).astype(np.int64)
    kept = scenes.share(worth, room, budget)
    assert kept.sum() == min(budget, room.sum())
    assert (kept >= 1).all()
    assert (kept <= room).all()


def test_a_scene_more_is_always_taken_and_a_return_only_where_it_costs_little():
    for budget in range(5, 60):
        assert how_many(np.ones(5), np.full(5, 36), budget, 36) == 5
    worth, room = np.array([1.0, 1.0, 0.05]), np.array([36, 36, 2])
    assert [how_many(worth, room, budget, 36) for budget in (3, 200)] == [2, 3]


def test_only_key_frames_are_projected():
    asked = []
    base = film((0, 30), (1, 2), (2, 30))

    def load(positions):
        asked.extend(positions.tolist())
        return base.load_patches(positions)

    tokens = Plus(token_budget=99).compress(dataclasses.replace(base, load_patches=load))
    assert sorted(asked) == tokens.keyframes.positions.tolist()


def test_memory_of_a_long_film_is_a_copy_of_its_summaries_and_little_more():
    frames, dim = 6000, 128
    summary = torch.randn(frames, dim, generator=torch.Generator().manual_seed(0))
    tracemalloc.start()
    Plus().select_keyframes(summary, 230, 36)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * summary.numel() * 4 + 8_000_000  # where pairs of frames were held, 144 MB


def test_it_is_a_strategy_and_a_preset():
    assert DyTo.preset("plus") == build_strategy("plus") == build_strategy("dyto", preset="plus") == Plus()
    assert build_strategy("dyto", preset="plus", token_budget=7) == Plus(token_budget=7)
    assert build_strategy("plus:factor=4") == Plus(factor=4)
    with pytest.raises(ConfigError, match="unknown option of preset 'plus' 'partition'"):
        build_strategy("dyto", preset="plus", partition="finest")
    with pytest.raises(ConfigError, match="'dyto-no-merging' has no preset 'plus'"):
        build_strategy("dyto-no-merging", preset="plus")


@pytest.mark.parametrize(
    "fields", [{"factor": -1}, {"factor": "much"}, {"returning": 1.1}, {"ends": True}, {"order": "rastr"},
               {"token_budget": 0}, {"metric_groups": 0}]
)  # fmt: skip
def test_fields_that_make_no_sense_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields)).replace("_", "[_ ]")):
        Plus(**fields)


@pytest.mark.parametrize("where", [0, 1])
def test_features_that_are_no_numbers_are_an_error_of_the_model(where):
    x = np.random.default_rng(0).normal(size=(10, 37, 16)).astype(np.float32)
    x[:, where] = np.nan
    with pytest.raises(ModelError, match="unusable features"):
        Plus(token_budget=9).compress(FrameFeatures.from_projected(x))


def test_the_time_of_who_makes_patches_is_not_that_of_the_selection():
    watch = Stopwatch()
    wait = watch.taken_off("select", time.sleep)
    with watch.stage("select"):
        wait(0.2)
    assert 0 <= watch.seconds["select"] < 0.1
