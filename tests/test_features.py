"""Features and tokens: shapes, what is projected when, and where tokens come from."""

import dataclasses

import numpy as np
import pytest
import torch

from dyto import FrameFeatures, VisualTokens
from dyto.errors import BadFeaturesError, StrategyError
from dyto.features import KeyFrames, Sources


def features(frames=5, n=9, dim=8, cls=1):
    return torch.randn(frames, cls + n, dim, generator=torch.Generator().manual_seed(0))


def test_projected_features_put_the_summary_first():
    x = features()
    wrapped = FrameFeatures.from_projected(x)
    assert torch.equal(wrapped.summary, x[:, 0])
    assert torch.equal(wrapped.patches([3, 1]), x[[3, 1], 1:])
    assert torch.equal(wrapped.patches(), x[:, 1:])
    assert wrapped.grid == (3, 3)
    assert wrapped.indices.tolist() == [0, 1, 2, 3, 4]
    assert wrapped.summary_source == "CLS"


def test_without_cls_the_mean_patch_is_the_summary_and_says_so():
    x = features(cls=0)
    wrapped = FrameFeatures.from_projected(x, has_cls=False)
    torch.testing.assert_close(wrapped.summary, x.mean(1))
    assert wrapped.summary_source == "mean patch"


def test_arrays_do_as_well_and_times_can_be_given():
    wrapped = FrameFeatures.from_projected(features().numpy(), indices=[0, 4, 8, 9, 30], seconds=[0, 1, 2, 3, 9.5])
    assert wrapped.indices[4] == 30
    assert wrapped.seconds[4] == 9.5


def test_patches_that_are_no_square_lie_in_one_row_unless_told():
    assert FrameFeatures.from_projected(features(n=6)).grid == (1, 6)
    assert FrameFeatures.from_projected(features(n=6), grid=(2, 3)).grid == (2, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameFeatures.from_projected(torch.zeros(3, 4)), "expected \\(T, 1 \\+ N, D\\)"),
        (lambda: FrameFeatures.from_projected(torch.zeros(3, 1, 4)), "expected \\(T, 1 \\+ N, D\\)"),
        (lambda: FrameFeatures.from_projected(torch.zeros(0, 5, 4)), "T >= 1"),
        (lambda: FrameFeatures.from_projected(features(), grid=(2, 2)), "2 x 2 does not hold the 9"),
        (lambda: FrameFeatures.from_projected(features(), indices=[1]), "indices has shape"),
    ],
)
def test_shapes_that_do_not_fit_are_errors(make, message):
    with pytest.raises(BadFeaturesError, match=message):
        make()


def two_frames(**change):
    keyframes = KeyFrames(np.array([10, 40]), np.array([0.5, 2.0]), np.array([1, 4]))
    owners = np.array([[0, 1, 0], [1, 1, 0]])
    fields = {
        "data": torch.zeros(4, 8),
        "keyframes": keyframes,
        "keyframe": np.array([0, 0, 1, 1]),
        "sources": Sources.from_owners(owners, 2),
        "grid": (1, 3),
        "budget": 4,
        "uncompressed": 15,
    }
    return VisualTokens(**{**fields, **change})


def test_every_token_knows_its_frame_its_second_and_its_patches():
    tokens = two_frames()
    assert tokens.frames.tolist() == [10, 10, 40, 40]
    assert tokens.seconds.tolist() == [0.5, 0.5, 2.0, 2.0]
    assert [tokens.patches_of(i) for i in range(4)] == [
        [(0, 0), (0, 2)],
        [(0, 1)],
        [(1, 2)],
        [(1, 0), (1, 1)],
    ]


def test_tokens_past_the_budget_cannot_be_made():
    with pytest.raises(StrategyError, match="4 tokens exceed the budget of 3"):
        two_frames(budget=3)
    with pytest.raises(StrategyError, match="L >= 1"):
        two_frames(data=torch.zeros(0, 8))
    with pytest.raises(StrategyError, match="keyframe has shape"):
        two_frames(keyframe=np.array([0]))


def test_shapes_are_printed_and_not_tensors():
    assert repr(two_frames()) == "VisualTokens(4 tokens of 2 key frames, budget=4, uncompressed=15, dim=8)"
    assert "tensor" not in repr(FrameFeatures.from_projected(features()))


def tokens_of(token, patch, keyframe=None, grid=(3, 3)):
    """Tokens of one frame each, from the patches merged into them."""
    token, patch = np.array(token), np.array(patch)
    count = token.max() + 1
    own = np.zeros(count, np.int64) if keyframe is None else np.array(keyframe)
    frames = own.max() + 1
    return VisualTokens(
        data=torch.zeros(count, 4),
        keyframes=KeyFrames(np.arange(frames), np.arange(frames) / 2, np.arange(frames)),
        keyframe=own,
        sources=Sources(token, own[token], patch),
        grid=grid,
        budget=None,
        uncompressed=9,
    )


def test_an_unmerged_token_keeps_its_place():
    assert tokens_of([0, 1, 2], [8, 0, 4]).patch.tolist() == [8, 0, 4]


def test_a_merged_token_takes_the_place_of_its_patch_nearest_to_their_middle():
    # a row of three; the four corners and the centre; two neighbours: the first
    tokens = tokens_of([0, 0, 0, 1, 1, 1, 1, 1, 2, 2], [0, 1, 2, 0, 2, 4, 6, 8, 5, 8])
    assert tokens.patch.tolist() == [1, 4, 5]


def test_a_token_of_several_frames_takes_a_place_in_its_own():
    tokens = tokens_of([0, 1], [3, 7], keyframe=[0, 1])
    across = Sources(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([3, 8, 7]))
    assert dataclasses.replace(tokens, sources=across).patch.tolist() == [3, 7]
    elsewhere = Sources(np.array([0, 1]), np.array([1, 1]), np.array([3, 7]))
    with pytest.raises(ValueError, match="1 of 2 tokens have no patch in their key frame"):
        _ = dataclasses.replace(tokens, sources=elsewhere).patch


def test_tokens_of_different_patches_never_share_a_place():
    rng = np.random.default_rng(0)
    owners = rng.integers(0, 20, (3, 36))
    owners[:, :20] = np.arange(20)  # every token holds a patch
    tokens = VisualTokens(
        torch.zeros(60, 4), KeyFrames(np.arange(3), np.arange(3.0), np.arange(3)), np.repeat(np.arange(3), 20),
        Sources.from_owners(owners, 20), (6, 6), None, 108,
    )  # fmt: skip
    assert len({*zip(tokens.keyframe.tolist(), tokens.patch.tolist(), strict=True)}) == 60


def test_deep_features_are_means_over_patches():
    deep = torch.randn(2, 3, 9, 4)  # two levels, three frames
    features = FrameFeatures.from_projected(np.zeros((3, 9, 4), "float32"), has_cls=False)
    sources = Sources(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([5, 2, 7]))
    assert features.deep_of(np.array([2, 0]), sources, 2) is None
    features = dataclasses.replace(features, load_deep=lambda positions: deep[:, positions])
    found = features.deep_of(np.array([2, 0]), sources, 2)  # the key frames are frames 2 and 0
    torch.testing.assert_close(found[:, 0], (deep[:, 2, 5] + deep[:, 0, 2]) / 2)
    assert torch.equal(found[:, 1], deep[:, 0, 7])
    with pytest.raises(ValueError, match="1 of 3 tokens come from no patch"):
        features.deep_of(np.array([2, 0]), sources, 3)
