"""A family that somebody wrote in their own code: a class, no registration."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

import dyto
from dyto.models import VideoModel
from dyto.models.pixels import Normalization, as_pictures, resize_pictures
from dyto.models.towers import FrameTower

from forge_families import FAMILIES


class Colours(VideoModel):
    """No tower at all: each of nine regions of a frame is its mean colour, in the space of any language model."""

    def __init__(self, name, model, tokenizer):
        super().__init__(name, model, tokenizer, normalization=Normalization(), chat="vicuna")
        self.image_size, self.num_patches = (6, 6), 9
        self.project = nn.Linear(3, model.config.text_config.hidden_size)

    def language_model(self):
        return self.model.model.language_model

    @torch.inference_mode()
    def encode(self, images, *, attention_layer=None):
        pictures, indices, seconds = as_pictures(images)
        pixels = torch.as_tensor(resize_pictures(pictures, (6, 6))) / 255  # (T, 6, 6, 3)
        regions = nn.functional.avg_pool2d(pixels.permute(0, 3, 1, 2), 2).flatten(2).transpose(1, 2)  # (T, 9, 3)
        return dyto.FrameFeatures.from_projected(
            self.project(regions), has_cls=False, grid=(3, 3), indices=indices, seconds=seconds
        )


class Own(FrameTower):
    """LLaVA-1.5 again, in the words of somebody who read the page on families."""

    has_cls = True

    def __init__(self, name, model, tokenizer, **kwargs):
        super().__init__(name, model, tokenizer, **kwargs)
        self.set_grid((56, 56), (8, 8))

    def language_model(self):
        return self.model.model.language_model

    def tower_states(self, pixels):
        return self.model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-2]

    def project(self, states):
        return self.model.model.multi_modal_projector(states)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return FAMILIES["llava"].forge(tmp_path_factory.mktemp("llava"))


def video(frames=12, size=(56, 56)):
    return np.random.default_rng(0).integers(0, 255, (frames, *size, 3), dtype=np.uint8)


def test_a_class_of_ones_own_answers_like_the_family_it_repeats(folder):
    known = dyto.load_model(folder, device="cpu")
    model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    own = Own("mine", model, known.tokenizer, normalization=known.normalization, chat="vicuna")
    questions = ["what color is the star", "why"]
    expected, found = (dyto.VideoQA(one).ask_many(video(), questions, max_new_tokens=8) for one in (known, own))
    assert [a.text for a in found] == [a.text for a in expected]
    assert found[0].num_visual_tokens == expected[0].num_visual_tokens < found[0].uncompressed_tokens


@pytest.mark.parametrize("strategy", ["dyto", "uniform", "slowfast", "concat"])
def test_a_family_without_a_tower_is_compressed_and_asked_like_any_other(folder, strategy):
    known = dyto.load_model(folder, device="cpu")
    qa = dyto.VideoQA(Colours("colours", known.model, known.tokenizer), strategy)
    tokens = qa.encode(video(30, (70, 96)))
    assert tokens.uncompressed == 30 * 9
    assert len(tokens) <= (tokens.budget or tokens.uncompressed)
    batch = [answer.text for answer in qa.ask_many(tokens, ["why", "what color is it"], max_new_tokens=5)]
    assert batch == [qa.ask(tokens, question, max_new_tokens=5).text for question in ("why", "what color is it")]


def test_the_former_names_of_a_familys_methods_are_taken_with_a_warning():
    with pytest.warns(DeprecationWarning, match="_states was renamed: use tower_states"):

        class Former(Own):
            def _states(self, pixels):
                return pixels.flatten(1)[:, None]

    assert Former.tower_states is Former._states
    tower = object.__new__(Former)
    with pytest.warns(DeprecationWarning, match="_fit was renamed: use set_grid"):
        tower._fit((56, 56), (8, 4))
    assert (tower.image_size, tower.grid, tower.num_patches) == ((56, 56), (8, 4), 32)
