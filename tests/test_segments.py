"""The hierarchy over time: exact cuts, nesting, costs, noise, ties and edge cases."""

import numpy as np
import pytest
import torch

from dyto.segments import LEAST_COST, Hierarchy, representatives, ward


def scenes(lengths, noise=0.0, dim=64, seed=0):
    rng = np.random.default_rng(seed)
    views = np.linalg.qr(rng.normal(size=(dim, len(lengths))))[0].T
    x = np.repeat(views, lengths, axis=0)
    return x + noise * rng.normal(size=x.shape) / np.sqrt(dim)


def plain_ward(x, count):
    """The same agglomeration from its definition: all segments, all squared distances, again and again."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    bounds = list(range(len(x) + 1))

    def scatter(start, end):
        return np.square(x[start:end] - x[start:end].mean(0)).sum()

    while len(bounds) > count + 1:
        rise = [
            scatter(bounds[i - 1], bounds[i + 1])
            - scatter(bounds[i - 1], bounds[i])
            - scatter(bounds[i], bounds[i + 1])
            for i in range(1, len(bounds) - 1)
        ]
        del bounds[1 + int(np.argmin(rise))]
    return bounds


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 2, 5, 12, 29, 30])
def test_it_equals_the_agglomeration_written_out(seed, count):
    x = np.cumsum(np.random.default_rng(seed).normal(size=(30, 8)), 0)
    assert ward(x).cut(count).tolist() == plain_ward(x, count)


def test_short_videos_and_long_ones_are_cut_as_the_definition_cuts_them():
    for seed in range(25):
        x = np.random.default_rng(seed).normal(size=(8, 4))
        assert [ward(x).cut(k).tolist() for k in range(1, 9)] == [plain_ward(x, k) for k in range(1, 9)]
    assert ward(scenes([290, 10])).cut(2).tolist() == [0, 290, 300]  # numbers of frames that Python does not share


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("lengths", [[50, 2, 48], [3, 3, 3, 3], [30, 1, 30], [2] * 20, [100]])
def test_a_cut_at_the_true_number_is_the_truth(lengths, noise):
    cut = ward(scenes(lengths, noise)).cut(len(lengths))
    assert cut.tolist() == [0, *np.cumsum(lengths).tolist()]


def test_cuts_are_nested_and_costs_never_fall():
    hierarchy = ward(np.random.default_rng(1).normal(size=(60, 16)))
    cuts = [set(hierarchy.cut(k).tolist()) for k in range(1, 61)]
    assert all(coarse < fine for coarse, fine in zip(cuts, cuts[1:], strict=False))
    assert (np.diff(hierarchy.costs) >= 0).all()


def test_costs_of_clear_scenes_add_up_to_the_squared_distances():
    x = scenes([20, 10, 30])
    hierarchy = ward(x)
    assert hierarchy.costs.sum() == pytest.approx(np.square(x - x.mean(0)).sum())
    assert hierarchy.costs[:-2].max() < 1e-12 < 1 < hierarchy.costs[-2]


@pytest.mark.parametrize("lengths", [[50, 2, 48], [7] * 14, [100], [40, 60]])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_as_many_segments_are_wanted_as_there_are_scenes(lengths, noise):
    assert ward(scenes(lengths, noise)).wanted(0.025, 0.75) == len(lengths)


def test_what_just_reaches_a_limit_counts():
    hierarchy = Hierarchy(np.arange(3), np.array([1.0, 1.0, 2.0]))
    assert [hierarchy.wanted(gain, 0.0) for gain in (0.25, 0.3, 0.5, 0.6)] == [4, 2, 2, 1]
    assert [hierarchy.wanted(1.0, part) for part in (0.0, 0.1, 0.5, 0.6, 1.0)] == [1, 2, 2, 3, 4]
    assert Hierarchy(np.arange(2), np.array([LEAST_COST, LEAST_COST])).wanted(0.0, 1.0) == 3
    assert Hierarchy(np.arange(2), np.array([LEAST_COST * 0.999, LEAST_COST])).wanted(0.0, 1.0) == 2


def test_one_odd_frame_of_a_hundred_costs_too_little_and_two_cost_enough():
    assert ward(scenes([50, 1, 49])).wanted(0.05, 0.75) == 2
    assert ward(scenes([50, 5, 45])).wanted(0.05, 0.75) == 3


def test_where_every_frame_is_another_scene_the_guard_asks_for_most_of_them():
    x = scenes([1] * 60)
    assert ward(x).wanted(0.025, 0.0) == 1
    assert 30 <= ward(x).wanted(0.025, 0.75) <= 60


def test_noise_below_the_least_cost_is_one_segment():
    x = scenes([80], noise=0.05)
    assert ward(x).costs.max() < LEAST_COST
    assert ward(x).wanted(0.025, 0.75) == 1


def test_the_length_of_features_does_not_matter_and_devices_and_dtypes_agree():
    x = scenes([9, 5, 20], noise=0.3).astype(np.float32)
    stretched = x * np.linspace(1, 50, len(x), dtype=np.float32)[:, None]
    expected = ward(x).cut(6).tolist()
    assert ward(stretched).cut(6).tolist() == expected
    assert ward(torch.from_numpy(x)).cut(6).tolist() == expected


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short_videos(frames):
    hierarchy = ward(np.ones((frames, 4)))
    assert hierarchy.num_frames == frames
    assert hierarchy.wanted(0.025, 0.75) == 1
    assert hierarchy.cut(frames).tolist() == list(range(frames + 1))


def test_zero_vectors_are_a_scene_of_their_own():
    x = np.concatenate([np.ones((5, 4)), np.zeros((5, 4))])
    assert ward(x).cut(2).tolist() == [0, 5, 10]


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros(3), np.full((4, 2), np.nan)])
def test_what_is_no_matrix_of_numbers_is_refused(bad):
    with pytest.raises(ValueError, match="features"):
        ward(bad)


@pytest.mark.parametrize("count", [0, 11])
def test_a_number_of_segments_that_cannot_be_is_refused(count):
    with pytest.raises(ValueError, match="expected 1 to 10"):
        ward(np.eye(10)).cut(count)


def test_the_medoid_avoids_what_is_unlike_its_segment():
    x = scenes([11, 11], noise=0.02)
    x[5] = x[16] = scenes([1, 1, 1], seed=9)[2]  # flashes in the middle of both
    bounds = np.array([0, 11, 22])
    assert representatives(x, bounds, "middle").tolist() == [5, 16]
    medoids = representatives(x, bounds, "medoid").tolist()
    assert medoids[0] in range(11)
    assert medoids[1] in range(11, 22)
    assert not {5, 16} & set(medoids)


@pytest.mark.parametrize("seed", range(8))
def test_the_medoid_is_the_frame_nearest_to_the_mean_of_its_segment(seed):
    x = np.random.default_rng(seed).normal(size=(40, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    bounds = np.array([0, 1, 3, 10, 17, 33, 40])
    expected = [
        start + int(np.linalg.norm(x[start:end] - x[start:end].mean(0), axis=1).argmin())
        for start, end in zip(bounds[2:-1], bounds[3:], strict=True)
    ]
    assert representatives(x, bounds, "medoid").tolist() == [
        0,
        1,
        *expected,
    ]  # of two equally near the middle, the first


def test_of_frames_equally_near_to_the_mean_the_one_nearest_to_the_middle_is_the_medoid():
    off = [0, 1, -1, 2, -2, 0, 3, -3]  # frames 0 and 5 are the mean; the middle is frame 3
    assert representatives(np.array([[1, y] for y in off]), np.array([0, 8]), "medoid").tolist() == [5]


@pytest.mark.parametrize("member", ["middle", "medoid"])
def test_of_identical_frames_the_middle_one_stands_for_them(member):
    assert representatives(scenes([9, 4, 1]), np.array([0, 9, 13, 14]), member).tolist() == [4, 10, 13]


def test_an_unknown_member_is_refused():
    with pytest.raises(ValueError, match="middle, medoid"):
        representatives(np.eye(3), np.array([0, 3]), "first")
