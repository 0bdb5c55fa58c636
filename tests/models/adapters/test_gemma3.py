"""Gemma 3: tokens of one frame see each other both ways, and questions are answered by the same weights."""

import numpy as np
import pytest
import torch

import dyto
from dyto.models.generation.language import LanguageSide

from forge_families import FAMILIES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return FAMILIES["gemma3"].forge(tmp_path_factory.mktemp("gemma3"))


@pytest.fixture(scope="module")
def model(folder):
    return dyto.load_model(folder, device="cpu")


def video(frames=9):
    return np.random.default_rng(0).integers(0, 255, (frames, 70, 96, 3), dtype=np.uint8)


def test_a_token_sees_the_later_ones_of_its_frame_and_no_later_frame(model, monkeypatch):
    tokens = dyto.VideoQA(model).encode(video())
    prompt = model.tokenize("<start_of_turn>user", "\n\nwhy")
    seen = []
    monkeypatch.setattr(
        model.model.model.language_model.layers[-1],  # the only one that sees all places
        "forward",
        lambda x, attention_mask=None, **_: seen.append(attention_mask) or x,
    )
    model.model.set_attn_implementation("eager")
    model.prefill(prompt.before, tokens)
    model.model.set_attn_implementation("sdpa")
    allowed = seen[0][0, 0] == 0  # (P, P): who sees whom
    visual = torch.cat([torch.zeros(len(prompt.before), dtype=torch.bool), model.lay_out(tokens).visual])
    frame = torch.full(visual.shape, -1)
    frame[visual] = torch.as_tensor(tokens.keyframe)
    same = (frame[:, None] == frame) & visual[:, None] & visual
    causal = torch.ones_like(allowed).tril()
    assert torch.equal(allowed, causal | same)


def test_seeing_both_ways_changes_the_answer(model, monkeypatch):
    tokens = dyto.VideoQA(model).encode(video())
    prompt = model.tokenize("<start_of_turn>user", "\n\nwhy")
    both = model.logits(model.prefill(prompt.before, tokens), prompt.after)
    monkeypatch.setattr(type(model), "read_prompt", LanguageSide.read_prompt)
    one = model.logits(model.prefill(prompt.before, tokens), prompt.after)
    assert (both - one).abs().max() > 1e-2


def test_the_language_model_is_no_copy(model):
    ours = {name: weight.data_ptr() for name, weight in model.causal_lm().named_parameters()}
    theirs = {weight.data_ptr() for weight in model.model.parameters()}
    assert set(ours.values()) <= theirs


def test_its_positions_are_scaled_already(folder):
    with pytest.raises(dyto.ConfigError, match="scales its positions already, or by layer .*leave it out"):
        dyto.load_model(folder, device="cpu", rope_scaling_factor=2.0)


def test_a_question_that_does_not_fit_is_told_so_without_advice_that_cannot_help(model):
    with pytest.raises(dyto.ModelError, match=r"the context is 2048: ask a shorter question or lower max_new_tokens$"):
        dyto.VideoQA(model).ask(video(), "why", max_new_tokens=2040)
