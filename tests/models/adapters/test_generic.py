"""Families without an adapter of their own: what the stock class reads is what the generic adapter reads, or it says so."""

import inspect
import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from transformers import PreTrainedConfig

import dyto
from dyto.models.adapters.generic import StockVision
from dyto.models.pixels import Normalization
from dyto.models.processing import load_processor
from dyto.models.stock_classes import family_of, marks_of
from dyto.prompts import prompt_for
from forge_stock import KINDS, adapter, save, tokenizer

REFUSED = ("PaliGemma", "Cosmos 3 Omni")
"""Of these the stock class does more with pictures: PaliGemma's prompt, too, is seen both ways; Cosmos has DeepStack."""

STOCK = [name for name in KINDS if KINDS[name].is_there]
READ = [name for name in STOCK if name not in REFUSED]
WITH_PROCESSOR = [name for name in READ if isinstance(KINDS[name].images, tuple)]
QUESTIONS = ["what color is the star ?", "is there a red circle at the end of the video ?", "why"]


@pytest.fixture(scope="module", params=READ)
def model(request):
    return adapter(request.param)


def film(count=6, size=(40, 60), seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), dtype=np.uint8)


def asked(model, question=QUESTIONS[0]):
    return model.tokenize(*prompt_for(model.chat, False).fill(question))


def stock_logits(model, frames, before, after):
    """The stock model alone, with ids, placeholders and pixels, and whatever else its processor would say."""
    made = model.pixels(list(frames))
    count = model.encode(list(frames)).num_patches
    start, end = (model.tokenizer(mark, return_tensors="pt", add_special_tokens=False).input_ids[0].long()
                  for mark in model.marks)  # fmt: skip
    shown = [part for _ in frames for part in (start, torch.full((count,), model.image_token), end)]
    ids = torch.cat([before, *shown, after])[None]
    types = (ids == model.image_token).long()
    named = {**made, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": types, "token_type_ids": types}
    known = inspect.signature(model.model.forward).parameters
    with torch.no_grad():
        return model.model(input_ids=ids, **{name: value for name, value in named.items() if name in known}).logits[0]


@pytest.mark.parametrize("size", [(40, 60), (60, 40)])
def test_uncompressed_logits_are_those_of_the_stock_model(model, size):
    frames, prompt = film(3, size), asked(model)
    tokens = dyto.VideoQA(model, "concat").encode(frames)
    prefix = model.prefill(prompt.before, tokens)
    stock = stock_logits(model, frames, prompt.before, prompt.after)
    assert len(stock) == len(prefix) + len(prompt.after)
    torch.testing.assert_close(model.logits(prefix, prompt.after), stock[len(prefix) :], rtol=1e-3, atol=1e-3)
    assert stock.std() > 1


def test_a_swap_of_two_tokens_changes_what_is_answered(model):
    tokens, prompt = dyto.VideoQA(model, "concat").encode(film()), asked(model)
    order = np.arange(len(tokens))
    order[[0, -1]] = order[[-1, 0]]
    ours, other = (
        model.logits(model.prefill(prompt.before, own), prompt.after)[-1]
        for own in (tokens, replace(tokens, data=tokens.data[order]))
    )
    assert (ours - other).abs().max() > 1e-2


def test_generated_tokens_are_those_of_the_stock_model_alone(model):
    """From ids, placeholders and pixels, all of it read anew for every token."""
    frames, qa = film(3), dyto.VideoQA(model, "concat")
    for question in QUESTIONS[:2]:
        prompt, answer = asked(model, question), []
        while len(answer) < 4 and answer[-1:] != [2]:
            text = torch.cat([prompt.after, torch.tensor(answer, dtype=torch.int64)])
            answer.append(int(stock_logits(model, frames, prompt.before, text)[-1].argmax()))
        expected = model.tokenizer.decode(answer, skip_special_tokens=True).strip()
        assert qa.ask(frames, question, max_new_tokens=4).text == expected


RECURRENT = ("MiniCPM-V 4.6", "MiniCPM-V 4.7", "LFM2-VL", "LFM3-VL", "Nemotron-H Omni")
"""Families whose layers keep a state of all that was read."""


@pytest.mark.parametrize("model", [name for name in READ if name in RECURRENT], indirect=True)
def test_long_videos_in_turn_are_answered_as_one_by_one_whatever_state_they_leave(model):
    qa = dyto.VideoQA(model, "concat")
    videos = [qa.encode(film(30, seed=1)), qa.encode(film(19, seed=2))]
    assert min(map(len, videos)) > 64  # more than one chunk
    plain = {
        (number, question): plain_answer(model, tokens, question)
        for number, tokens in enumerate(videos)
        for question in QUESTIONS[:2]
    }
    for order in ((0, 1), (1, 0)):
        for number, question in zip(order, QUESTIONS, strict=False):
            assert qa.ask(videos[number], question, max_new_tokens=4).text == plain[number, question]
    pairs = [(videos[number], question) for number, question in plain]
    assert [answer.text for answer in qa.ask_batch(pairs, max_new_tokens=4)] == list(plain.values())


def plain_answer(model, tokens, question):
    """A question behind a prefix of its own, one token after the other, without `generate`."""
    prompt, answer = asked(model, question), []
    while len(answer) < 4 and answer[-1:] != [2]:
        prefix = model.prefill(prompt.before, tokens)
        text = torch.cat([prompt.after, torch.tensor(answer, dtype=torch.int64)])
        answer.append(int(model.logits(prefix, text)[-1].argmax()))
    return model.tokenizer.decode(answer, skip_special_tokens=True).strip()


@pytest.mark.sampled(3)
def test_kept_batched_and_streamed_answers_equal_plain_ones_and_the_budget_holds(model):
    qa = dyto.VideoQA(model, dyto.DyTo(token_budget=24))
    videos = [qa.encode(film(10, seed=1)), qa.encode(film(7, seed=2))]
    assert all(0 < len(tokens) <= 24 < tokens.uncompressed for tokens in videos)
    plain = [[plain_answer(model, tokens, question) for question in QUESTIONS] for tokens in videos]
    for tokens, texts in zip(videos, plain, strict=True):
        assert [answer.text for answer in qa.ask_many(tokens, QUESTIONS, max_new_tokens=4)] == texts
    pairs = [(tokens, question) for question in QUESTIONS for tokens in videos]
    expected = [plain[video][question] for question in range(len(QUESTIONS)) for video in range(2)]
    assert [answer.text for answer in qa.ask_batch(pairs, max_new_tokens=4)] == expected
    assert "".join(qa.stream(videos[0], QUESTIONS[1], max_new_tokens=4)).strip() == plain[0][1]


def test_what_came_of_the_trial_is_kept_and_told_with_every_answer(model):
    assert model.trial.passed
    assert model.trial.difference < 1e-3 < model.trial.control
    answer = dyto.VideoQA(model).ask(film(), QUESTIONS[0], max_new_tokens=2)
    assert any("has no adapter of its own" in notice for notice in model.notices)
    assert answer.num_visual_tokens <= answer.token_budget


@pytest.mark.parametrize("name", [name for name in REFUSED if name in STOCK])
def test_a_class_that_does_more_with_pictures_is_refused_with_the_difference(name):
    with pytest.raises(dyto.ModelError, match=r"logits differ from the stock model's by 0\.\d+ deviations"):
        adapter(name)


def test_pictures_that_the_stock_class_cannot_read_are_told_of():
    kind = KINDS["VideoLLaMA 3"]
    with pytest.raises(dyto.ModelError, match="without one it could not read two pictures"):
        StockVision(
            "odd", kind.build(), tokenizer(), normalization=Normalization(), chat="vicuna",
            processor=lambda pictures: {"pixel_values": torch.zeros(2, 3)},
        )  # fmt: skip


def test_a_wrong_place_in_the_prompt_does_not_pass_the_trial(monkeypatch):
    """Of a family with positions of three axes: the trial would notice if they were merely counted."""

    def counted(self, video, runs):
        places = sum(map(len, runs))
        return torch.arange(places).expand(3, -1), places

    monkeypatch.setattr(StockVision, "positions", counted)
    with pytest.raises(dyto.ModelError, match="logits differ"):
        adapter("GLM-4.6V")


@pytest.mark.parametrize(
    ("config", "named", "words", "expected"),
    [
        ({"vision_start_token_id": 3, "vision_end_token_id": 4}, {}, [], ("<|start|>", "<|end|>")),
        ({"boi_token_index": 3, "eoi_token_index": 4}, {}, ["<img>", "</img>"], ("<|start|>", "<|end|>")),
        ({"vision_start_token_id": 3}, {}, [], ("", "")),
        ({}, {"image_start_token": "<image>", "image_end_token": "</image>"}, [], ("<image>", "</image>")),
        ({}, {}, ["<img>", "</img>"], ("<img>", "</img>")),
        ({}, {}, ["<img>"], ("", "")),
    ],
)
def test_the_marks_around_a_picture_are_those_that_a_checkpoint_names(config, named, words, expected):
    own = tokenizer()
    own.add_tokens(words, special_tokens=True)
    for name, mark in named.items():
        setattr(own, name, mark)
    assert marks_of(PreTrainedConfig(**config), own) == expected


# --- from a folder ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_PROCESSOR)
def test_a_checkpoint_is_loaded_by_its_stock_class(name, tmp_path):
    loaded = dyto.load_model(save(name, tmp_path), device="cpu")
    assert isinstance(loaded, StockVision)
    assert loaded.model.config.model_type not in dyto.models.FAMILIES
    tokens = dyto.VideoQA(loaded, "concat").encode(film(3))
    torch.testing.assert_close(tokens.data, dyto.VideoQA(adapter(name), "concat").encode(film(3)).data)
    assert dyto.VideoQA(loaded).ask(film(3), QUESTIONS[0], max_new_tokens=3).num_visual_tokens > 0


@pytest.mark.skipif(find_spec("torchvision") is not None, reason="torchvision is there")
def test_an_image_processor_that_needs_torchvision_is_named(tmp_path):
    for model_type, needed in (("lfm2_vl", "Lfm2VlImageProcessor"), ("kimi_k25", "Kimi_K25ImageProcessor")):
        with pytest.raises(dyto.ModelError, match=f"needs {needed}, which needs torchvision"):
            load_processor("m", str(tmp_path), None, model_type)


def test_the_version_of_transformers_that_has_a_class_is_named(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "molmo2"}))
    monkeypatch.setattr("dyto.models.loading.load.family_of", lambda model_type: None)  # as for transformers 5.17
    with pytest.raises(dyto.ModelError, match=r"'molmo2', for which transformers 5\.\S+ has no class, expected 5\.20"):
        dyto.load_model(tmp_path, device="cpu")


@pytest.mark.parametrize(
    "settings",
    [
        {"image_processor_type": "TextGenerationPipeline", "size": "large"},
        {"image_processor_type": 7, "size": [1, 2, 3]},
        {"patch_size": 10**9},
        {"patch_size": "four"},
        {"size": {"height": 10**6, "width": 4}},
        {"size": {"shortest_edge": 10**9, "longest_edge": 10**9}},
        {"size": 10**5},
        {"image_processor": "none"},
    ],
)
def test_settings_of_an_image_processor_that_make_no_sense_are_one_clear_error(settings, tmp_path):
    folder = save("VideoLLaMA 3", tmp_path)
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(dyto.ModelError, match="expected") as said:
        dyto.load_model(folder, device="cpu")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("model_type", ["bert", "whisper", "nonsense", "idefics2"])
def test_a_model_type_without_such_a_class_is_refused_by_name(model_type, tmp_path):
    assert family_of(model_type) is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(dyto.ModelError, match=rf"is of type '{model_type}', expected one of .*get_image_features"):
        dyto.load_model(tmp_path, device="cpu")
