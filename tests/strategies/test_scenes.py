"""Runs of frames that stand apart from noise: what is told from what, and in which order."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dyto.strategies import scenes
from dyto.strategies.runs import runs_of


def noisy(views, lengths, noise, seed=0):
    rng = np.random.default_rng(seed)
    x = np.repeat(views, lengths, axis=0)
    return scenes.directions(x + noise * rng.normal(size=x.shape) / np.sqrt(x.shape[1]))


@pytest.mark.parametrize("lengths", [(500, 1, 499), (2, 3, 2), (30, 30, 30)])
def test_runs_end_where_scenes_do(lengths):
    x = noisy(np.eye(3, 64), lengths, 0.2)
    bounds = runs_of(x, scenes.threshold(x, 8.0)).bounds
    assert bounds.tolist() == [0, *np.cumsum(lengths)]


def test_the_noise_is_that_between_frames_of_one_scene_however_often_it_is_cut():
    calm = noisy(np.eye(2, 64), (60, 60), 0.2)
    cut = noisy(np.tile(np.eye(2, 64), (60, 1)), [1] * 120, 0.2)
    assert scenes.noise_level(calm) == pytest.approx(0.04, rel=0.4)
    assert scenes.noise_level(cut) == pytest.approx(scenes.noise_level(calm), rel=0.2)


def test_one_frame_has_no_noise_and_is_one_run():
    x = scenes.directions(np.ones((1, 5)))
    assert scenes.noise_level(x) == 0
    assert runs_of(x, 0.1).bounds.tolist() == [0, 1]


def test_means_are_those_of_the_frames():
    x = noisy(np.eye(3, 16), (7, 1, 20), 0.1)
    runs = runs_of(x, 0.2)
    for i, (start, end) in enumerate(zip(runs.bounds[:-1], runs.bounds[1:], strict=True)):
        np.testing.assert_allclose(runs.means[i], x[start:end].mean(0), atol=1e-5)


def plainly_joined(x, least):
    """The same as `runs_of`, step by step, every pair looked at again."""
    parts = [[i] for i in range(len(x))]
    while len(parts) > 1:
        costs = []
        for a, b in zip(parts, parts[1:], strict=False):
            gap = x[a].mean(0) - x[b].mean(0)
            costs.append(float(gap @ gap) * min(1.0, len(a) * len(b) / (len(a) + len(b))))
        best = int(np.argmin(costs))
        if costs[best] >= least:
            break
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return [part[0] for part in parts] + [len(x)]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.floats(0.01, 1.5))
def test_runs_are_those_of_the_plain_way(seed, frames, least):
    x = scenes.directions(np.random.default_rng(seed).normal(size=(frames, 6)))
    assert runs_of(x, least).bounds.tolist() == plainly_joined(x.astype(np.float64), least)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 40))
def test_each_run_is_ranked_once_and_what_is_new_first(seed, frames, most):
    x = scenes.directions(np.random.default_rng(seed).normal(size=(frames, 6)))
    runs = runs_of(x, 0.3)
    ranking = scenes.rank(runs, most, 0.3)
    assert len(ranking.order) == min(most, len(runs.means))
    assert len(set(ranking.order.tolist())) == len(ranking.order)
    assert (np.diff(ranking.apart[1:]) <= 1e-6).all()
    for place in range(1, int((ranking.apart > 0).sum())):
        before = runs.means[ranking.order[:place]].astype(np.float64)
        gaps = np.square(runs.means[:, None] - before).sum(2).min(1)
        assert gaps[ranking.order[place]] == pytest.approx(gaps.max(), abs=1e-5)


def test_returns_come_last_the_ends_of_the_video_first_among_them():
    views = np.eye(3, 32)[[0, 1, 0, 2, 1, 0]]
    x = noisy(views, (3, 5, 20, 4, 9, 2), 0.05)
    ranking = scenes.rank(runs_of(x, 0.3), 6, 0.3)
    assert ranking.order[:3].tolist() in ([2, 1, 3], [2, 3, 1], [2, 4, 3], [2, 3, 4])
    assert set(ranking.order[3:5].tolist()) == {0, 5}


def faded(steps, noise=0.02, seed=0):
    """Three scenes of 30 frames; between the first two so many frames of a cross-fade."""
    one, two, three = np.eye(3, 64)
    between = [(1 - a) * one + a * two for a in (np.arange(steps) + 1) / (steps + 1)]
    views = np.vstack(
        [*np.repeat(one[None], 30, 0), *between, *np.repeat(two[None], 30, 0), *np.repeat(three[None], 30, 0)]
    )
    return scenes.directions(views + noise * np.random.default_rng(seed).normal(size=views.shape) / 8)


@pytest.mark.parametrize("steps", range(8))
def test_the_frames_of_a_fade_are_no_scenes(steps):
    x = faded(steps)
    least = scenes.threshold(x, 8.0)
    runs, _ = scenes.scenes_of(x, least)
    assert len(runs.means) == 3
    assert 30 <= runs.bounds[1] <= 30 + steps
    if steps:
        assert len(runs_of(x, least).means) > 3  # noise alone tells them apart


def test_slow_change_is_more_than_a_fade():
    x = faded(60, noise=0.0)
    assert len(scenes.scenes_of(x, 0.02)[0].means) == 5  # the three scenes, and two states on the way


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(0.0, 0.75), st.booleans())
def test_what_is_cut_in_stays_however_brief_and_however_alike_its_neighbours(seed, frames, like, returns):
    rng = np.random.default_rng(seed)
    before, event, after = np.linalg.qr(rng.normal(size=(64, 3)))[0].T
    event = np.sqrt(1 - like**2) * event + like * before
    x = noisy(np.stack([before, event, before if returns else after]), (40, frames, 30), 0.05, seed)
    runs, least = scenes.scenes_of(x, scenes.threshold(x, 8.0))
    assert runs.bounds.tolist() == [0, 40, 40 + frames, 70 + frames]
    apart = np.square(runs.means - runs.means[runs.sizes.argmax()]).sum(1).max()
    assert least == pytest.approx(max(0.02, 0.05 * apart), rel=0.05)


def seen(seed, apart, mixed):
    """Two scenes of 20 frames, one frame between them, and the patches of all, (41, 36, 64).

    The squared distances of that frame from both scenes add up to `apart` times theirs. Its patches are mixtures of
    those of the scenes, or others.
    """
    rng = np.random.default_rng(seed)
    one, two, new = np.linalg.qr(rng.normal(size=(64, 3)))[0].T
    middle = (2 - apart) * (one + two) / 2  # of unit vectors: 4 - 2 (one + two) x = 2 apart
    middle = middle + np.sqrt(1 - middle @ middle) * new
    before, after, other = rng.normal(size=(3, 36, 64))
    patches = np.stack([*[before] * 20, (before + after) / 2 if mixed else other, *[after] * 20])
    return scenes.directions(np.stack([*[one] * 20, middle, *[two] * 20])), torch.from_numpy(patches)


def bounds_of(x, patches=None):
    load = None if patches is None else lambda positions: patches[positions]
    return scenes.scenes_of(x, 0.02, load_patches=load)[0].bounds.tolist()


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6), st.floats(1.11, 1.59))
def test_patches_tell_a_fade_from_something_new(seed, apart):
    x, fade = seen(seed, apart, mixed=True)
    assert len(bounds_of(x, fade)) == 3
    x, new = seen(seed, apart, mixed=False)
    assert bounds_of(x, new) == [0, 20, 21, 41]


@pytest.mark.parametrize("apart", [1.05, 1.19, 1.21, 1.7])
def test_without_patches_that_differ_the_summaries_decide(apart):
    x, fade = seen(0, apart, mixed=True)
    assert len(bounds_of(x)) == len(bounds_of(x, torch.ones_like(fade))) == (3 if apart < 1.2 else 4)


@pytest.mark.parametrize(("apart", "bounds"), [(1.05, 3), (1.65, 4)])
def test_where_summaries_leave_no_doubt_no_patch_is_loaded(apart, bounds):
    x, _ = seen(0, apart, mixed=True)

    def load(positions):
        raise AssertionError(positions)

    assert len(scenes.scenes_of(x, 0.02, load_patches=load)[0].bounds) == bounds


def test_the_patches_of_a_run_are_loaded_once_though_the_run_beside_it_grows():
    x, new = seen(0, 1.3, mixed=False)
    x = np.concatenate([x, 0.8 * x[-1:] + 0.6 * x[:1], x[:1].repeat(20, 0)])  # a fade that the run after it takes in
    asked = []

    def load(positions):
        asked.append(positions.tolist())
        return new[positions]

    assert scenes.scenes_of(x, 0.02, load_patches=load)[0].bounds[:3].tolist() == [0, 20, 21]
    assert asked == [[19, 20, 21]]


def test_a_fade_does_not_move_the_mean_of_the_scene_that_it_joins():
    x, fade = seen(0, 1.3, mixed=True)
    runs, _ = scenes.scenes_of(x, 0.02, load_patches=lambda positions: fade[positions])
    np.testing.assert_allclose(runs.means, x[[0, 40]], atol=1e-6)
    assert runs.sizes.tolist() in ([21, 20], [20, 21])


def test_movement_counts_where_nothing_else_happens_and_not_beside_other_scenes():
    still, moved, other = np.eye(3, 64)
    moved = np.sqrt(1 - 0.97**2) * moved + 0.97 * still  # squared distance 0.06
    alone = noisy(np.stack([still, moved]), (30, 30), 0.02)
    beside = noisy(np.stack([still, moved, other]), (30, 30, 30), 0.02)
    assert scenes.scenes_of(alone, 0.02)[0].bounds.tolist() == [0, 30, 60]
    assert scenes.scenes_of(beside, 0.02)[0].bounds.tolist() == [0, 60, 90]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(2, 5))
def test_scenes_are_runs_of_which_some_were_joined(seed, frames, width):
    x = scenes.directions(np.random.default_rng(seed).normal(size=(frames, width)).cumsum(0))
    fine = runs_of(x, 0.02)
    runs, least = scenes.scenes_of(x, 0.02)
    assert set(runs.bounds) <= set(fine.bounds)
    assert runs.sizes.tolist() == np.diff(runs.bounds).tolist()
    for mean, start, end in zip(runs.means, runs.bounds[:-1], runs.bounds[1:], strict=True):
        inside = [bound for bound in fine.bounds if start <= bound <= end]
        parts = [x[a:b].mean(0) for a, b in combinations(inside, 2)]  # frames of a fade do not move the mean
        assert min(np.abs(mean - part).max() for part in parts) < 1e-5
    same = scenes.scenes_of(fine.means, 0.02, (fine.means, fine.sizes))  # as a memory of these runs would say it
    assert fine.bounds[same[0].bounds].tolist() == runs.bounds.tolist()
    assert same[1] == least


def test_a_way_without_an_end_is_gone_in_one_sweep():
    angle = np.linspace(0, 40, 20_000) ** 1.2
    x = scenes.directions(np.stack([np.cos(angle), np.sin(angle)], 1))
    runs, _ = scenes.scenes_of(x, 1e-9)
    assert 1 < len(runs.means) < len(x)


def test_the_frame_of_a_run_is_the_one_nearest_to_its_mean():
    x = scenes.directions(np.array([[1, 0.3], [1, 0.0], [1, -0.4], [0, 1]]))
    runs = runs_of(x, 0.5)
    assert scenes.medoids(x, runs, np.array([0, 1])).tolist() == [1, 3]


@pytest.mark.parametrize("wrong", [np.zeros((0, 3)), np.zeros(3), np.array([[np.nan, 1]]), np.array([[np.inf, 1]])])
def test_features_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected \(T, D\)|NaN or infinity"):
        scenes.directions(wrong)
