"""The strategy: golden tokens, budgets, presets and provenance."""

import dataclasses

import numpy as np
import pytest
import torch

from dyto import ConfigError, DyTo, DyToNoMerging, FrameFeatures, ModelError
from dyto.strategies import PRESETS, Plus, build_strategy

from conftest import GOLDEN, golden_cases


def features(frames=40, n=36, dim=64, seed=0):
    rng = np.random.default_rng(seed)
    scene = np.repeat(rng.normal(size=(8, 1 + n, dim)), -(-frames // 8), axis=0)[:frames]
    return FrameFeatures.from_projected((scene + 0.3 * rng.normal(size=scene.shape)).astype(np.float32))


def test_tokens_equal_the_golden_files_exactly(shared):
    with np.load(shared / "golden" / "video_tokens.npz") as golden:
        cases = {key.split("_")[0] for key in golden.files}
        assert cases
        for case in cases:
            x = golden[f"{case}_features"].astype(np.float32) / 32
            tokens = DyTo.preset("release").compress(FrameFeatures.from_projected(x))
            assert tokens.keyframes.positions.tolist() == golden[f"{case}_selected"].tolist()
            assert torch.equal(tokens.data, torch.tensor(golden[f"{case}_video_tokens"].astype(np.float32) / 32))


def test_golden_key_frames_with_golden_patches_are_merged_to_golden_tokens():
    merging = {(case["r"].tolist()[0], *case["shape"].tolist()): case for case in golden_cases(GOLDEN / "merging.npz")}
    videos = golden_cases(GOLDEN / "video_tokens.npz")
    assert len(videos) >= 2
    for video in videos:
        summary = torch.tensor(video["summary"].astype(np.float32) / 32)  # (T, 256)
        wanted = (*video["r"].tolist(), 576, 256)
        merged = merging[wanted]
        reduce = {"amax": "max", "mean": "mean"}[str(merged["mode"])]
        patches = torch.tensor(merged["tokens"]).expand(len(summary), -1, -1)  # every frame has the same
        x = FrameFeatures.from_projected(torch.cat([summary[:, None], patches], 1))
        tokens = DyTo.preset("release", reduce=reduce).compress(x)
        assert tokens.keyframes.positions.tolist() == video["selected"].tolist()
        expected = torch.tensor(merged["merged"]).repeat(len(tokens.keyframes), 1)
        torch.testing.assert_close(tokens.data[:, merged["columns"]], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 7, 40, 100])
@pytest.mark.parametrize("budget", [1, 5, 36, 37, 230, 3680, 10**6])
@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "plus"])
def test_the_budget_holds_and_every_token_knows_its_patches(frames, budget, preset):
    tokens = DyTo.preset(preset, token_budget=budget).compress(features(frames))
    keyframes = len(tokens.keyframes)
    per_frame = min(36, budget // keyframes)
    assert len(tokens) == keyframes * per_frame <= budget
    assert tokens.budget == budget
    assert tokens.uncompressed == frames * 36
    held = [tokens.patches_of(i) for i in range(len(tokens))]
    assert all(held)
    everything = sorted(pair for pairs in held for pair in pairs)
    assert everything == [(k, p) for k in range(keyframes) for p in range(36)]
    assert all(k == tokens.keyframe[i] for i, pairs in enumerate(held) for k, _ in pairs)
    assert (np.diff(tokens.frames) >= 0).all()


@pytest.mark.parametrize("budget", [1, 2, 3, 9])
def test_a_budget_below_the_key_frames_keeps_as_many_evenly_spread(budget):
    full = DyTo().compress(features(100)).keyframes.positions
    assert len(full) > budget
    few = DyTo(token_budget=budget).compress(features(100)).keyframes.positions
    assert few.tolist() == full[np.linspace(0, len(full) - 1, budget).astype(int)].tolist()


def test_the_default_budget_is_the_published_one_scaled_to_the_tower():
    assert DyTo().compress(features(n=36)).budget == 230
    assert DyTo().compress(features(n=576, frames=9)).budget == 3680
    assert DyTo.preset("paper-34b").compress(features(n=576, frames=9)).budget == 7200
    assert DyTo().compress(features(n=729, frames=9)).budget == round(3680 / 576 * 729)


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_below_one_names_the_minimum(budget):
    with pytest.raises(ConfigError, match=f"token budget {budget}, expected at least 1"):
        DyTo(token_budget=budget)


def test_presets_differ_where_they_say():
    release, b7, b34, finest = (DyTo.preset(name) for name in ("release", "paper-7b", "paper-34b", "finest"))
    assert release == b7 == DyTo()
    assert b34 == DyTo(quotas=((6, 12), (12, 24)), max_keyframes=50, reference_budget=7200)
    assert vars(release) == {
        "partition": "second-finest", "temporal": True, "quotas": ((6, 12),), "member": "middle", "max_keyframes": 25,
        "token_budget": None, "reference_budget": 3680, "reduce": "max", "split": "halves", "order": "release",
        "metric_groups": 16,
    }  # fmt: skip
    assert not DyTo.uses_question
    assert DyTo.preset("plus", token_budget=7) == Plus(token_budget=7)
    assert DyToNoMerging.preset("release") == DyToNoMerging()
    for made, field in ((release, "order"), (PRESETS["release"], "note")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field, "raster")
    summary = features(100).summary
    assert isinstance(finest, DyTo)
    assert isinstance(release, DyTo)
    assert len(finest.select_keyframes(summary)) > len(release.select_keyframes(summary))
    assert set(PRESETS) == {"release", "paper-7b", "paper-34b", "finest", "plus"}


def test_one_key_frame_is_the_least_that_can_be_asked_for():
    assert len(DyTo(max_keyframes=1).compress(features()).keyframes) == 1
    with pytest.raises(ConfigError, match="max keyframes 0|max_keyframes.* 0"):
        DyTo(max_keyframes=0)


def test_selected_key_frames_are_sorted_and_capped():
    rng = np.random.default_rng(0)
    for frames in (1, 2, 30, 400):
        picked = DyTo(partition="finest").select_keyframes(np.cumsum(rng.normal(size=(frames, 32)), 0))
        assert len(picked) <= 25
        assert (np.diff(picked) > 0).all()


def test_the_same_input_gives_the_same_tokens_and_chunks_do_not_matter(monkeypatch):
    first = DyTo().compress(features())
    assert torch.equal(first.data, DyTo().compress(features()).data)
    monkeypatch.setattr("dyto.strategies.shared.CHUNK_BYTES", {"cpu": 1})
    frame_by_frame = DyTo().compress(features())
    assert torch.equal(first.data, frame_by_frame.data)
    assert np.array_equal(first.sources.token, frame_by_frame.sources.token)


def test_only_key_frames_are_projected():
    asked = []
    base = features()

    def load(positions):
        asked.extend(positions.tolist())
        return base.load_patches(positions)

    tokens = DyTo().compress(dataclasses.replace(base, load_patches=load))
    assert asked == tokens.keyframes.positions.tolist()


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [("partition", "second", "second-finest"), ("reduce", "avg", ""), ("split", "half", "halves"),
     ("order", "rastr", "raster"), ("member", "mid", "middle")],
)  # fmt: skip
def test_an_unknown_choice_names_the_nearest(field, value, nearest):
    with pytest.raises(ConfigError, match=f"unknown {field} '{value}'.*{nearest}"):
        DyTo(**{field: value})


def test_an_unknown_preset_strategy_or_option_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'release'"):
        DyTo.preset("relase")
    with pytest.raises(
        ConfigError, match="unknown option of preset 'release' 'token_budgt': did you mean 'token_budget'"
    ):
        DyTo.preset("release", token_budgt=3)
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        build_strategy("unifrom")
    with pytest.raises(ConfigError, match="did you mean 'token_budget'"):
        build_strategy("dyto", token_budgt=3)
    with pytest.raises(ConfigError, match="only 'dyto' has presets"):
        build_strategy("uniform", preset="release")
    with pytest.raises(ConfigError, match="has no options"):
        build_strategy("concat", token_budget=3)


def test_features_with_nan_are_an_error_that_says_which():
    x = np.ones((4, 10, 16), np.float32)
    x[2, 0, 0] = np.nan
    with pytest.raises(ModelError, match="frame 2.*dtype"):
        DyTo().compress(FrameFeatures.from_projected(x))
    x[2, 0, 0], x[:, 3] = 1, np.inf
    with pytest.raises(ModelError, match="NaN or infinity"):
        DyTo(token_budget=8).compress(FrameFeatures.from_projected(x))


def test_identical_frames_are_the_documented_collapse():
    x = np.repeat(np.random.default_rng(0).normal(size=(1, 10, 32)), 50, axis=0).astype(np.float32)
    assert DyTo().compress(FrameFeatures.from_projected(x)).keyframes.positions.tolist() == list(range(12))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_a_gpu():
    x = features(100, n=576, dim=256)
    there = FrameFeatures.from_projected(torch.cat([x.summary[:, None], x.patches()], 1).cuda())
    tokens = DyTo().compress(there)
    assert tokens.data.is_cuda
    torch.testing.assert_close(tokens.data.cpu(), DyTo().compress(x).data)


def test_features_that_carry_gradients_are_compressed_without():
    x = torch.randn(9, 10, 32, requires_grad=True)
    tokens = DyTo(token_budget=12).compress(FrameFeatures.from_projected(x))
    assert not tokens.data.requires_grad


@pytest.mark.parametrize("budget", [9.5, 9.0, "9"])
def test_a_budget_is_a_whole_number(budget):
    with pytest.raises(ConfigError, match="expected a whole number"):
        DyTo(token_budget=budget)
