"""Frames compared by another eye than the model's own."""

import numpy as np
import pytest
import torch
from PIL import Image

import dyto
from dyto.models.eyes import find_eye, seen_by
from dyto.video import Frames

from forge_families import FAMILIES


class Halves:
    """An eye of somebody's own: the mean colour of the upper and the lower half."""

    name, image_size, grid, width = "halves", (2, 2), (2, 1), 3

    def patches(self, pictures):
        rows = [np.asarray(Image.fromarray(picture).resize((1, 2), Image.Resampling.BOX)) for picture in pictures]
        return torch.from_numpy(np.stack(rows)[:, :, 0]).float()  # (B, 2, 3)

    def summaries(self, pictures):
        return self.patches(pictures).mean(1)


def film():
    """Forty frames of four colours, the third for four frames only."""
    colors = [(200, 30, 30)] * 12 + [(30, 200, 30)] * 12 + [(30, 30, 200)] * 4 + [(220, 220, 220)] * 12
    data = np.stack([np.full((48, 64, 3), color, np.uint8) for color in colors])
    return Frames(data, np.arange(40), np.arange(40) / 4, source_size=(48, 64))


@pytest.mark.parametrize("strategy", ["dyto", "plus", "kmeans", "uniform-pool", "slowfast", "uniform"])
def test_tokens_are_the_models_own_and_key_frames_the_eyes(tiny, strategy):
    tokens = dyto.VideoQA(seen_by(tiny, Halves()), strategy).encode(film())
    assert tokens.data.shape[1] == tiny.model.get_input_embeddings().weight.shape[1]
    own = tiny.encode(film()[tokens.keyframes.positions]).patches()
    if strategy == "uniform":
        torch.testing.assert_close(tokens.data, own.flatten(0, 1))


def test_the_eye_decides_which_frames_are_chosen(tiny):
    features = seen_by(tiny, Halves()).encode(film())
    torch.testing.assert_close(features.summary[:, 0], torch.tensor(film().data[:, 0, 0, 0]).float())
    assert features.summary_source == "eye halves"
    assert features.dim == features.patches([0]).shape[2] != features.summary.shape[1]


def test_the_bundled_eye_does_for_other_families(tmp_path):
    FAMILIES["llava"].forge(tmp_path)
    model = seen_by(dyto.load_model(tmp_path, device="cpu"), find_eye("nouns"))
    answer = dyto.VideoQA(model, dyto.DyTo(token_budget=64)).ask(film(), "What is shown?", max_new_tokens=2)
    assert answer.num_visual_tokens <= 64


def test_the_model_itself_is_left_as_it_was(tiny):
    before = tiny.encode(film()).summary.shape
    seen_by(tiny, Halves())
    assert tiny.encode(film()).summary.shape == before


def test_an_unknown_eye_is_told_with_the_known_ones():
    with pytest.raises(dyto.ConfigError, match="did you mean 'nouns'"):
        find_eye("noun")
