"""What holds for every strategy: the budget, provenance, determinism, order, and clear refusals."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from dyto import ConfigError, ModelError, build_strategy
from dyto.strategies import NEEDS, STRATEGIES
from strategies.world import Model, scenes, video

QUESTION = "what is the colour of the last shape ?"
BUDGETED = [name for name in STRATEGIES if name != "concat"]
OVERLAPPING = {"slowfast", "image_grid", "visionzip", "fastvid"}
"""Patches may go into several tokens: two pathways, a picture and its tiles, CLS, one token of each anchor frame."""

PLAIN_ORDER = set(BUDGETED) - {"slowfast", "image_grid"}


def needs_of(kind):
    return getattr(kind, "needs", ())


def run(name, frames, budget, grid=(6, 6), dim=16, **model):
    x = scenes(frames, grid[0] * grid[1], dim)
    encode = Model(x, grid, **model)
    return build_strategy(name, token_budget=budget)(video(frames), encode, QUESTION), encode


def run_or_least(name, frames, budget, **rest):
    """The tokens; or, where not even one frame fits, those at the least budget, which the error names."""
    try:
        return run(name, frames, budget, **rest)[0], budget
    except ConfigError as err:
        (least,) = re.findall(r"at least (\d+)", str(err))
        assert f"token budget {budget}" in str(err)
        assert int(least) > budget
        with pytest.raises(ConfigError):
            run(name, frames, int(least) - 1, **rest)
        return run(name, frames, int(least), **rest)[0], int(least)


def check(tokens, name, frames, budget):
    n = tokens.grid[0] * tokens.grid[1]
    sources = tokens.sources
    assert 1 <= len(tokens) <= budget == tokens.budget
    assert torch.isfinite(tokens.data).all()
    # Every token knows its frames and patches, and belongs to one of them.
    assert np.array_equal(np.unique(sources.token), np.arange(len(tokens)))
    assert (np.diff(sources.token) >= 0).all()
    assert set(np.unique(sources.keyframe)) == set(range(len(tokens.keyframes)))
    assert sources.patch.min() >= 0
    assert sources.patch.max() < n
    triples = np.stack([sources.token, sources.keyframe, sources.patch], 1)
    assert len(np.unique(triples, axis=0)) == len(triples)
    own = tokens.keyframe[sources.token] == sources.keyframe
    assert np.array_equal(np.unique(sources.token[own]), np.arange(len(tokens)))
    # Kept, merged and dropped patches add up: none is counted twice.
    if name not in OVERLAPPING:
        assert len(np.unique(triples[:, 1:], axis=0)) == len(triples) <= len(tokens.keyframes) * n
    # Frames are those of the video, in its order.
    positions = tokens.keyframes.positions
    assert (np.diff(positions) > 0).all()
    assert positions.min() >= 0
    assert positions.max() < frames
    assert tokens.keyframes.indices.tolist() == (positions * 3).tolist()
    assert tokens.keyframes.seconds.tolist() == (positions / 2).tolist()
    if name in PLAIN_ORDER:
        assert (np.diff(tokens.frames) >= 0).all()


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", BUDGETED)
@pytest.mark.parametrize("frames", [1, 2, 7, 30, 100])
@pytest.mark.parametrize("budget", [1, "fewer", 37, 230, 2300, 10**6])
def test_the_budget_holds_and_provenance_is_complete(name, frames, budget):
    budget = max(1, frames // 2) if budget == "fewer" else budget
    tokens, budget = run_or_least(name, frames, budget)
    check(tokens, name, frames, budget)
    assert tokens.uncompressed == frames * 36


@pytest.mark.parametrize("name", BUDGETED)
@pytest.mark.parametrize("frames", [7, 100])
def test_the_published_budget_of_576_patches(name, frames):
    tokens, _ = run(name, frames, 3680, grid=(24, 24), dim=4)
    check(tokens, name, frames, 3680)
    most = {
        "image_grid": 576 + 24 * 49,
        "uniform": 3456,
        "random-frames": 3456,
        "dyto-no-merging": 3456,
        "downsample": 3600,
    }
    least = {**most, "slowfast": 2880, "uniform-pool": 3600}.get(name, 3500)
    if frames == 100:
        assert len(tokens) >= least


@pytest.mark.parametrize("name", BUDGETED)
def test_a_grid_that_is_no_square(name):
    tokens, budget = run_or_least(name, 20, 101, grid=(4, 9))
    check(tokens, name, 20, budget)


@pytest.mark.parametrize("name", BUDGETED)
def test_the_default_budget_is_the_published_one_scaled_to_the_tower(name):
    tokens, _ = run(name, 30, None)
    check(tokens, name, 30, 230)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_input_gives_the_same_tokens(name):
    options = {} if name == "concat" else {"token_budget": 90}
    x = scenes(30, 36)
    first, second = (build_strategy(name, **options)(video(30), Model(x, (6, 6)), QUESTION) for _ in range(2))
    assert torch.equal(first.data, second.data)
    for part in ("token", "keyframe", "patch"):
        assert np.array_equal(getattr(first.sources, part), getattr(second.sources, part))
    torch.manual_seed(1)
    np.random.seed(1)
    third = build_strategy(name, **options)(video(30), Model(x.clone(), (6, 6)), QUESTION)
    assert torch.equal(first.data, third.data)


@pytest.mark.parametrize("name", BUDGETED)
def test_absurdly_large_options_are_harmless(name):
    large = {f.name: 10**400 for f in dataclasses.fields(STRATEGIES[name]) if type(f.default) is int}
    for own_rule in ("seed", "attention_layer", "reference_budget"):
        large.pop(own_rule, None)
    tokens = build_strategy(name, token_budget=90, **large)(video(9), Model(scenes(9, 36), (6, 6)), QUESTION)
    check(tokens, name, 9, 90)


@pytest.mark.parametrize("name", BUDGETED)
def test_pieces_do_not_matter(name, monkeypatch):
    whole, _ = run(name, 30, 90)
    monkeypatch.setattr("dyto.strategies.shared.CHUNK_BYTES", {"cpu": 1})
    monkeypatch.setattr("dyto.strategies.pooling.CHUNK_FRAMES", 1)
    pieces, _ = run(name, 30, 90)
    torch.testing.assert_close(whole.data, pieces.data)
    assert np.array_equal(whole.sources.patch, pieces.sources.patch)


@pytest.mark.parametrize("name", BUDGETED)
def test_frames_that_are_all_the_same_are_no_trouble(name):
    encode = Model(scenes(1, 36).repeat(30, 1, 1), (6, 6))
    tokens = build_strategy(name, token_budget=80)(video(30), encode, QUESTION)
    check(tokens, name, 30, 80)


@pytest.mark.parametrize("name", BUDGETED)
def test_zero_features_are_no_trouble(name):
    encode = Model(torch.zeros(9, 37, 16), (6, 6))
    check(build_strategy(name, token_budget=80)(video(9), encode, QUESTION), name, 9, 80)


@pytest.mark.parametrize("name", BUDGETED)
def test_half_precision_stays_half_precision(name):
    encode = Model(scenes(12, 36).bfloat16(), (6, 6))
    tokens = build_strategy(name, token_budget=80)(video(12), encode, QUESTION)
    check(tokens, name, 12, 80)
    assert tokens.data.dtype == (torch.float32 if name == "image_grid" else torch.bfloat16)


@pytest.mark.parametrize("name", sorted(set(BUDGETED) - {"image_grid", "downsample"}))
def test_a_tower_without_cls(name):
    tokens, _ = run(name, 30, 90, has_cls=False)
    check(tokens, name, 30, 90)
    if "attention" in needs_of(STRATEGIES[name]):
        assert any("no CLS" in warning for warning in tokens.warnings)


CHOOSES = ("dyto", "dyto-no-clustering", "dyto-no-merging", "kmeans", "query", "aks", "visionzip", "uniform-merge")
COMPARES = ("peaks", "evs", "vidcom2", "fastvid", "flashvid-outer", "holitom-outer", "vcast", "echo-like")


@pytest.mark.parametrize("name", [*CHOOSES, *COMPARES])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_features_that_cannot_be_compared_are_an_error(name, bad):
    x = scenes(12, 36)
    x[5] = bad
    with pytest.raises(ModelError, match="unusable features"):
        build_strategy(name, token_budget=80)(video(12), Model(x, (6, 6)), QUESTION)


@pytest.mark.parametrize("name", STRATEGIES)
def test_gradients_do_not_flow(name):
    encode = Model(scenes(9, 36).requires_grad_(), (6, 6))
    tokens = build_strategy(name)(video(9), encode, QUESTION)
    if name not in (
        "uniform",
        "random-frames",
        "concat",
        "image_grid",
        "downsample",
    ):  # these only pass on what was encoded
        assert not tokens.data.requires_grad


def test_every_strategy_says_what_it_needs():
    for name, kind in STRATEGIES.items():
        assert kind.name == name
        assert set(needs_of(kind)) <= set(NEEDS)
        assert kind.uses_question == ("question" in needs_of(kind))
        assert (kind.__doc__ or "").partition("\n")[0].endswith(".")
        assert dataclasses.is_dataclass(kind)


@pytest.mark.parametrize(("name", "need"), [(n, need) for n, k in STRATEGIES.items() for need in needs_of(k)])
def test_a_model_that_lacks_what_is_needed_is_an_error_that_names_both(name, need):
    words, methods = NEEDS[need]
    encode = Model(scenes(9, 36), (6, 6), attention=need != "attention", without=methods)
    question = None if need == "question" else QUESTION
    with pytest.raises(ConfigError, match=f"strategy '{name}' needs {words}.*(model stand-in|none was given)"):
        build_strategy(name)(video(9), encode, question)


@pytest.mark.parametrize("name", BUDGETED)
@pytest.mark.parametrize("budget", [0, -3, 2.5])
def test_a_budget_that_makes_no_sense_is_an_error(name, budget):
    with pytest.raises(ConfigError, match=re.escape(f"token budget {budget}, expected")):
        build_strategy(name, token_budget=budget)


@pytest.mark.parametrize("name", STRATEGIES)
def test_options_of_a_wrong_kind_are_errors(name):
    for field in dataclasses.fields(STRATEGIES[name]):
        if field.name not in ("quotas", "towers"):  # the one is no option of a command, the other any text
            for wrong in ("nonsense", -1001):
                with pytest.raises(ConfigError, match=field.name.replace("token_budget", "token budget")):
                    build_strategy(name, **{field.name: wrong})


NUMBERS = [
    ("uniform-pool:pool=2", 25 * 144, 25),
    ("uniform-pool:pool=3", 57 * 64, 57),
    ("uniform-pool:num_frames=25,pool=2", 25 * 144, 25),
    ("uniform-pool:num_frames=57,pool=3", 57 * 64, 57),
    ("uniform-pool", 25 * 144, 25),
    ("uniform-pool:num_frames=10", 10 * 19 * 19, 10),
    ("uniform-merge", 25 * 147, 25),
    ("uniform", 6 * 576, 6),
    ("slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4", 2880 + 800, 60),
    ("spatial_tome_finch_dynamic_all_frms", None, None),
    ("kmeans:num_frames=4", 4 * 576, 4),
    ("evs", 3680, None),
    ("vidcom2", 3680, None),
    ("peaks", 3680, None),
    ("fastvid", 3680, None),
    ("flashvid-outer", 3680, None),
    ("holitom-outer", 3680, None),
    ("vcast", 3680, None),
    ("random", 3680, None),
    ("random-frames", 6 * 576, 6),
    ("visionzip", 3600, 100),
]


@pytest.mark.parametrize(("text", "count", "keyframes"), NUMBERS)
def test_published_numbers(text, count, keyframes):
    encode = Model(scenes(100, 576, 4), (24, 24))
    tokens = build_strategy(text)(video(100), encode)
    assert count in (None, len(tokens))
    if text.startswith("slowfast"):
        keyframes = len(np.union1d(np.arange(10) * 10, tokens.keyframes.positions))
    assert keyframes in (None, len(tokens.keyframes))
