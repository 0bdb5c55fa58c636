"""The eye that needs no weights, and eyes from a folder."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model, SiglipConfig, SiglipModel

import dyto
from dyto.errors import ConfigError, ModelError
from dyto.eye import PixelEye
from dyto.models.eyes import find_eye, seen_by

from conftest import scenes

VISION = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}


def cosines(eye, pictures):
    x = normalize(eye.summaries(pictures), dim=1)
    return x @ x.T


@settings(max_examples=50, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), seed=st.integers(0, 99), flat=st.booleans())
def test_any_picture_has_a_finite_description_that_does_not_depend_on_others(height, width, seed, flat):
    picture = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    picture = np.full_like(picture, picture[0, 0]) if flat else picture
    alone = PixelEye().summaries([picture])
    both = PixelEye().summaries([np.zeros((9, 9, 3), np.uint8), picture])
    assert torch.isfinite(alone).all()
    assert alone.norm() > 0
    assert torch.equal(alone[0], both[1])


def test_a_cut_is_farther_than_noise_brightness_or_size():
    film = scenes()
    (first, same, other) = (film[0], film[5], film[12])
    noisy = np.clip(first + np.random.default_rng(0).normal(0, 6, first.shape), 0, 255).astype(np.uint8)
    brighter = np.clip(first * 1.08, 0, 255).astype(np.uint8)
    half = np.ascontiguousarray(first[::2, ::2])
    found = cosines(PixelEye(), [first, same, noisy, brighter, half, other])[0]
    assert found[2:5].min() > 0.95
    assert found[1] > 0.8, "what moves in a scene"
    assert found[5] < 0.3


def test_plus_by_pixels_finds_every_scene_of_a_plain_film(tiny):
    lengths = (9, 14, 7, 20, 4, 11)
    frames = dyto.sample_frames(scenes(lengths), num_frames=sum(lengths))
    tokens = dyto.VideoQA(seen_by(tiny, PixelEye()), "plus").encode(frames)
    shot = np.repeat(np.arange(len(lengths)), lengths)
    assert set(shot[tokens.keyframes.positions]) == set(range(len(lengths)))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(
            lambda: CLIPModel(CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=8)), id="clip"
        ),
        pytest.param(lambda: SiglipModel(SiglipConfig(vision_config=VISION, text_config=TEXT)), id="siglip"),
        pytest.param(lambda: Dinov2Model(Dinov2Config(**VISION)), id="dino"),
    ],
)
def test_a_tower_from_a_folder_is_an_eye(model, tmp_path, tiny):
    torch.manual_seed(0)
    model().save_pretrained(tmp_path)
    eye = find_eye(str(tmp_path))
    pictures = list(scenes()[[0, 12]])
    seen = eye.summaries(pictures)
    assert seen.shape[0] == 2
    torch.testing.assert_close(eye.summaries(pictures[1:]), seen[1:])
    answer = dyto.VideoQA(dyto.load_model("tiny", device="cpu", eye=str(tmp_path))).ask(
        scenes(), "what ?", max_new_tokens=2
    )
    assert len(answer.keyframes)


def test_an_unknown_eye_names_the_nearest_and_a_broken_folder_says_what_it_expected(tmp_path):
    with pytest.raises(ConfigError, match="unknown eye 'pixel': did you mean 'pixels'"):
        find_eye("pixel")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="expected a CLIP, SigLIP or DINO checkpoint"):
        find_eye(str(tmp_path))
