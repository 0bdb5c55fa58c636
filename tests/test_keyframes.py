"""Key frames: golden selections and the rules of every preset."""

import numpy as np
import pytest

from dyto.finch import tw_finch
from dyto.keyframes import choose_partition, pick_frames, thin

PAPER_34B = ((6, 12), (12, 24))


def test_selections_equal_the_golden_files(golden):
    cases = golden("keyframes.npz")
    assert len(cases) >= 12
    for case in cases:
        found = [list(case["partitions"].T)]
        found += [tw_finch(case["features"])] if "features" in case else []
        for partitions in found:
            picked = pick_frames(choose_partition(partitions))
            assert picked.tolist() == case["selected"].tolist()
            assert thin(picked, 25).tolist() == case["selected_capped"].tolist()


def test_the_partition_is_the_second_finest_or_the_only_one():
    fine, middle, coarse = np.arange(4), np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1])
    assert choose_partition([fine, middle, coarse]) is middle
    assert choose_partition([fine]) is fine
    assert choose_partition([fine, middle, coarse], "finest") is fine
    assert choose_partition([fine, middle, coarse], "coarsest") is coarse
    with pytest.raises(ValueError, match="second-finest, finest, coarsest"):
        choose_partition([fine], "second")
    with pytest.raises(ValueError, match="at least one"):
        choose_partition([])


@pytest.mark.parametrize("clusters", range(1, 7))
def test_up_to_six_clusters_share_twelve_frames(clusters):
    labels = np.repeat(np.arange(clusters), 20)
    each = 12 // clusters
    expected = [c * 20 + i for c in range(clusters) for i in range(each)]
    assert pick_frames(labels).tolist() == expected


def test_where_there_are_more_clusters_than_frames_to_share_each_gives_one():
    labels = np.repeat(np.arange(5), 4)
    assert pick_frames(labels, ((6, 3),)).tolist() == pick_frames(labels, ((6, 5),)).tolist() == [0, 4, 8, 12, 16]


def test_small_clusters_give_all_they_have():
    assert pick_frames([0, 1, 1, 1, 1, 1, 1, 1, 1]).tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("size", "member"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (10, 5)])
def test_past_six_clusters_one_frame_each(size, member):
    labels = np.repeat(np.arange(7), size)
    assert pick_frames(labels).tolist() == [c * size + member for c in range(7)]
    assert pick_frames(labels, member="first").tolist() == [c * size for c in range(7)]


def test_scattered_clusters_are_picked_in_time_order():
    labels = [3, 9, 3, 9, 3, 1, 2, 4, 5, 6, 9]  # members of 3: 0 2 4, of 9: 1 3 10
    assert pick_frames(labels).tolist() == [2, 3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(("clusters", "each"), [(6, 2), (7, 3), (8, 3), (12, 2)])
def test_the_34b_rule_shares_24_frames_up_to_twelve_clusters(clusters, each):
    labels = np.repeat(np.arange(clusters), 9)
    expected = [c * 9 + i for c in range(clusters) for i in range(each)]
    assert pick_frames(labels, PAPER_34B).tolist() == expected
    assert len(pick_frames(np.repeat(np.arange(13), 9), PAPER_34B)) == 13


@pytest.mark.parametrize("bad", [[], [[0, 1]], 3])
def test_labels_of_another_shape_are_errors(bad):
    with pytest.raises(ValueError, match="expected \\(T,\\)"):
        pick_frames(bad)


def test_an_unknown_member_is_an_error():
    with pytest.raises(ValueError, match="middle, first"):
        pick_frames([0], member="medoid")


@pytest.mark.parametrize("count", [1, 2, 24, 25, 26, 50, 99])
def test_thinning_keeps_order_and_ends(count):
    frames = np.arange(count) * 3
    kept = thin(frames, 25)
    assert len(kept) == min(count, 25)
    assert kept[0] == frames[0]
    assert kept[-1] == frames[-1]
    assert (np.diff(kept) > 0).all()


def test_thinning_to_one_takes_the_first_and_to_none_is_an_error():
    assert thin([4, 8, 9], 1).tolist() == [4]
    with pytest.raises(ValueError, match="at least 1"):
        thin([4], 0)
