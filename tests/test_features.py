"""Features and tokens: shapes, what is projected when, and where tokens come from."""

import dataclasses

import numpy as np
import pytest
import torch

import dyto
from dyto import FrameFeatures, VisualTokens
from dyto.errors import BadFeaturesError, StrategyError
from dyto.features import KeyFrames, Sources, select
from dyto.strategies import build_strategy


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
    wide = FrameFeatures.from_projected(features(n=6), grid=(2, 3))
    assert (wide.grid, wide.num_patches) == ((2, 3), 6)
    assert FrameFeatures.from_projected(torch.zeros(1, 401, 2)).grid == (20, 20)
    with pytest.raises(TypeError, match="positional"):
        FrameFeatures.from_projected(features(), False)  # type: ignore[call-arg]


def test_patches_of_one_frame_are_no_copy_and_those_of_none_are_none():
    x = features()
    wrapped = FrameFeatures.from_projected(x)
    assert torch.equal(wrapped.patches([3]), x[[3], 1:])
    assert wrapped.patches([3]).data_ptr() == x[3, 1:].data_ptr()
    assert wrapped.patches([]).shape == (0, 9, 8)


def test_what_belongs_to_some_frames_can_be_taken_alone():
    x = features()
    whole = dataclasses.replace(
        FrameFeatures.from_projected(x, indices=[0, 4, 8, 9, 30], seconds=[0, 1, 2, 3, 9.5]),
        attention=torch.arange(45.0).view(5, 9), load_deep=lambda positions: x[None, positions, 1:] * 2,
    )  # fmt: skip
    keyframes = KeyFrames.of(whole, np.array([4, 1]))
    assert (keyframes.indices.tolist(), keyframes.seconds.tolist()) == ([30, 4], [9.5, 1])
    part = select(whole, np.array([4, 1]))
    assert torch.equal(part.summary, x[[4, 1], 0])
    assert part.indices.tolist() == [30, 4]
    assert part.seconds.tolist() == [9.5, 1]
    assert torch.equal(part.attention, whole.attention[[4, 1]])
    assert torch.equal(part.patches([1, 0]), x[[1, 4], 1:])
    assert torch.equal(part.load_deep(torch.tensor([0])), x[None, [4], 1:] * 2)
    assert (part.grid, part.summary_source, len(whole)) == (whole.grid, "CLS", 5)


@pytest.mark.parametrize("made", ["features", "keyframes", "sources", "tokens"])
def test_what_was_found_stays_as_it_is(made):
    tokens = two_frames()
    one, field = {
        "features": (FrameFeatures.from_projected(features()), "grid"), "keyframes": (tokens.keyframes, "indices"),
        "sources": (tokens.sources, "token"), "tokens": (tokens, "data"),
    }[made]  # fmt: skip
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, field, None)


def with_summary(*shape):
    return dataclasses.replace(FrameFeatures.from_projected(features()), summary=torch.zeros(shape))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameFeatures.from_projected(torch.zeros(3, 4)), "expected \\(T, 1 \\+ N, D\\)"),
        (lambda: FrameFeatures.from_projected(torch.zeros(3, 1, 4)), "expected \\(T, 1 \\+ N, D\\)"),
        (lambda: FrameFeatures.from_projected(torch.zeros(0, 5, 4)), "T >= 1"),
        (lambda: FrameFeatures.from_projected(torch.zeros(3, 0, 4)), "expected \\(T, 1 \\+ N, D\\)"),
        (lambda: FrameFeatures.from_projected(torch.zeros(2, 3, 4, 5)), "expected \\(T, 1 \\+ N, D\\)"),
        (lambda: FrameFeatures.from_projected(features(), grid=(2, 2)), "2 x 2 does not match the 9"),
        (lambda: FrameFeatures.from_projected(features(), grid=(4, 3)), "4 x 3 does not match the 9"),
        (lambda: FrameFeatures.from_projected(features(), indices=[1]), "indices has shape"),
        (lambda: FrameFeatures.from_projected(features(), indices=range(6)), "indices has shape \\(6,\\)"),
        (lambda: with_summary(5), "\\(T, D\\)"),
        (lambda: with_summary(5, 2, 2), "\\(T, D\\)"),
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
    for shape in (4, (4, 8, 1)):
        with pytest.raises(StrategyError, match="expected \\(L, D\\)"):
            two_frames(data=torch.zeros(shape))
    for many in (1, 5):
        with pytest.raises(StrategyError, match="keyframe has shape"):
            two_frames(keyframe=np.zeros(many, np.int64))
    assert len(two_frames(budget=9)) == 4


def test_a_token_that_there_is_not_holds_no_patches():
    tokens = two_frames()
    for token in (-1, 4, 5, 300):
        with pytest.raises(IndexError, match=f"token {token}, expected 0 to 3"):
            tokens.patches_of(token)


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
    assert tokens_of([0, 0, 0], [0, 1, 4]).patch.tolist() == [1]  # the middle lies between patches
    assert tokens_of([0, 0, 0], [0, 4, 8], grid=(2, 5)).patch.tolist() == [8]
    tokens = tokens_of([0, 0, 0, 1, 1, 1, 1, 1, 2, 2], [0, 1, 2, 0, 2, 4, 6, 8, 5, 8])
    assert tokens.patch.tolist() == [1, 4, 5]


def test_of_patches_equally_near_to_the_middle_the_first_is_taken_whatever_the_rounding():
    # 14 and 18 of three patches in five columns: 1.888... apart from the middle both, with other last digits
    assert tokens_of([0, 0, 0], [1, 14, 18], grid=(5, 5)).patch.tolist() == [14]


def test_a_token_of_several_frames_takes_a_place_in_its_own():
    tokens = tokens_of([0, 1], [3, 7], keyframe=[0, 1])
    across = Sources(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([3, 8, 7]))
    assert dataclasses.replace(tokens, sources=across).patch.tolist() == [3, 7]
    before = Sources(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([3, 0, 7]))
    assert dataclasses.replace(tokens, sources=before).patch.tolist() == [3, 7]
    nowhere = dataclasses.replace(
        tokens, sources=Sources(np.array([0, 1, 1]), np.array([1, 0, 0]), np.array([3, 7, 8]))
    )
    with pytest.raises(ValueError, match="2 of 2 tokens have no patch in their key frame"):
        _ = nowhere.patch
    elsewhere = Sources(np.array([0, 1]), np.array([1, 1]), np.array([3, 7]))
    with pytest.raises(ValueError, match="1 of 2 tokens have no patch in their key frame"):
        _ = dataclasses.replace(tokens, sources=elsewhere).patch


def test_a_token_stands_where_its_strategy_says():
    tokens = tokens_of([0, 0, 0, 1], [0, 1, 4, 5])
    assert dataclasses.replace(tokens, places=[4, 5]).patch.tolist() == [4, 5]
    for places in ([4], [4.0, 5.0], [[4, 5]], ["a", "b"]):
        with pytest.raises(StrategyError, match=r"expected \(2,\) whole numbers"):
            dataclasses.replace(tokens, places=places)
    for places in ([4, 9], [-1, 4]):
        with pytest.raises(StrategyError, match="expected positions in a grid of 3 x 3"):
            dataclasses.replace(tokens, places=places)


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
    with pytest.raises(ValueError, match="2 of 4 tokens come from no patch"):
        features.deep_of(np.array([2, 0]), sources, 4)
    with pytest.raises(ValueError, match="tokens come from no patch"):
        features.deep_of(np.array([2, 0]), sources, 1)
    many = Sources(np.arange(300), np.zeros(300, np.int64), np.zeros(300, np.int64))
    assert features.deep_of(np.array([2, 0]), many, int("300")).shape == (2, 300, 4)


@pytest.mark.parametrize(
    "name", ["dyto", "plus", "uniform", "evs", "vidcom2", "peaks", "kmeans", "slowfast", "visionzip"]
)
@pytest.mark.parametrize(
    ("summary", "patches"), [("float32", "float16"), ("float16", "float32"), ("bfloat16", "float64")]
)
def test_patches_and_summary_of_different_dtypes_go_together(name, summary, patches):
    x = features(frames=12, n=16, dim=64)
    wrapped = FrameFeatures(
        summary=x[:, 0].to(getattr(torch, summary)),
        grid=(4, 4),
        load_patches=lambda positions: x[positions, 1:].to(getattr(torch, patches)),
        indices=np.arange(12),
        seconds=np.arange(12.0),
        attention=x[:, 1:, 0].abs(),
    )
    frames = dyto.Frames(np.zeros((12, 8, 8, 3), np.uint8), np.arange(12), np.arange(12.0), (8, 8))
    tokens = build_strategy(name, token_budget=40)(frames, lambda some, **options: select(wrapped, some.indices))
    assert tokens.data.dtype == getattr(torch, summary)
    assert torch.isfinite(tokens.data).all()


def test_arrays_and_tensors_make_the_same_features():
    x = features().transpose(0, 1).contiguous().transpose(0, 1)  # not contiguous
    arrays = FrameFeatures(
        summary=x[:, 0].numpy(),
        grid=(3, 3),
        load_patches=lambda positions: x[positions, 1:].numpy(),
        indices=list(range(5)),
        seconds=[0, 1, 2, 3, 4],
    )
    assert torch.equal(arrays.summary, x[:, 0])
    assert torch.equal(arrays.patches([2]), x[[2], 1:])
    assert arrays.indices.dtype == np.int64
    assert arrays.seconds.dtype == np.float64


FINE = {
    "summary": torch.zeros(3, 4), "grid": (2, 2), "load_patches": lambda positions: torch.zeros(len(positions), 4, 4),
    "indices": np.arange(3), "seconds": np.arange(3.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"summary": torch.zeros(3)}, r"summary has shape \(3,\)"),
        ({"summary": torch.zeros(3, 0)}, "D >= 1"),
        ({"summary": torch.zeros(3, 4, dtype=torch.int64)}, "summary has dtype torch.int64"),
        ({"summary": None}, "summary is a NoneType"),
        ({"summary": [["a"]]}, "summary is a list"),
        ({"indices": ["a", "b", "c"]}, "indices is .*expected 3 numbers"),
        ({"seconds": None}, "seconds has shape|seconds is None"),
        ({"grid": (0, 4)}, r"grid is \(0, 4\)"),
        ({"attention": torch.zeros(3, 5)}, r"attention has shape \(3, 5\), expected \(3, 4\)"),
        (
            {"load_patches": lambda positions: torch.zeros(len(positions), 5, 4)},
            r"shape \(1, 5, 4\), expected \(1, 4, 4\)",
        ),
        ({"load_patches": lambda positions: torch.zeros(len(positions), 4, 8)}, r"expected \(1, 4, 4\)"),
        ({"load_patches": lambda positions: torch.zeros(4, 4)}, r"shape \(4, 4\)"),
        ({"load_patches": lambda positions: None}, "patches is a NoneType"),
        ({"load_patches": lambda positions: np.zeros((1, 4, 4), "int32")}, "patches has dtype"),
    ],
)
def test_features_of_any_other_shape_are_one_error(change, message):
    with pytest.raises(BadFeaturesError, match=message):
        FrameFeatures(**{**FINE, **change}).patches([0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": torch.zeros(0, 8)}, "L >= 1"),
        ({"data": None}, "data is a NoneType"),
        ({"data": torch.zeros(4, 8, dtype=torch.int32)}, "data has dtype"),
        ({"keyframe": [0, 0, 0, 2]}, "keyframe goes from 0 to 2, expected positions among 2"),
        ({"keyframe": np.array([-1, 0, 0, 1])}, "keyframe goes from -1"),
    ],
)
def test_tokens_that_no_model_can_take_are_the_strategys_error(change, message):
    with pytest.raises(StrategyError, match=message):
        two_frames(**change)
