"""What is kept of a strategy's work on a video, and the regions that its tokens stand for."""

import numpy as np
import pytest

import dyto
from dyto.inspecting import inspect_video
from dyto.inspecting.colors import cluster_colors
from dyto.inspecting.drawing import stagger
from dyto.inspecting.regions import DROPPED, borders, mean_colors, regions, tokens_per_keyframe
from dyto.strategies import Plus, Plus2025
from dyto.synthetic.videos import sample_video

from conftest import scenes


@pytest.fixture(scope="module")
def seen(tiny):
    qa = dyto.VideoQA(tiny)
    return inspect_video(qa, scenes(), versus=[dyto.Uniform(), dyto.SlowFast(token_budget=150)])


def test_tokens_are_those_that_asking_reads(tiny, seen):
    tokens = dyto.VideoQA(tiny).encode(scenes())
    assert seen.views[0].tokens.keyframes.positions.tolist() == tokens.keyframes.positions.tolist()
    assert bool((seen.views[0].tokens.data == tokens.data).all())
    assert [view.name for view in seen.views] == ["plus", "uniform", "slowfast"]


def test_the_hierarchy_is_the_one_the_key_frames_were_chosen_from(tiny):
    for preset, level in (("release", 1), ("finest", 0)):
        strategy = dyto.DyTo.preset(preset)
        view = inspect_video(dyto.VideoQA(tiny, strategy), scenes()).views[0]
        assert view.level == level
        picked = dyto.keyframes.pick_frames(view.partitions[level], strategy.quotas, strategy.member)  # type: ignore[union-attr]
        assert dyto.keyframes.thin(picked, strategy.max_keyframes).tolist() == view.tokens.keyframes.positions.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("budget", [230, 40, 3, 1])
def test_the_hierarchy_of_plus_2025_is_the_one_that_was_cut(tiny, budget):
    strategy = Plus2025(token_budget=budget)
    (view,) = inspect_video(dyto.VideoQA(tiny, strategy), scenes()).views
    used = view.partitions[view.level]
    assert used.max() + 1 == len(view.tokens.keyframes)
    # One key frame in each segment, in the middle of it.
    middles = [
        (np.flatnonzero(used == part)[0] + np.flatnonzero(used == part)[-1]) // 2 for part in range(used.max() + 1)
    ]
    assert middles == view.tokens.keyframes.positions.tolist()
    counts = [labels.max() + 1 for labels in view.partitions]
    assert counts == sorted(set(counts), reverse=True)
    assert counts[0] > len(view.tokens.keyframes)
    assert counts[view.levels.wanted] >= len(view.tokens.keyframes)
    for fine, coarse in zip(view.partitions, view.partitions[1:], strict=False):
        assert all(len(set(coarse[fine == part])) == 1 for part in range(fine.max() + 1))


def test_another_choice_of_key_frames_has_no_hierarchy_of_the_parents(tiny):
    class Own(Plus):
        name = "own"

        def select_keyframes(self, summary, budget, patches, stands=None, load_patches=None):
            return np.array([0, 3]), np.ones(2), np.array([9, 9])

    (view,) = inspect_video(dyto.VideoQA(tiny, Own()), scenes()).views
    assert view.partitions == ()


def test_strategies_that_do_not_cluster_have_no_hierarchy(seen):
    assert [len(view.partitions) for view in seen.views[1:]] == [0, 0]
    assert [view.level for view in seen.views[1:]] == [None, None]


def test_the_strategy_of_the_pipeline_is_left_as_it_was(tiny):
    qa = dyto.VideoQA(tiny, "uniform")
    before = qa.strategy
    inspect_video(qa, scenes((4, 5)), versus=[dyto.DyTo()])
    assert qa.strategy is before


def test_a_question_brings_answers_and_evidence(tiny, tmp_path):
    sample_video(tmp_path / "v.mp4")
    seen = inspect_video(
        dyto.VideoQA(tiny), tmp_path / "v.mp4", question="which ?", choices=["a", "b"], max_new_tokens=3
    )
    (view,) = seen.views
    assert view.answer is not None
    assert {moment.keyframe for moment in view.evidence} == set(range(len(view.tokens.keyframes)))
    assert "generate" in view.seconds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": ["a", "b"]}, "without a question"),
        ({"question": " "}, "question is empty"),
        ({"question": "q", "choices": ["a"]}, "1 choices"),
    ],
)
def test_what_cannot_be_asked_fails_before_the_video_is_read(tiny, changes, message):
    with pytest.raises(dyto.ConfigError, match=message):
        inspect_video(dyto.VideoQA(tiny), "not-there.mp4", **changes)


def test_tokens_are_no_video(tiny):
    tokens = dyto.VideoQA(tiny).encode(scenes((4, 5)))
    with pytest.raises(dyto.ConfigError, match="found encoded tokens"):
        inspect_video(dyto.VideoQA(tiny), tokens)


def test_regions_agree_with_the_sources_of_the_tokens(seen):
    for view in seen.views[:2]:
        label = regions(view.tokens)
        for token in range(len(view.tokens)):
            drawn = {(int(k), int(r * label.shape[2] + c)) for k, r, c in np.argwhere(label == token)}
            assert drawn == set(view.tokens.patches_of(token))
        assert tokens_per_keyframe(view.tokens).sum() == len(view.tokens)


def test_of_two_pathways_the_finer_one_is_drawn(seen):
    tokens = seen.views[2].tokens
    label = regions(tokens)
    slow = np.unique(tokens.keyframe[: 18 * 3])  # the slow pathway comes first, two patches a token
    for frame in slow[:2]:
        assert len(np.unique(label[frame])) == 18


def test_borders_are_where_neighbours_differ():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (5, 7))
    drawn = np.zeros((6, 8, 2), bool)  # unit edges: below a patch, right of a patch
    for x0, y0, x1, y1 in borders(label):
        if y0 == y1:
            drawn[y0, x0:x1, 0] = True
        else:
            drawn[y0:y1, x0, 1] = True
    assert (drawn[1:5, :7, 0] == (label[1:] != label[:-1])).all()
    assert (drawn[:5, 1:7, 1] == (label[:, 1:] != label[:, :-1])).all()


def test_a_region_is_drawn_in_its_mean_colour_and_what_was_dropped_is_dark():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:10, :10], picture[:10, 10:] = 100, 200
    colors = mean_colors(picture, np.array([[0, 0], [1, DROPPED]]))
    assert colors[0, 0].tolist() == colors[0, 1].tolist() == [150, 150, 150, 255]
    assert colors[1, 0].tolist() == [0, 0, 0, 255]
    assert colors[1, 1, 3] < 255


def test_colours_of_clusters_differ_and_follow_the_hierarchy():
    fine, coarse = np.repeat(np.arange(6), 4), np.repeat([0, 1], 12)
    first, second = cluster_colors([fine, coarse])
    assert len(set(first)) == 6
    assert len(set(second)) == 2
    assert cluster_colors([]) == []


def test_labels_of_times_never_cover_each_other():
    labels = [(float(x), 60.0) for x in np.sort(np.random.default_rng(0).uniform(0, 1000, 40))]
    placed = stagger(labels, 0, 1000)
    for row in {row for row, _ in placed}:
        lefts = [left for other, left in placed if other == row]
        assert all(b - a >= 70 for a, b in zip(lefts, lefts[1:], strict=False))
    assert all(0 <= left <= 940 for _, left in placed)
