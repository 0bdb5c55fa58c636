"""The statistics, against every case counted out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dyto.comparing.statistics import _subsets, holm, paired_difference, sign_flip_interval, sign_flip_p


def counted_out(differences):
    """The p-value by going through all signs."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return np.mean([value >= observed for value in sums])


@pytest.mark.parametrize("seed", range(12))
def test_the_permutation_test_counts_every_way_to_set_the_signs(seed):
    rng = np.random.default_rng(seed)
    differences = rng.integers(-6, 7, int(rng.integers(1, 11))).tolist()
    assert sign_flip_p(differences) == pytest.approx(counted_out(differences), abs=1e-12)


def test_the_permutation_test_by_hand():
    assert sign_flip_p([3]) == 1.0  # +3 and -3 are equally far
    assert sign_flip_p([2, 1]) == 0.5  # 3 and -3 of 3, 1, -1, -3
    assert sign_flip_p([1, -1]) == 1.0
    assert sign_flip_p([0, 0, 0]) == 1.0
    assert sign_flip_p([]) == 1.0
    assert sign_flip_p([4] * 10) == 2 / 2**10


def test_the_permutation_test_knows_neither_units_nor_videos_without_a_difference():
    assert sign_flip_p([30, -10, 0, 20, 0]) == sign_flip_p([3, -1, 2])


def test_thousands_of_videos_are_no_obstacle():
    rng = np.random.default_rng(0)
    p = sign_flip_p(rng.integers(-20, 22, 3000).tolist())
    assert 0 < p <= 1


def test_holm_by_hand():
    # 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04, never smaller than the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_refuses_what_the_step_down_procedure_refuses():
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = (rng.random(6) ** 3).tolist()
        refused, ranked = set(), sorted(range(6), key=lambda i: values[i])
        for rank, index in enumerate(ranked):
            if values[index] > 0.05 / (6 - rank):
                break
            refused.add(index)
        assert {i for i, p in enumerate(holm(values)) if p <= 0.05} == refused


def refused(sums, counts, true):
    """Whether the sign-flip test, all signs counted out, refuses a true difference."""
    left = [d - true * n for d, n in zip(sums, counts, strict=True)]
    observed = abs(sum(left)) - 1e-9
    ways = [abs(sum(s * x for s, x in zip(signs, left, strict=True))) for signs in product((1, -1), repeat=len(left))]
    return np.mean([way >= observed for way in ways]) <= 0.05


@pytest.mark.parametrize("seed", range(8))
def test_the_interval_is_what_the_test_does_not_refuse(seed):
    rng = np.random.default_rng(seed)
    videos = int(rng.integers(6, 10))
    sums, counts = (rng.integers(-3, 6, videos)).tolist(), rng.integers(1, 6, videos).tolist()
    low, high = sign_flip_interval(sums, counts)
    assert np.isfinite([low, high]).all()
    for end, outwards in ((low, -1), (high, 1)):
        assert not refused(sums, counts, end - outwards * 1e-6)
        assert refused(sums, counts, end + outwards * 1e-6)


@pytest.mark.parametrize("seed", range(40))
def test_p_is_at_most_five_per_cent_exactly_where_the_interval_excludes_zero(seed):
    rng = np.random.default_rng(seed)
    videos = int(rng.integers(2, 80))
    sums = (rng.integers(-4, 5, videos) + int(rng.integers(-1, 2))).tolist()
    found = paired_difference(sums, rng.integers(8, 12, videos).tolist(), unit=1)
    assert (found.p <= 0.05) == (found.low > 0 or found.high < 0)
    assert found.low <= found.value <= found.high


def test_with_many_videos_the_interval_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(3)
    sums, counts = rng.integers(-3, 5, 400).tolist(), [10] * 400
    found = paired_difference(sums, counts, unit=1)
    assert found.spread == pytest.approx(np.std(sums, ddof=1) / 10)
    half = 1.96 * found.spread / 20
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=half / 15)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(300):
        sums = rng.binomial(10, 0.6, 16) - rng.binomial(10, 0.5, 16)
        low, high = sign_flip_interval(sums.tolist(), [10] * 16)
        hits += low <= 0.1 <= high
    assert 0.92 <= hits / 300 <= 0.98


def test_drawn_subsets_come_to_what_all_subsets_come_to(monkeypatch):
    rng = np.random.default_rng(5)
    sums, counts = rng.integers(-2, 5, 14).tolist(), rng.integers(3, 8, 14).tolist()
    whole = sign_flip_interval(sums, counts)
    monkeypatch.setattr("dyto.comparing.statistics.MOST_SUBSETS", 1)
    monkeypatch.setattr("dyto.comparing.statistics._CHUNK_VALUES", 900)
    _subsets.cache_clear()
    try:
        assert sign_flip_interval(sums, counts) == pytest.approx(whole, abs=0.03)
    finally:
        _subsets.cache_clear()


def test_fewer_than_six_videos_exclude_nothing():
    assert sign_flip_interval([3, 3, 3, 3, 3], [3] * 5) == (-np.inf, np.inf)
    found = paired_difference([3, 3, 3, 3, 3], [3] * 5, unit=1)
    assert (found.low, found.high, found.p) == (-1.0, 1.0, 0.0625)
    assert paired_difference([3] * 6, [3] * 6, unit=1).low == 1.0


def test_a_difference_is_the_mean_over_questions_not_over_videos():
    found = paired_difference([6, 0], [3, 1], unit=2)
    assert found.value == 6 / 2 / 4
    assert (found.questions, found.videos) == (4, 2)
    assert found.low <= found.value <= found.high


def test_one_video_proves_nothing():
    found = paired_difference([5], [5], unit=1)
    assert (found.value, found.low, found.high, found.p) == (1.0, -1.0, 1.0, 1.0)
    assert paired_difference([], [], 1) is None
