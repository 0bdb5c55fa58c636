"""Plus of 2025: budgets met exactly, provenance, what it chooses, and how it is reached by name."""

import dataclasses

import numpy as np
import pytest
import torch

from dyto import ConfigError, FrameFeatures, ModelError
from dyto.strategies import Plus2025, build_strategy


def features(lengths=(30, 2, 28, 10, 30), n=36, dim=64, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    x = np.repeat(rng.normal(size=(len(lengths), 1 + n, dim)), lengths, axis=0)
    return FrameFeatures.from_projected((x + noise * rng.normal(size=x.shape)).astype(np.float32))


@pytest.mark.parametrize("lengths", [(1,), (2,), (4, 3), (30, 2, 28, 10, 30), (1,) * 40, (100,)])
@pytest.mark.parametrize("budget", [1, 3, 35, 36, 37, 58, 229, 3680, 10**6])
def test_the_budget_is_met_exactly_and_every_patch_is_in_one_token(lengths, budget):
    tokens = Plus2025(token_budget=budget).compress(features(lengths))
    count = len(tokens.keyframes)
    assert len(tokens) == min(budget, count * 36)
    held = [tokens.patches_of(i) for i in range(len(tokens))]
    assert all(held)
    assert sorted(pair for pairs in held for pair in pairs) == [(k, p) for k in range(count) for p in range(36)]
    assert all(k == tokens.keyframe[i] for i, pairs in enumerate(held) for k, _ in pairs)
    sizes = np.bincount(tokens.keyframe)
    assert sizes.max() - sizes.min() <= 1
    assert (np.diff(tokens.frames) >= 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_every_scene_has_a_key_frame_even_one_of_two_frames(noise):
    positions = Plus2025().compress(features(noise=noise)).keyframes.positions
    starts = np.cumsum([0, 30, 2, 28, 10, 30])
    assert np.searchsorted(starts, positions, side="right").tolist() == [1, 2, 3, 4, 5]


def test_frames_that_repeat_take_no_tokens():
    one_scene = Plus2025(token_budget=3600).compress(features((100,), noise=0.0))
    assert len(one_scene.keyframes) == 1
    assert len(one_scene) == 36


def test_where_the_budget_carries_few_frames_the_least_different_segments_are_joined():
    x = features((20, 20, 20, 20, 20))
    few = Plus2025(token_budget=2 * 4).compress(x)
    assert len(few.keyframes) == 2
    assert len(few) == 8
    assert len(Plus2025(token_budget=2 * 4, least_share=1 / 36).compress(x).keyframes) == 5


def test_tokens_are_the_maximum_of_the_patches_that_they_hold():
    x = features()
    tokens = Plus2025(token_budget=100).compress(x)
    for i in range(len(tokens)):
        pairs = tokens.patches_of(i)
        position = tokens.keyframes.positions[tokens.keyframe[i]]
        assert torch.equal(tokens.data[i], x.patches([position])[0, [p for _, p in pairs]].amax(0))


def test_the_same_input_gives_the_same_tokens_and_chunks_do_not_matter(monkeypatch):
    first = Plus2025(token_budget=99).compress(features())
    assert torch.equal(first.data, Plus2025(token_budget=99).compress(features()).data)
    monkeypatch.setattr("dyto.strategies.shared.CHUNK_BYTES", {"cpu": 1})
    frame_by_frame = Plus2025(token_budget=99).compress(features())
    assert torch.equal(first.data, frame_by_frame.data)
    assert np.array_equal(first.sources.token, frame_by_frame.sources.token)


def test_only_key_frames_are_projected():
    asked = []
    base = features()

    def load(positions):
        asked.extend(positions.tolist())
        return base.load_patches(positions)

    tokens = Plus2025(token_budget=99).compress(dataclasses.replace(base, load_patches=load))
    assert sorted(asked) == tokens.keyframes.positions.tolist()


def test_it_is_a_strategy():
    assert build_strategy("plus-2025") == Plus2025()
    assert build_strategy("plus-2025:least_gain=0.1") == Plus2025(least_gain=0.1)


@pytest.mark.parametrize(
    "fields", [{"least_gain": 1.1}, {"explained": -0.1}, {"least_share": "all"}, {"member": "first"}, {"order": "rastr"},
               {"token_budget": 0}, {"metric_groups": 0}]
)  # fmt: skip
def test_fields_that_make_no_sense_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields)).replace("_", "[_ ]")):
        Plus2025(**fields)


def test_every_part_of_0_to_1_makes_sense_and_the_defaults_are_the_documented_ones():
    assert vars(Plus2025()) == {
        "least_gain": 0.025, "explained": 0.75, "least_share": 1 / 9, "member": "middle", "token_budget": None,
        "reference_budget": 3680, "reduce": "max", "split": "alternate", "order": "raster", "metric_groups": 1,
    }  # fmt: skip
    assert not Plus2025.uses_question
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plus2025().member = "medoid"  # type: ignore[misc]
    for part in (0, 1):
        tokens = Plus2025(least_gain=part, explained=part, least_share=part, token_budget=72).compress(features())
        assert len(tokens) == {0: 72, 1: 72}[part]
        assert len(tokens.keyframes) <= (2 if part else 72)


def test_key_frames_are_merged_together_as_far_as_memory_reaches(monkeypatch):
    asked = []

    def chunks(count, size, device):
        asked.append((count, size))
        return [slice(0, count)]

    monkeypatch.setattr("dyto.strategies.merging.chunks", chunks)
    Plus2025(token_budget=100).compress(features())
    assert asked == [(5, 36 * 64 * 4)]


def test_features_that_carry_gradients_are_compressed_without():
    x = torch.randn(9, 10, 32, requires_grad=True)
    assert not Plus2025(token_budget=12).compress(FrameFeatures.from_projected(x)).data.requires_grad


@pytest.mark.parametrize("where", [0, 1])
def test_features_that_are_no_numbers_are_an_error_of_the_model(where):
    x = np.random.default_rng(0).normal(size=(10, 37, 16)).astype(np.float32)
    x[:, where] = np.nan
    with pytest.raises(ModelError, match="unusable features"):
        Plus2025(token_budget=9).compress(FrameFeatures.from_projected(x))
