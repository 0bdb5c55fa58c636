"""The statistics, against every case counted out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dyto.comparing.statistics import bootstrap_interval, holm, paired_difference, sign_flip_p


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


def test_the_bootstrap_comes_to_the_quantiles_of_all_resamples():
    sums, counts = [2.0, 0.0, -1.0, 3.0, 1.0], [2, 1, 3, 4, 1]
    means = [sum(sums[i] for i in drawn) / sum(counts[i] for i in drawn) for drawn in product(range(5), repeat=5)]
    low, high = bootstrap_interval(sums, counts, resamples=60_000)
    exact = np.percentile(means, [2.5, 97.5])
    assert (low, high) == pytest.approx(tuple(exact), abs=0.03)


def test_the_bootstrap_repeats_itself_and_holds_in_pieces(monkeypatch):
    sums, counts = [1.0, 0.0, 2.0, 2.0], [2, 2, 2, 3]
    whole = bootstrap_interval(sums, counts)
    assert whole == bootstrap_interval(sums, counts)
    monkeypatch.setattr("dyto.comparing.statistics._CHUNK_VALUES", 400)
    assert bootstrap_interval(sums, counts) == pytest.approx(whole, abs=0.05)


def test_a_difference_is_the_mean_over_questions_not_over_videos():
    found = paired_difference([6, 0], [3, 1], unit=2)
    assert found.value == 6 / 2 / 4
    assert (found.questions, found.videos) == (4, 2)
    assert found.low <= found.value <= found.high


def test_one_video_proves_nothing():
    found = paired_difference([5], [5], unit=1)
    assert (found.value, found.low, found.high, found.p) == (1.0, -1.0, 1.0, 1.0)
    assert paired_difference([], [], 1) is None
