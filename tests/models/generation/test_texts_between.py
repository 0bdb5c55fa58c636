"""The times among a video's tokens are tokenized once, not for each question; and few of them are kept."""

import numpy as np
import pytest
import torch

import dyto
from dyto.models.generation import language


@pytest.fixture
def model():
    model = dyto.load_model("tiny", device="cpu")
    model.time_text = "second {seconds:.1f} : "
    return model


@pytest.fixture
def asked(model, monkeypatch):
    """The texts that were tokenized so far."""
    asked = []
    tokenize = model.tokenize
    monkeypatch.setattr(model, "tokenize", lambda before, after: asked.append(after) or tokenize(before, after))
    return asked


def encoded(model, frames=6):
    video = np.random.default_rng(0).integers(0, 255, (frames, 64, 64, 3), dtype=np.uint8)
    return dyto.VideoQA(model, "uniform").encode(video, num_frames=frames)


def test_a_second_question_tokenizes_no_times_again(model, asked):
    tokens = encoded(model)
    count = model.count_text(tokens)
    assert len(asked) > 1
    assert count == sum(len(model.tokenize("", text).after) for text in dict.fromkeys(asked) if text)
    asked.clear()
    assert model.count_text(tokens) == count
    assert asked == []


def test_a_model_that_writes_no_times_tokenizes_nothing_for_them(model, asked):
    model.time_text = ""
    tokens = encoded(model)
    model.count_text(tokens)
    asked.clear()
    assert model.count_text(tokens) == 0
    assert asked == []


def test_only_so_many_texts_are_kept_and_they_stay_right(model, monkeypatch):
    monkeypatch.setattr(language, "MOST_SPELLED", 3)
    tokens = encoded(model)
    texts = [run.text for run in model._runs(tokens)]
    assert len(model._ids_by_text) <= 3
    assert all(torch.equal(one, other.text) for one, other in zip(texts, model._runs(tokens), strict=True))


def test_what_was_kept_while_an_answer_was_written_may_be_used_with_gradients(model):
    tokens = encoded(model)
    with torch.inference_mode():
        model.count_text(tokens)
    kept = model._ids_by_text.values()
    assert kept
    assert not any(ids.is_inference() for ids in kept)
    model.lay_out(tokens).embeds.sum().backward()


def test_kept_ids_go_where_the_model_goes(model):
    tokens = encoded(model)
    model.count_text(tokens)
    model.model.to("meta")
    assert {run.text.device.type for run in model._runs(tokens)} == {"meta"}
