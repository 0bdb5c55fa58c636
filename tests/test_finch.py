"""TW-FINCH: golden partitions, properties, and every edge case of the specification."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dyto import finch
from dyto.finch import tw_finch


def cluster_counts(partitions):
    return [int(labels.max()) + 1 for labels in partitions]


def canonical(labels):
    """Labels renamed in the order of their first appearance."""
    names = {}
    return [names.setdefault(int(label), len(names)) for label in labels]


def walk(frames, dim=16, seed=0):
    """Features that drift: the kind a video gives."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(frames, dim)), 0) + 3 * rng.normal(size=dim)


def test_partitions_equal_the_golden_files(golden):
    cases = [case for case in golden("keyframes.npz") if "features" in case]
    assert len(cases) >= 7
    for case in cases:
        partitions = tw_finch(case["features"])
        assert cluster_counts(partitions) == case["counts"].tolist()
        assert [canonical(p) for p in partitions] == [canonical(p) for p in case["partitions"].T]


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 17, 64, 100, 333])
def test_partitions_are_nested_and_ever_coarser(frames):
    partitions = tw_finch(walk(frames))
    assert partitions
    for labels in partitions:
        assert labels.shape == (frames,)
        assert canonical(labels) == labels.tolist()  # numbered by first appearance
    for fine, coarse in zip(partitions, partitions[1:], strict=False):
        assert coarse.max() < fine.max()
        assert len(set(zip(fine.tolist(), coarse.tolist(), strict=True))) == fine.max() + 1


def scattered(frames, dim=6, seed=0):
    """Features in all directions, opposite ones too."""
    return np.random.default_rng(seed).normal(size=(frames, dim))


def followed_literally(x, temporal):
    """The definition, one cluster after another: means of features and of times, nearest others, joined again."""
    groups = [[i] for i in range(len(x))]
    partitions = []
    while True:
        means = np.array([x[group].mean(0) for group in groups])
        unit = means / np.linalg.norm(means, axis=1, keepdims=True)
        times = [np.mean(group) for group in groups]
        joined = [{i} for i in range(len(groups))]
        for i in range(len(groups)):
            others = [j for j in range(len(groups)) if j != i]
            far = [
                max(1 - float(unit[i] @ unit[j]), 1e-6) * (abs(times[i] - times[j]) / len(x) if temporal else 1)
                for j in others
            ]
            a = next(g for g in joined if i in g)
            b = next(g for g in joined if others[int(np.argmin(far))] in g)
            if a is not b:
                joined.remove(b)
                a |= b
        if partitions and len(joined) == 1:
            return partitions
        groups = [sorted(frame for member in group for frame in groups[member]) for group in joined]
        labels = np.empty(len(x), int)
        for label, group in enumerate(groups):
            labels[group] = label
        partitions.append(canonical(labels))
        if len(groups) == 1:
            return partitions


@pytest.mark.parametrize("frames", [3, 8, 30, 100])
@pytest.mark.parametrize("temporal", [True, False])
@pytest.mark.parametrize("features", [walk, scattered])
def test_the_partitions_are_the_definition_followed_literally(frames, temporal, features):
    x = features(frames, seed=frames)
    found = tw_finch(x, temporal=temporal)
    assert [labels.tolist() for labels in found] == followed_literally(x, temporal)
    assert temporal is False or [p.tolist() for p in tw_finch(x)] == [p.tolist() for p in found]


def test_clusters_whose_frames_cancel_each_other_are_at_distance_one_as_zeros_are():
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(3, 1))
        x[-1] = -x[:-1].sum()  # of the square of the sum nothing is left but rounding, which may be below 0
        assert [labels.tolist() for labels in tw_finch(x)] == [[0, 0, 0]]


def test_one_frame_is_one_cluster():
    assert [p.tolist() for p in tw_finch(np.ones((1, 4)))] == [[0]]


def test_two_frames_are_one_cluster():
    assert [p.tolist() for p in tw_finch(np.eye(2))] == [[0, 0]]


def test_the_weight_of_time_is_named():
    with pytest.raises(TypeError, match="positional"):
        tw_finch(np.eye(2), False)  # type: ignore[call-arg]


def test_identical_frames_are_grouped_by_time_with_ties_to_the_earlier_frame():
    # every frame's nearest is the one before it (the first one's the one after): one chain, one cluster
    assert [p.tolist() for p in tw_finch(np.ones((7, 3)))] == [[0] * 7]


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_rounding_noise_does_not_split_identical_frames(scale):
    rng = np.random.default_rng(5)
    x = np.repeat(rng.normal(size=(4, 512)), 11, axis=0) * scale
    noisy = x * (1 + 1e-9 * rng.normal(size=x.shape))
    assert [p.tolist() for p in tw_finch(noisy)] == [p.tolist() for p in tw_finch(x)]
    assert cluster_counts(tw_finch(x))[0] == 4


def test_equal_gaps_in_time_tie_whatever_the_number_of_frames():
    # one shared direction: distances are gaps alone, and each frame must join the one before it
    for frames in range(2, 130):
        assert cluster_counts(tw_finch(np.ones((frames, 2)))) == [1]


def test_zero_vectors_are_at_distance_one_from_everything():
    x = np.zeros((6, 4))
    x[:3, 0] = 1  # three alike, then three zeros
    assert tw_finch(x)[0].tolist() == [0, 0, 0, 0, 0, 0]  # a zero's nearest is its neighbour in time
    x[3:, 1] = 1
    assert tw_finch(x)[0].tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_errors_that_name_the_frame(bad):
    x = walk(5)
    x[3, 1] = bad
    with pytest.raises(ValueError, match="1 of 5 frames hold NaN or infinity .the first is frame 3"):
        tw_finch(x)
    x[4] = bad
    with pytest.raises(ValueError, match="2 of 5 frames hold NaN or infinity .the first is frame 3"):
        tw_finch(x)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 0), (2, 3, 4)])
def test_other_shapes_are_errors(shape):
    with pytest.raises(ValueError, match="expected \\(T, D\\)"):
        tw_finch(np.zeros(shape))


def test_arrays_and_tensors_of_any_kind_give_the_same():
    x = np.round(walk(60) * 8) / 8  # exact in bfloat16's exponent range and float32
    expected = [p.tolist() for p in tw_finch(x)]
    for same in (x.tolist(), x.astype(np.float32), torch.tensor(x), torch.tensor(x, requires_grad=True)):
        assert [p.tolist() for p in tw_finch(same)] == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_a_gpu():
    x = torch.tensor(walk(100), dtype=torch.float32)
    assert [p.tolist() for p in tw_finch(x.cuda())] == [p.tolist() for p in tw_finch(x)]


def test_every_round_at_least_halves_the_clusters():
    # which is why the published rules for a round that merges one cluster or none never come to bear
    for seed in range(100):
        counts = [40, *cluster_counts(tw_finch(walk(40, dim=3, seed=seed)))]
        assert all(fine >= 2 * coarse for fine, coarse in zip(counts, counts[1:], strict=False))


def test_a_single_cluster_is_returned_only_where_nothing_finer_was_found():
    for seed in range(100):
        counts = cluster_counts(tw_finch(walk(12, dim=3, seed=seed)))
        assert counts == [1] or counts[-1] > 1


def whole_matrix(x, temporal):
    """The same from the matrix of all inner products in float64, as it was before distances were computed in blocks."""
    x = np.asarray(x, np.float64)
    products = x @ x.T
    products = products + products.T
    size, time_sum = np.ones(len(x), np.int64), np.arange(len(x))
    labels, partitions = np.arange(len(x)), []
    while True:
        norm = np.sqrt(np.maximum(products.diagonal(), 0))
        scale = norm[:, None] * norm
        cosine = np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0)
        distance = np.maximum(1.0 - cosine, 1e-6)
        if temporal:
            distance *= np.abs(time_sum[:, None] * size - time_sum * size[:, None]) / (size[:, None] * size)
        np.fill_diagonal(distance, np.inf)
        joined = finch._connected_components(distance.argmin(1))
        if partitions and not joined.any():
            return partitions
        labels = joined[labels]
        partitions.append(labels)
        member = np.eye(int(joined.max()) + 1)[joined]
        products = member.T @ products @ member
        size, time_sum = np.bincount(joined, size).astype(int), np.bincount(joined, time_sum).astype(int)


def any_film(rng):
    """Features of any kind: noise, drift, scenes with and without noise, few values, one direction, all equal."""
    frames, dim = int(rng.integers(1, 140)), int(rng.choice([1, 2, 3, 8, 32, 192, 768]))
    noise, one = rng.normal(size=(frames, dim)), rng.normal(size=dim)
    scenes = np.repeat(noise, 7, 0)[:frames]
    kinds = [
        noise,
        np.cumsum(noise, 0) + 3 * one,
        scenes,
        scenes + 1e-4 * noise,
        noise[rng.integers(0, min(3, frames), frames)],
        rng.integers(-1, 2, size=(frames, dim)).astype(float),
        one + 10.0 ** rng.uniform(-9, 0) * noise,
        np.ones((frames, dim)),
    ]
    x = kinds[int(rng.integers(len(kinds)))]
    return (x.astype(np.float32) if rng.random() < 0.5 else x), bool(rng.random() < 0.8)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.soak)])
def test_blocks_in_float32_find_what_the_whole_matrix_in_float64_finds(count, monkeypatch):
    rng = np.random.default_rng(count)
    for number in range(count):
        x, temporal = any_film(rng)
        monkeypatch.setattr(finch, "RANK", 4 if number % 2 else 64)  # so that sketches are used for short films, too
        monkeypatch.setattr(finch, "CELLS", 1 << (10 if number % 4 < 2 else 18))
        before = x.copy()
        found = tw_finch(x, temporal=temporal)
        assert (x == before).all()
        expected = whole_matrix(x, temporal)
        assert [p.tolist() for p in found] == [p.tolist() for p in expected], (number, x.shape)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured as Linux can")
def test_many_frames_take_little_memory():
    rng = np.random.default_rng(0)
    x = (np.repeat(rng.normal(size=(150, 64)), 40, 0) + 0.3 * rng.normal(size=(6000, 64))).astype(np.float32)
    tw_finch(x[:50])
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_mib()
    tw_finch(x)
    assert peak_mib() - before < 60  # the matrix of all pairs would take 275 in float64


def peak_mib():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
