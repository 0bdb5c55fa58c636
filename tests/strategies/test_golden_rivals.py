"""Rivals beside what their authors' own code kept and made of the same tensors."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import dyto
from dyto import FrameFeatures

build_strategy: Any = dyto.build_strategy  # whatever a strategy has beyond the protocol

RELEASE = {
    "vcast": {"leftover": "release"},
    "fastvid": {"ties": "release"},
    "flashvid-outer": {"counts": "release", "repeats": True, "ties": "release"},
    "holitom-outer": {"ties": "release"},
}
"""Options by which a strategy does what the released code does."""

VARIANTS = {"v1_seg4": {"relevance": False, "segments": 4}, "v2_seg8": {"relevance": True, "segments": 8}}


@pytest.fixture(scope="module", params=["small part", "whole"])
def rivals(request):
    """Reads a golden file, the part in this repository or the whole: the values of each run, by the run's name."""
    folder = Path(__file__).parents[1] / "golden" / "rivals"
    if request.param == "whole":
        folder = request.getfixturevalue("shared") / "golden" / "rivals"
    if not folder.is_dir():
        pytest.skip(f"no golden data of rivals at {folder}")

    def read(name):
        runs = {}
        with np.load(folder / f"{name}.npz") as file:
            for key in file.files:
                run, _, value = key.rpartition("/")
                runs.setdefault(run, {})[value] = file[key]
        return runs

    return SimpleNamespace(read=read, inputs=read("inputs"))


def features_of(case, dtype=torch.float32):
    x = torch.from_numpy(np.concatenate([case["summary"][:, None], case["patches"]], 1).astype(np.float32))
    grid = tuple(case["grid"].tolist())
    return FrameFeatures.from_projected(x.to(dtype), grid=grid), torch.from_numpy(case["attention"])


def compress(name, case, budget, dtype=torch.float32, attention=None, **options):
    strategy = build_strategy(name, token_budget=int(budget), **options)
    features, own = features_of(case, dtype)
    if "attention" in strategy.needs:
        return strategy.compress(features, own if attention is None else attention)
    return strategy.compress(features)


def places(tokens):
    return np.stack([tokens.keyframes.positions[tokens.keyframe], tokens.patch], 1)


def rows(array):
    return {tuple(row) for row in array.tolist()}


def share(tokens, kept):
    """How many of the places of the reference are ours, too."""
    return len(rows(places(tokens)) & rows(kept)) / len(rows(kept))


def check_equal(tokens, run, name):
    assert places(tokens).tolist() == run["kept"].tolist(), name
    if "tokens" in run:
        np.testing.assert_allclose(tokens.data.numpy(), run["tokens"], atol=1e-5, rtol=1e-6, err_msg=name)


def each(rivals, name, *parts):
    """Runs of a golden file whose names go on so after the case: (name, case, values)."""
    found = 0
    for run, values in rivals.read(name).items():
        case, _, rest = run.partition("/")
        if case in rivals.inputs and rest and all(part in rest for part in parts):
            found += 1
            yield run, rivals.inputs[case], values
    assert found


def test_evs_keeps_the_same_patches(rivals):
    for name, case, run in each(rivals, "evs", "q"):
        check_equal(compress("evs", case, run["n_tokens"]), run, name)
        half = run["kept_bf16"]
        tokens = compress("evs", case, len(half), torch.bfloat16, precision="model")
        assert places(tokens).tolist() == half.tolist(), name


def test_evs_of_zero_and_of_opposite_vectors(rivals):
    run = rivals.read("evs")["zeros"]
    case = FrameFeatures.from_projected(run["patches"], has_cls=False, grid=(2, 2))
    tokens = build_strategy("evs", token_budget=len(run["kept"])).compress(case)
    check_equal(tokens, {"kept": run["kept"]}, "zeros")


def test_vidcom2_keeps_the_same_patches(rivals):
    for name, case, run in each(rivals, "vidcom2", "r"):
        check_equal(compress("vidcom2", case, len(run["kept"])), run, name)
        if "vllm_kept" in run:
            tokens = compress("vidcom2", case, len(run["vllm_kept"]), settle="scores")
            assert places(tokens).tolist() == run["vllm_kept"].tolist(), name
            half = compress("vidcom2", case, len(run["kept_bf16"]), torch.bfloat16)
            assert share(half, run["kept_bf16"]) >= 0.9  # the release compares in bfloat16, where many scores tie


def test_vcast_keeps_the_same_patches(rivals):
    for name, case, run in each(rivals, "vcast", "r"):
        check_equal(compress("vcast", case, len(run["kept"]), **RELEASE["vcast"]), run, name)
        assert share(compress("vcast", case, len(run["kept"])), run["kept"]) >= 0.75  # what is left goes to others


@pytest.mark.parametrize("ties", ["place", "release"])
def test_fastvid_keeps_the_same_patches_and_gathers_the_same_tokens(rivals, ties):
    for name, case, run in each(rivals, "fastvid", "r"):
        frames, n, _ = case["patches"].shape
        ratio, _, least = name.partition("/r")[2].partition("_c")
        options = {"segments": int(least or 8), "ties": ties}
        check_equal(compress("fastvid", case, len(run["kept"]), **options), run, name)
        lossy = compress("fastvid", case, frames * int(n * float(ratio)), remainder="release", **options)
        check_equal(lossy, run, name)


def test_holitom_merges_the_same_tokens(rivals):
    for name, case, run in each(rivals, "holitom", "tau"):
        options = {"threshold": float(name.partition("tau")[2])}
        check_equal(compress("holitom-outer", case, len(run["kept"]), **RELEASE["holitom-outer"], **options), run, name)
        assert share(compress("holitom-outer", case, len(run["kept"]), **options), run["kept"]) >= 0.95


def test_flashvid_merges_the_same_tokens(rivals):
    shares = []
    for variant, options in VARIANTS.items():
        for name, case, run in each(rivals, "flashvid", variant):
            tokens = compress("flashvid-outer", case, len(run["kept"]), **RELEASE["flashvid-outer"], **options)
            kept, data = in_one_order(places(tokens), tokens.data.numpy())
            expected, merged = in_one_order(run["kept"], run["tokens"])
            assert kept.tolist() == expected.tolist(), name
            np.testing.assert_allclose(data, merged, atol=1e-5, rtol=1e-6, err_msg=name)
            shares.append(share(compress("flashvid-outer", case, len(run["kept"]), **options), run["kept"]))
    assert min(shares) > 0.75  # at 1 cluster a frame all densities are 1 and the published noise decides
    assert np.mean(shares) > 0.85


def in_one_order(kept, data):
    """Places and tokens sorted by place; tokens of one place, which the release leaves to chance, by their numbers."""
    order = np.lexsort((data[:, 0], kept[:, 1], kept[:, 0]))
    return kept[order], data[order]


def test_flashvid_divides_deep_trees_by_their_patches(rivals):
    run = rivals.read("flashvid")["equal8"]
    frame, frames = torch.from_numpy(run["patches"].astype(np.float32)), len(run["attention"])
    features = FrameFeatures.from_projected(frame.expand(frames, -1, -1), has_cls=False, grid=(10, 10))
    attention, whole = torch.from_numpy(run["attention"]), {"relevance": False, "segments": 1, "threshold": -1.0}
    released, ours = (
        build_strategy("flashvid-outer", token_budget=len(run["kept"]), **whole, **options)
        for options in (RELEASE["flashvid-outer"], {})
    )
    check_equal(released.compress(features, attention), run, "equal8")
    tokens = ours.compress(features, attention)
    trees = np.bincount(tokens.sources.token) == frames  # one place in all frames: the frames are equal, so a patch
    assert trees.any()
    torch.testing.assert_close(tokens.data[trees], frame[tokens.patch[trees]])


def test_visionzip_keeps_and_gathers_the_same_tokens(rivals):
    for name, case, run in each(rivals, "visionzip", "/"):
        frames, keep, _ = run["tokens"].shape
        dominant, contextual = run["dominant_contextual"].tolist()
        attention = torch.from_numpy(rivals.read("visionzip")[name.partition("/")[0]]["cls_attention_sum"])
        tokens = compress("visionzip", case, frames * keep, attention=attention, dominant=dominant / keep)
        assert len(tokens) == frames * keep
        ours = tokens.data.view(frames, keep, -1)
        alike = dominant if "keys" in name and contextual > 1 else keep  # we compare patches and not their keys
        np.testing.assert_allclose(ours[:, :alike], run["tokens"][:, :alike], atol=1e-5, err_msg=name)
