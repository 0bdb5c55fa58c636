"""The hierarchy of a stream: bounded, causal, nested, and the same however frames come."""

import numpy as np
import pytest

from dyto.errors import ConfigError
from dyto.memory.noise import BINS, LEAST, NoiseMeter, level_of
from dyto.memory.online import OnlineHierarchy, Segments
from dyto.memory.splits import split_order, time_order
from dyto.strategies import scenes


def film(seed=0, frames=120, scenes_=9, dim=24, noise=0.08):
    """(T, D) directions of scenes of unequal length, with noise."""
    rng = np.random.default_rng(seed)
    views = rng.standard_normal((scenes_, dim))
    lengths = rng.multinomial(frames - scenes_, rng.dirichlet(np.ones(scenes_))) + 1
    return scenes.directions(np.repeat(views, lengths, axis=0) + noise * rng.standard_normal((frames, dim)))


def grown(x, most, step=3):
    tree, alive = OnlineHierarchy(most), set()
    for number, row in enumerate(x):
        alive.add(number * step)
        dropped = tree.add(row, number * step, number / 5)
        alive.discard(dropped)
    return tree, alive


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("most", [2, 7, 16, 500])
def test_segments_cover_the_video_in_order(seed, most):
    x = film(seed)
    tree, alive = grown(x, most)
    at = tree.segments()
    assert len(tree) == len(at.frames) == min(most, len(x))
    assert at.sizes.sum() == len(x)
    assert at.first[0] == 0
    assert at.last[-1] == 3 * (len(x) - 1)
    assert (at.first[1:] == at.last[:-1] + 3).all()
    assert ((at.first <= at.frames) & (at.frames <= at.last)).all()
    assert set(at.frames.tolist()) == alive, "what is not dropped represents a segment"
    np.testing.assert_allclose(at.seconds, at.frames / 15)
    for first, last, mean in zip(at.first // 3, at.last // 3, at.means, strict=True):
        np.testing.assert_allclose(mean, x[first : last + 1].mean(0), atol=1e-5)


def test_what_comes_later_changes_nothing_of_what_was():
    x = film(1)
    other = np.concatenate([x[:70], film(2)[:50]])
    early, _ = grown(x[:70], 8)
    for stream in (x, other):
        tree = OnlineHierarchy(8)
        for number, row in enumerate(stream):
            tree.add(row, 3 * number, number / 5)
            if number == 69:
                same(tree.segments(), early.segments())


def same(one, other):
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_rule_is_that_of_plus():
    """Where everything fits, going on from the segments is what `plus` does with the frames."""
    x = film(3)
    tree, _ = grown(x, len(x), step=1)
    at = tree.segments()
    runs, again = scenes.runs_of(x, 0.2), scenes.runs_of(at.means, 0.2, sizes=at.sizes)
    same(runs, again)
    while len(tree) > len(runs.sizes):
        tree.join()
    same(tree.segments().means, runs.means)


def test_runs_of_segments_count_their_frames():
    means = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    runs = scenes.runs_of(means, 0.5, sizes=np.array([5, 7, 2]))
    assert runs.sizes.tolist() == [12, 2]
    assert runs.bounds.tolist() == [0, 2, 3]


def test_a_brief_event_stays_however_long_the_scene_around_it():
    views = np.eye(3, dtype=np.float32)
    rng = np.random.default_rng(0)
    x = scenes.directions(np.repeat(views[[0, 1, 0]], [3000, 1, 3000], axis=0) + 0.02 * rng.standard_normal((6001, 3)))
    tree, _ = grown(x, 6, step=1)
    assert 3000 in tree.segments().frames


def test_a_long_scene_is_not_represented_by_how_it_begins():
    tree, _ = grown(np.ones((1000, 1), np.float32), 2, step=1)
    at = tree.segments()
    assert at.frames[0] > at.last[0] / 3


@pytest.mark.parametrize("seed", range(4))
def test_any_prefix_of_the_splits_is_a_coarser_segmentation(seed):
    x = film(seed)
    tree, _ = grown(x, 20)
    segments = tree.segments()
    directions = x[segments.frames // 3]
    splits = split_order(segments, directions)
    order, whole = time_order(splits, 20)
    same(whole._replace(means=0), segments._replace(means=0))
    np.testing.assert_allclose(whole.means, segments.means, atol=1e-6)
    bounds: set[int] = set()
    for count in range(1, 21):
        _, coarse = time_order(splits, count)
        assert coarse.sizes.sum() == len(x)
        assert len(coarse.frames) == count
        assert bounds < set(coarse.first.tolist()) | {-1}, "boundaries are nested"
        bounds = set(coarse.first.tolist())
        for first, last, mean in zip(coarse.first // 3, coarse.last // 3, coarse.means, strict=True):
            np.testing.assert_allclose(mean, x[first : last + 1].mean(0), atol=1e-5)
    cut = time_order(split_order(segments, directions)._replace(), 5)[1]
    while len(tree) > 5:
        tree.join()
    same(cut._replace(means=0), tree.segments()._replace(means=0))
    assert set(order.tolist()) == set(range(20))


def test_one_segment_needs_no_split():
    tree, _ = grown(film()[:1], 4)
    assert time_order(split_order(tree.segments(), film()[:1]), 1)[1].sizes.tolist() == [1]


@pytest.mark.parametrize(
    ("column", "value"), [("parents", 3), ("parents", -1), ("sizes", 0), ("first", 7), ("frames", 999)]
)
def test_rows_that_are_no_hierarchy_are_found(column, value):
    x = film(0)
    tree, _ = grown(x, 6)
    at = tree.segments()
    splits = split_order(at, x[at.frames // 3])
    if column == "parents":
        splits.parents[3] = value
    else:
        getattr(splits.rows, column)[3] = value
    with pytest.raises(ValueError, match=r"row|segments"):
        time_order(splits, 6)


@pytest.mark.parametrize("most", [1, 0, -3, 2.5, True, None, "8"])
def test_a_memory_of_fewer_than_two_segments_is_refused(most):
    with pytest.raises(ConfigError, match="expected a whole number of at least 2"):
        OnlineHierarchy(most)


def test_nothing_seen_is_an_error():
    with pytest.raises(ConfigError, match="nothing was seen yet"):
        OnlineHierarchy(4).segments()


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1, 0.5])
@pytest.mark.parametrize("frames", [1, 2, 9, 10, 120])
def test_the_noise_is_that_of_the_whole_video_within_a_bin(noise, frames):
    x = film(5, noise=noise)[:frames]
    meter, one_by_one = NoiseMeter(), NoiseMeter()
    meter.add(x)
    for row in x:
        one_by_one.add(row[None])
    np.testing.assert_array_equal(meter.counts, one_by_one.counts)
    exact = scenes.noise_level(x)
    assert meter.counts.sum() == (len(x) if len(x) > 1 else 0)
    assert level_of(meter.counts) == meter.level()
    if exact > 10 * LEAST:
        assert meter.level() == pytest.approx(exact, rel=0.25 if frames < 20 else 0.05)
    else:
        assert meter.level() < 20 * LEAST


def test_the_meter_does_not_grow():
    meter = NoiseMeter()
    for row in film(0, frames=300):
        meter.add(row[None])
    assert meter.counts.shape == (BINS,)
    assert len(meter._before) == scenes.WINDOW


def test_what_is_taken_is_a_copy():
    tree, _ = grown(film(), 6)
    before = tree.segments()
    kept = Segments(*(column.copy() for column in before))
    tree.add(film(9)[0], 5000, 900.0)
    same(before, kept)
