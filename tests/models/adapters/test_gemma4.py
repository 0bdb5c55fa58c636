"""Gemma 4 of every kind against stock transformers fed the same frames, by itself and in somebody else's code."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import dyto
from dyto.dropin import compressing
from dyto.models.pixels import LargestWithin
from dyto.prompts import prompt_for
from dyto.strategies import STRATEGIES
from forge_gemma4 import KINDS, MOST, forge, patches_of, stock_inputs

QUESTIONS = ["what color is the star ?", "is there a red circle at the end of the video ?", "why"]
GREEDY = {"max_new_tokens": 8, "do_sample": False}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return forge(kind, tmp_path_factory.mktemp(kind))


@pytest.fixture(scope="module")
def model(folder):
    return small(folder)


def small(folder, **options):
    """The adapter, for frames of a few tokens."""
    model = dyto.load_model(folder, device="cpu", **options)
    model.image_size, model.num_patches = LargestWithin(8, MOST), MOST
    return model


def film(count=6, size=(30, 44), seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), dtype=np.uint8)


def asked(model, question):
    return prompt_for(model.chat, False).fill(question)


@pytest.mark.parametrize(("size", "source"), [((30, 44), "video"), ((90, 20), "video"), ((8, 200), "image")])
def test_uncompressed_logits_and_answers_are_those_of_the_stock_model(model, size, source):
    frames, (before, after) = film(size=size), asked(model, QUESTIONS[0])
    tokens = dyto.VideoQA(model, "concat").encode(frames)
    inputs = stock_inputs(model, frames, before, after, kind=source)
    with torch.no_grad():
        stock = model.model(**inputs).logits[0]
        ids = model.model.generate(**inputs, **GREEDY)[0, len(stock) :]
    prompt = model.tokenize(before, after)
    prefix = model.prefill(prompt.before, tokens)
    assert len(prefix) + len(prompt.after) == len(stock)
    torch.testing.assert_close(model.logits(prefix, prompt.after), stock[len(prefix) :], rtol=1e-4, atol=2e-4)
    assert stock.std() > 1  # weights that make a difference
    expected = model.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert dyto.VideoQA(model).ask(tokens, QUESTIONS[0], max_new_tokens=8).text == expected


def test_features_are_those_of_the_stock_tower(model, kind):
    frames = film(3)
    features = model.encode(list(frames))
    pixels, places = patches_of(frames, kind == "gemma4_unified")
    pixels, places = pixels[:, : 4 * MOST], places[:, : 4 * MOST]
    if kind == "gemma4_unified":
        pixels, places = pixels[:, :MOST], places[:, :MOST]
    with torch.no_grad():
        expected = torch.stack(model.model.model.get_image_features(pixels, places).pooler_output)
    assert features.grid == (2, 4)
    torch.testing.assert_close(features.patches(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.summary, expected.mean(1), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def plain_answer(model, tokens, question):
    """A question without any kept prefix: all of it read anew for every token."""
    before, after = model.tokenize(*asked(model, question)).__dict__.values()
    embed, layout = model.model.get_input_embeddings(), model.lay_out(tokens)
    ids, answer = torch.cat([before, layout.ids, after]), []
    embeds = torch.cat([embed(before), layout.embeds, embed(after)])
    while len(answer) < 8 and answer[-1:] != [2]:
        told = model.beside(ids[None])
        answer.append(int(model.model(inputs_embeds=embeds[None], **told).logits[0, -1].argmax()))
        ids, embeds = torch.cat([ids, torch.tensor(answer[-1:])]), torch.cat([embeds, embed(torch.tensor(answer[-1:]))])
    return model.tokenizer.decode(answer, skip_special_tokens=True).strip()


@pytest.mark.sampled(2)
def test_compressed_kept_batched_and_streamed_answers_equal_plain_ones(model):
    qa = dyto.VideoQA(model, dyto.DyTo(token_budget=30))
    videos = [qa.encode(film(12, seed=1)), qa.encode(film(9, size=(60, 30), seed=2))]
    assert all(len(tokens) <= 30 for tokens in videos)
    plain = [[plain_answer(model, tokens, question) for question in QUESTIONS] for tokens in videos]
    assert len({text for texts in plain for text in texts}) > len(QUESTIONS)  # they depend on video and question
    for tokens, texts in zip(videos, plain, strict=True):
        assert [answer.text for answer in qa.ask_many(tokens, QUESTIONS, max_new_tokens=8)] == texts
    pairs = [(tokens, question) for question in QUESTIONS for tokens in videos]
    expected = [plain[video][question] for question in range(len(QUESTIONS)) for video in range(2)]
    for size in (None, 4):
        assert [a.text for a in qa.ask_batch(pairs, max_new_tokens=8, batch_size=size)] == expected
    assert "".join(qa.stream(videos[0], QUESTIONS[1], max_new_tokens=8)).strip() == plain[0][1]


def test_two_tokens_that_are_swapped_change_what_is_answered(model):
    tokens, prompt = dyto.VideoQA(model, "concat").encode(film()), model.tokenize(*asked(model, QUESTIONS[0]))
    order = np.arange(len(tokens))
    order[[3, 20]] = order[[20, 3]]
    swapped = replace(tokens, data=tokens.data[order])
    ours, other = (model.logits(model.prefill(prompt.before, own), prompt.after)[-1] for own in (tokens, swapped))
    assert (ours - other).abs().max() > 1e-2


@pytest.mark.sampled(4)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_keeps_its_budget_or_says_what_the_family_lacks(model, strategy):
    qa = dyto.VideoQA(model, strategy)
    try:
        answer = qa.ask(film(14), QUESTIONS[0], max_new_tokens=2)
    except dyto.ConfigError as err:
        assert re.search("needs|expected|offers? none", str(err)), err
        assert strategy not in ("dyto", "uniform", "concat", "slowfast")
        return
    assert 0 < answer.num_visual_tokens <= (answer.token_budget or answer.uncompressed_tokens)
    assert answer.uncompressed_tokens == 14 * 8
    assert answer.num_time_tokens > 0


def test_times_are_minutes_and_seconds_or_what_one_asks_for(folder):
    frames = dyto.Frames(film(3), np.arange(3), np.array([0.5, 61.9, 6000.0]), (30, 44), 3)
    for options, times in (({}, ("00:00 ", "01:01 ", "100:00 ")), ({"time_text": ""}, ("", "", ""))):
        model = small(folder)
        model.time_text = options.get("time_text", model.time_text)
        tokens = dyto.VideoQA(model, "concat").encode(frames)
        text = model.tokenizer.decode(torch.cat([run.text for run in model._runs(tokens)]))
        assert text == " ".join(f"{time}<|image><image|>" for time in times)


def test_half_precision_answers(folder):
    model = small(folder, dtype="bfloat16")
    assert dyto.VideoQA(model).ask(film(8), QUESTIONS[0], max_new_tokens=3).num_visual_tokens > 0


# --- in somebody else's code ------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["video", "image"])
def test_compressing_with_all_tokens_is_the_stock_model(model, source):
    before, after = asked(model, QUESTIONS[0])
    stock, inputs = model.model, stock_inputs(model, film(), before, after, kind=source)
    with torch.no_grad():
        expected, ids = stock(**inputs).logits, stock.generate(**inputs, **GREEDY)
        with compressing(stock, "concat", processor=Told(model.tokenizer)):
            found, same = stock(**inputs).logits, stock.generate(**inputs, **GREEDY)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-4)
    assert torch.equal(ids, same)


class Told:
    """A processor of which only the tokenizer is asked, and that pictures are not normalised."""

    def __init__(self, tokenizer):
        self.tokenizer, self.image_mean, self.image_std = tokenizer, (0, 0, 0), (1, 1, 1)


def test_compressed_answers_are_those_of_video_qa_and_the_model_is_the_same_afterwards(model):
    frames, stock, strategy = film(14, size=(16, 32), seed=2), model.model, dyto.DyTo(token_budget=40)
    inputs = stock_inputs(model, frames, *asked(model, QUESTIONS[1]))
    with torch.no_grad():
        before = stock(**inputs).logits
        attributes = [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()]
        with compressing(stock, strategy, processor=Told(model.tokenizer)) as compression:
            ids = stock.generate(**inputs, **GREEDY)[0, inputs["input_ids"].shape[1] :]
        assert [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()] == attributes
        assert torch.equal(stock(**inputs).logits, before)
    expected = dyto.VideoQA(model, strategy).ask(frames, QUESTIONS[1], max_new_tokens=8)
    assert model.tokenizer.decode(ids, skip_special_tokens=True).strip() == expected.text
    assert len(compression.tokens[0]) == expected.num_visual_tokens <= 40


@pytest.mark.parametrize("missing", ["video_position_ids", "num_frames_per_video"])
def test_inputs_that_are_not_whole_are_refused(model, missing):
    inputs = stock_inputs(model, film(), *asked(model, QUESTIONS[0]))
    if inputs.pop(missing, None) is None:
        pytest.skip("this version of transformers makes none")
    with pytest.raises(dyto.ConfigError, match=f"without {missing}"), compressing(model.model):
        model.model.generate(**inputs, **GREEDY)


@pytest.mark.parametrize("most", [70, 140, 280])
def test_a_frame_has_the_size_that_the_stock_image_processor_gives_it(most):
    from transformers.models.gemma4.image_processing_pil_gemma4 import get_aspect_ratio_preserving_size

    size = LargestWithin(48, most)
    for height, width in [(720, 1280), (1080, 1920), (90, 20), (333, 334), (8, 1500), (2000, 3), (240, 426), (49, 49)]:
        expected = get_aspect_ratio_preserving_size(height, width, 16, most * 9, 3)
        assert size(height, width) == expected
        assert size(*expected) == expected  # a frame that was decoded in its size is not resized once more
