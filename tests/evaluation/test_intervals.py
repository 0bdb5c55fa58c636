"""Intervals, against figures worked out by hand and against simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyto.evaluation.intervals import clustered_mean, student_t


def test_one_question_a_video_is_wilsons_interval_with_students_t():
    mean = clustered_mean([1] * 30 + [0] * 70, [str(i) for i in range(100)])
    # by hand: variance 100/99 * 0.3*0.7/100, so n = 99; t(99) = 1.98422
    t, n, p = 1.98422, 99.0, 0.3
    centre = (p + t * t / (2 * n)) / (1 + t * t / n)
    half = t / (1 + t * t / n) * math.sqrt(p * (1 - p) / n + t * t / (4 * n * n))
    assert mean.value == pytest.approx(0.3)
    assert (mean.low, mean.high) == pytest.approx((centre - half, centre + half), abs=1e-5)


def test_questions_that_share_a_video_and_its_fate_count_as_one():
    videos = [str(i // 10) for i in range(200)]  # 20 videos of 10 questions, all right or all wrong
    together = clustered_mean([float(i // 10 % 2) for i in range(200)], videos)
    alone = clustered_mean([float(i % 2) for i in range(20)], [str(i) for i in range(20)])
    assert together.value == alone.value == 0.5
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert (together.questions, together.videos) == (200, 20)


def test_clusters_of_unequal_size_by_hand():
    # right/asked: a 1/1, b 0/1, c 2/4 -> p = 1/2; excess a .5, b -.5, c 0; variance 3/2 * .5 / 36
    mean = clustered_mean([1, 0, 1, 1, 0, 0], ["a", "b", "c", "c", "c", "c"])
    n = 0.25 / (1.5 * 0.5 / 36)  # 12 coins, but never more than the questions there are
    assert n == 12
    assert mean.value == 0.5
    t, n = 4.302653, 6.0
    half = t / (1 + t * t / n) * math.sqrt(0.25 / n + t * t / (4 * n * n))
    assert mean.high - 0.5 == pytest.approx(half, abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_is_no_certainty(value):
    mean = clustered_mean([value] * 50, [str(i // 5) for i in range(50)])
    assert mean.value == value
    assert 0.2 < mean.high - mean.low < 0.5  # ten videos


def test_nothing_and_one_video():
    assert clustered_mean([], []) is None
    one = clustered_mean([1, 0], ["a", "a"])
    assert (one.value, one.low, one.high) == (0.5, 0.0, 1.0)


def test_scores_are_on_their_own_scale():
    mean = clustered_mean([2, 3, 4, 3], list("abcd"), top=5)
    assert mean.value == 3
    assert 0 < mean.low < 3 < mean.high < 5


def test_student_t_agrees_with_printed_tables():
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 10: 2.228, 30: 2.042, 120: 1.980}
    for freedom, quantile in table.items():
        assert student_t(freedom) == pytest.approx(quantile, rel=0.004 if freedom == 3 else 0.001)


def test_the_interval_covers_the_truth_where_counting_questions_alone_does_not():
    rng = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(400):
        chance = rng.beta(1.2, 0.8, 60)  # each video has a chance of its own; mean 0.6
        sizes = rng.integers(1, 20, 60)
        videos = np.repeat(np.arange(60), sizes)
        values = (rng.random(len(videos)) < chance[videos]).astype(float)
        mean = clustered_mean(values.tolist(), videos.astype(str).tolist())
        covered += mean.low <= 0.6 <= mean.high
        spread = 1.96 * math.sqrt(mean.value * (1 - mean.value) / len(values))
        naive += abs(mean.value - 0.6) <= spread
    assert 0.92 <= covered / 400 <= 0.98
    assert naive / 400 < 0.75
