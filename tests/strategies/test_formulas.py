"""Each strategy's formula against a plain, slow reading of it."""

import numpy as np
import pytest
import torch

from dyto import FrameFeatures, build_strategy, merge
from dyto.strategies.evs import changes
from dyto.strategies.kmeans import kmeans
from dyto.strategies.peaks import Peaks, segment_ends
from dyto.strategies.query import best_apart
from dyto.strategies.uniform import spread
from dyto.strategies.vidcom2 import WIDTHS, frame_quotas, similarities
from dyto.strategies.visionzip import VisionZip
from dyto.strategies.with_question import match
from strategies.world import Model, attention_scores, scenes, video


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def held(tokens):
    """For each token its (frame, patch) pairs, by position among the sampled frames."""
    positions = tokens.keyframes.positions
    return [[(int(positions[k]), p) for k, p in tokens.patches_of(i)] for i in range(len(tokens))]


# --- evs ------------------------------------------------------------------------------------------------------------


def test_evs_keeps_the_largest_changes_in_order():
    x = scenes(9, 12, 8)
    tokens = build_strategy("evs", token_budget=40)(video(9), Model(x, (3, 4)))
    score = {(t, p): 9.0 if t == 0 else 1 - cosine(x[t, 1 + p], x[t - 1, 1 + p]) for t in range(9) for p in range(12)}
    kept = sorted(sorted(score, key=lambda place: -score[place])[:40])
    assert held(tokens) == [[place] for place in kept]
    assert torch.equal(tokens.data, torch.stack([x[t, 1 + p] for t, p in kept]))


def test_evs_of_a_still_video_is_its_first_frame_and_then_the_earliest_places():
    x = scenes(1, 36).repeat(20, 1, 1)
    assert changes(x[:, 1:])[1:].abs().max() < 1e-5
    tokens = build_strategy("evs", token_budget=36)(video(20), Model(x, (6, 6)))
    assert tokens.keyframes.positions.tolist() == [0]


# --- vidcom2 --------------------------------------------------------------------------------------------------------


def slow_vidcom2(x, budget):
    frames, n, dim = x.shape
    flat = x.reshape(-1, dim).double()
    low = torch.tensor(sorted(torch.argsort(flat.var(0))[: dim // 2].tolist()))
    unit = [[x[t, p, low].double() / x[t, p, low].double().norm() for p in range(n)] for t in range(frames)]
    video_mean = sum(u for row in unit for u in row) / (frames * n)
    to_video, score = np.zeros((frames, n)), np.zeros((frames, n))
    for t in range(frames):
        frame_mean = sum(unit[t]) / n
        for p in range(n):
            both = [float((unit[t][p] - mean).square().sum()) for mean in (video_mean, frame_mean)]
            near = [sum(np.exp(-d / (2 * width)) for width in WIDTHS) for d in both]
            to_video[t, p], score[t, p] = near[0], sum(near)
    logits = -to_video.mean(1) / 0.01
    soft = np.exp(logits - logits.max())
    soft /= soft.sum()
    wanted = budget / (frames * n) * (1 + soft - soft.mean()) * n
    return score, wanted


def test_vidcom2_keeps_the_least_alike_patches_by_quota():
    x = scenes(8, 12, 10, seed=2)
    tokens = build_strategy("vidcom2", token_budget=50)(video(8), Model(x, (3, 4)))
    score, wanted = slow_vidcom2(x[:, 1:], 50)
    kept = held(tokens)
    counts = [sum(pairs[0][0] == t for pairs in kept) for t in range(8)]
    assert sum(counts) == 50
    assert all(abs(count - want) < 1 for count, want in zip(counts, wanted, strict=True))
    for t, count in enumerate(counts):
        least = sorted(np.argsort(score[t], kind="stable")[:count].tolist())
        assert [pairs[0][1] for pairs in kept if pairs[0][0] == t] == least


def test_vidcom2_similarities_equal_the_plain_ones():
    x = scenes(5, 9, 8)[:, 1:]
    to_video, to_frame = similarities(x)
    score, _ = slow_vidcom2(x, 10)
    np.testing.assert_allclose((to_video + to_frame).numpy(), score, rtol=1e-5)


@pytest.mark.parametrize("total", [0, 1, 5, 17, 31, 32])
def test_frame_quotas_add_up_and_fill_no_frame_twice(total):
    quota = frame_quotas(np.array([0.1, 0.9, 0.5, 0.5]), total, 8)
    assert quota.sum() == total
    assert quota.min() >= 0
    assert quota.max() <= 8


# --- visionzip ------------------------------------------------------------------------------------------------------


def slow_visionzip(cls, patches, attention, keep):
    """Tokens of one frame, and the patches of each but the first."""
    dominant = round(keep * 54 / 64)
    best = sorted(sorted(range(len(patches)), key=lambda p: -attention[p])[: dominant - 1])
    rest = [p for p in range(len(patches)) if p not in best]
    count = keep - dominant
    stride = len(rest) // count
    targets = [rest[i * stride] for i in range(count)]
    joined = {target: [] for target in targets}
    for p in rest:
        if p not in targets:
            joined[max(targets, key=lambda target: cosine(patches[p], patches[target]))].append(p)
    tokens = [cls, *(patches[p] for p in best)]
    for target in targets:
        others = joined[target]
        tokens.append(patches[target] + (torch.stack([patches[p] for p in others]).mean(0) if others else 0))
    return torch.stack(tokens), [[p] for p in best] + [sorted([t, *joined[t]]) for t in targets]


def test_visionzip_keeps_dominant_and_gathers_contextual_tokens():
    x = scenes(3, 30, 12)
    tokens = VisionZip(token_budget=3 * 16)(video(3), Model(x, (5, 6)))
    attention = attention_scores(x)
    assert len(tokens) == 48
    for t in range(3):
        slow, patches = slow_visionzip(x[t, 0], x[t, 1:], attention[t].tolist(), 16)
        torch.testing.assert_close(tokens.data[16 * t : 16 * t + 16], slow)
        assert [sorted(p for _, p in pairs) for pairs in held(tokens)[16 * t + 1 : 16 * t + 16]] == patches
        assert held(tokens)[16 * t] == [(t, p) for p in range(30)]  # CLS stands for its frame


def test_visionzip_of_64_tokens_has_54_dominant_and_10_contextual():
    x = scenes(1, 576, 8)
    tokens = VisionZip(token_budget=64)(video(1), Model(x, (24, 24)))
    sizes = [len(pairs) for pairs in held(tokens)]
    assert sizes[0] == 576
    assert sizes[1:54] == [1] * 53
    assert sum(sizes[54:]) == 576 - 53
    assert len(sizes[54:]) == 10


# --- peaks ----------------------------------------------------------------------------------------------------------


def slow_peaks(x, places, count, neighbours):
    """Density peaks among some patches of one frame."""
    unit = {p: (x[p] / x[p].norm()).double() for p in places}
    apart = {(p, q): float((unit[p] - unit[q]).norm()) for p in places for q in places}
    density = {p: np.exp(-np.mean(sorted(apart[p, q] ** 2 for q in places if q != p)[:neighbours])) for p in places}
    score = {}
    for p in places:
        denser = [apart[p, q] for q in places if density[q] > density[p]]
        score[p] = density[p] * (min(denser) if denser else max(apart[p, q] for q in places))
    return sorted(places, key=lambda p: -score[p])[:count]


def slow_peaks_segment(x, attention, salient_each, quota, step, weight):
    """(frame, patch) of each token with its vector and patches, of one segment (t, N, D)."""
    frames, n, _ = x.shape
    salient = [sorted(sorted(range(n), key=lambda p: -attention[t][p])[:salient_each]) for t in range(frames)]
    anchors = list(range(0, frames, step))
    counts = np.diff(np.arange(len(anchors) + 1) * quota // len(anchors))
    centres = []
    for anchor, count in zip(anchors, counts, strict=True):
        free = [p for p in range(n) if p not in salient[anchor]]
        centres += [(anchor, p) for p in slow_peaks(x[anchor], free, count, 4)]
    tokens = {(t, p): (x[t, p], [(t, p)]) for t in range(frames) for p in salient[t]}
    joined = {centre: [] for centre in centres}
    for t in range(frames):
        for p in range(n):
            if (t, p) not in tokens and (t, p) not in joined:
                joined[max(centres, key=lambda c: cosine(x[t, p], x[c]))].append((t, p))
    for centre, others in joined.items():
        w = max(weight, 1 / (len(others) + 1))
        mean = torch.stack([x[place] for place in others]).mean(0) if others else x[centre]
        tokens[centre] = w * x[centre] + (1 - w) * mean, sorted([centre, *others])
    return [tokens[place] for place in sorted(tokens)]


def test_peaks_prunes_each_segment():
    x = scenes(10, 12, 8, seed=4)
    tokens = Peaks(segments=3, threshold=-1, token_budget=31)(video(10), Model(x, (3, 4)))
    attention = attention_scores(x).tolist()
    ends = segment_ends(x[:, 0], 3, -1)
    assert len(ends) == 3
    each = round(31 // 10 * 0.4)
    expected = []
    for start, stop in zip([0, *ends], ends, strict=False):
        quota = stop * (31 - 10 * each) // 10 - start * (31 - 10 * each) // 10
        segment = slow_peaks_segment(x[start:stop, 1:], attention[start:stop], each, quota, 4, 0.6)
        expected += [(data, [(t + start, p) for t, p in pairs]) for data, pairs in segment]
    assert len(tokens) == len(expected) == 31
    torch.testing.assert_close(tokens.data, torch.stack([data for data, _ in expected]))
    assert [sorted(pairs) for pairs in held(tokens)] == [pairs for _, pairs in expected]


def test_segments_end_at_the_least_alike_neighbours_and_wherever_below_the_threshold():
    x = scenes(30, 0, 16, noise=0.05)[:, 0]
    alike = [cosine(x[t], x[t + 1]) for t in range(29)]
    below = [t + 1 for t in range(29) if alike[t] < 0.9]
    assert segment_ends(x, 1, 0.9) == [*below, 30]
    cuts = sorted(t + 1 for t in sorted(range(29), key=lambda t: alike[t])[:11])
    assert segment_ends(x, 12, -1) == [*cuts, 30]
    assert segment_ends(x[:1], 8, 0.9) == [1]
    assert segment_ends(x[:3], 8, -1) == [1, 2, 3]


# --- kmeans ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_kmeans_ends_where_every_point_is_nearest_to_its_own_mean(seed):
    x = scenes(60, 0, 8, seed=seed)[:, 0].double().numpy()
    labels, means = kmeans(x, 7, seed)
    distance = np.linalg.norm(x[:, None] - means, axis=2)
    assert np.array_equal(distance.argmin(1), labels)
    for cluster in range(7):
        np.testing.assert_allclose(means[cluster], x[labels == cluster].mean(0))


def test_kmeans_finds_scenes_wherever_they_are():
    rng = np.random.default_rng(0)
    scene = rng.normal(size=(4, 32))
    which = np.array([0, 1, 0, 2, 2, 3, 1, 0, 3, 3, 2, 1] * 5)
    x = torch.tensor(scene[which] + 0.01 * rng.normal(size=(60, 32)), dtype=torch.float32)
    picked = build_strategy("kmeans:num_frames=4").select_keyframes(x)  # type: ignore[attr-defined]
    assert sorted(which[picked]) == [0, 1, 2, 3]
    unit = x / x.norm(dim=1, keepdim=True)
    for frame in picked:  # the member nearest to the mean of its scene
        members = np.flatnonzero(which == which[frame])
        assert frame == members[(unit[members] - unit[members].mean(0)).norm(dim=1).argmin()]


def test_kmeans_of_frames_that_are_alike_gives_fewer_key_frames():
    assert len(build_strategy("kmeans").select_keyframes(torch.ones(50, 8))) == 1  # type: ignore[attr-defined]


# --- query ----------------------------------------------------------------------------------------------------------


def test_query_matches_words_with_the_best_patch_of_each_frame():
    x = scenes(7, 5, 8)
    words = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    slow = torch.tensor([[max(cosine(x[t, p], word) for p in range(1, 6)) for word in words] for t in range(7)])
    torch.testing.assert_close(match(x[:, 1:], words), slow - slow.mean(0), atol=1e-5, rtol=0)


def test_query_finds_the_frames_asked_for():
    x = 0.3 * torch.randn(50, 37, 64, generator=torch.Generator().manual_seed(0))
    word = torch.randn(64, generator=torch.Generator().manual_seed(1))
    x[[10, 33], 7] = word
    model = Model(x, (6, 6))
    model.embed_text = lambda text: word[None]
    tokens = build_strategy("query:num_frames=2")(video(50), model, "where is it ?")
    assert tokens.keyframes.positions.tolist() == [10, 33]
    uses = merge.merge_tokens(x[[10, 33], 1:], 36)
    assert torch.equal(tokens.data, uses.flatten(0, 1))


def test_frames_near_a_better_one_are_left_out_until_no_other_is_left():
    scores = np.array([0.0, 1.0, 0.9, 0.1, 0.2, 0.95])
    assert best_apart(scores, 2, 1).tolist() == [1, 5]
    assert best_apart(scores, 2, 0).tolist() == [1, 5]
    assert best_apart(scores, 3, 1).tolist() == [1, 3, 5]
    assert best_apart(scores, 5, 1).tolist() == [1, 2, 3, 4, 5]
    assert best_apart(scores, 9, 9).tolist() == [0, 1, 2, 3, 4, 5]


# --- uniform frames, pooled, merged ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("pool", "grid"), [(2, (6, 6)), (3, (6, 6)), (4, (6, 6)), (2, (5, 7))])
def test_uniform_pool_averages_neighbours(pool, grid):
    x = scenes(20, grid[0] * grid[1], 4)
    tokens = build_strategy(f"uniform-pool:pool={pool},num_frames=3")(video(20), Model(x, grid))
    positions = spread(20, 3)
    index = 0
    for t in positions:
        for row in range(0, grid[0], pool):
            for col in range(0, grid[1], pool):
                rows, cols = range(row, min(row + pool, grid[0])), range(col, min(col + pool, grid[1]))
                places = [r * grid[1] + c for r in rows for c in cols]
                assert held(tokens)[index] == [(t, p) for p in places]
                torch.testing.assert_close(tokens.data[index], x[t, 1:][places].mean(0))
                index += 1
    assert index == len(tokens)


def test_uniform_pool_encodes_only_the_frames_it_takes():
    model = Model(scenes(100, 36), (6, 6))
    build_strategy("uniform-pool:num_frames=5")(video(100), model)
    assert model.encoded == [0, *spread(100, 5).tolist()]


def test_uniform_merge_merges_uniform_frames_as_dyto_does():
    x = scenes(100, 36)
    model = Model(x, (6, 6))
    tokens = build_strategy("uniform-merge")(video(100), model)
    assert model.encoded == spread(100, 25).tolist() == tokens.keyframes.positions.tolist()
    assert torch.equal(tokens.data, merge.merge_tokens(x[spread(100, 25), 1:], 230 // 25).flatten(0, 1))


# --- ablations ------------------------------------------------------------------------------------------------------


def test_without_clustering_as_many_frames_are_spread_uniformly():
    x = FrameFeatures.from_projected(scenes(100, 36))
    full, spread_out = (build_strategy(name).compress(x) for name in ("dyto", "dyto-no-clustering"))  # type: ignore[attr-defined]
    count = len(full.keyframes)
    assert spread_out.keyframes.positions.tolist() == spread(100, count).tolist()
    assert len(full) == len(spread_out)


def test_without_merging_the_key_frames_are_thinned_and_kept_whole():
    x = FrameFeatures.from_projected(scenes(100, 36))
    full, whole = (build_strategy(name).compress(x) for name in ("dyto", "dyto-no-merging"))  # type: ignore[attr-defined]
    assert set(whole.keyframes.positions) <= set(full.keyframes.positions)
    assert len(whole.keyframes) == 230 // 36
    assert torch.equal(whole.data, x.patches(whole.keyframes.positions).flatten(0, 1))


def test_ablations_take_the_presets():
    assert build_strategy("dyto-no-merging", preset="finest").partition == "finest"  # type: ignore[attr-defined]
