"""Families without an adapter in somebody else's code: uncompressed they are the stock model, compressed `VideoQA`."""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

import dyto
from dropin.reading import check_uncompressed, read_by
from dropin.test_going_on import check_next_turn
from dyto.dropin import calls, compressing
from dyto.dropin.others import OtherModel
from dyto.models.processing import accepted
from dyto.models.trial import TYPES
from dyto.prompts import prompt_for
from forge_stock import KINDS, adapter, processor
from models.adapters.test_generic import READ, REFUSED, STOCK, film

QUESTIONS = ["what color is the star ?", "is there a red circle at the end of the video ?"]
GREEDY = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}


DAILY = ("GLM-4.6V", "LFM2-VL", "MiniCPM-V 4.7", "Ministral 3")
"""Families that are tried in every run: axes of positions, a state, marks around pictures, ends of rows."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.soak] * (name not in DAILY)) for name in READ]
)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def stock(name):
    return KINDS[name].build()


def prepare(name, *rows, captions=None):
    """What a stock processor makes of rows of frames and a question."""
    kind, made = KINDS[name], processor(name)
    pixels = made.image_processor([frame for frames, _ in rows for frame in frames], return_tensors="pt")
    start, end = kind.around
    told = []
    for frames, question in rows:
        before, after = prompt_for("vicuna", False).fill(question)
        ids = made.tokenizer(before).input_ids
        for number in range(len(frames)):
            caption = "" if captions is None else captions.format(number)
            ids += [*words(made, caption), *start, *kind.places(patches(name)), *end]
        told.append(torch.tensor([*ids, *words(made, after)]))
    ids, mask = (
        pad_sequence(own, batch_first=True, padding_side="left") for own in (told, list(map(torch.ones_like, told)))
    )
    types = dict.fromkeys(TYPES, (ids == kind.image_token).long())
    return accepted(kind.stock_class.forward, {**pixels, **types, "input_ids": ids, "attention_mask": mask}), made


def words(made, text):
    return made.tokenizer(text, add_special_tokens=False).input_ids


@cache
def patches(name):
    return adapter(name).encode(list(film(1))).num_patches


def test_uncompressed_logits_and_answers_are_those_of_the_stock_model(name, stock):
    inputs, made = prepare(name, (film(3), QUESTIONS[0]))
    check_uncompressed(stock, inputs, made, 1e-3)


def test_compressed_answers_are_those_of_video_qa(name, stock):
    frames, model = film(9, seed=2), adapter(name)
    strategy = dyto.DyTo(token_budget=24)
    inputs, made = prepare(name, (frames, QUESTIONS[1]))
    with compressing(stock, strategy, processor=made) as compression:
        ids = stock.generate(**inputs, **GREEDY)
    (tokens,) = compression.tokens
    video = dyto.VideoQA(model, strategy).encode(frames)
    assert 0 < len(tokens) <= 24 < tokens.uncompressed == video.uncompressed
    assert tokens.keyframes.positions.tolist() == video.keyframes.positions.tolist()
    torch.testing.assert_close(tokens.data, video.data, rtol=1e-4, atol=1e-4)
    if name not in LEFT_OUT:
        new = made.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        assert new == dyto.VideoQA(model, strategy).ask(frames, QUESTIONS[1], max_new_tokens=4).text


LEFT_OUT = ("Ovis2", "Ministral 3")
"""Of these `VideoQA` leaves out marks of pictures and ends of rows, which a prompt in somebody else's code has."""


def test_the_budget_holds_and_a_batch_gives_the_answers_of_one_by_one(name, stock):
    rows = [(film(count, seed=count), question) for count, question in zip((5, 8), QUESTIONS, strict=True)]
    batch, made = prepare(name, *rows)
    with compressing(stock, token_budget=20, processor=made) as compression:
        together = stock.generate(**batch, **GREEDY)[:, batch["input_ids"].shape[1] :]
        assert all(0 < len(tokens) <= 20 for tokens in compression.tokens)
        for answer, row in zip(together, rows, strict=True):
            inputs, _ = prepare(name, row)
            alone = stock.generate(**inputs, **GREEDY)[0, inputs["input_ids"].shape[1] :]
            assert answer[: len(alone)].tolist() == alone.tolist()


def test_a_next_turn_is_answered_as_if_all_were_asked_at_once(name, stock):
    inputs, made = prepare(name, (film(6), QUESTIONS[0]))
    check_next_turn(stock, inputs, made.tokenizer, GREEDY, {"token_budget": 20, "processor": made})


def test_the_model_is_the_same_afterwards(name, stock):
    inputs, made = prepare(name, (film(4), QUESTIONS[0]))
    with torch.no_grad():
        before, state = stock(**inputs).logits, {key: value.clone() for key, value in stock.state_dict().items()}
        attributes = [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()]
        with compressing(stock, token_budget=20, processor=made):
            stock.generate(**inputs, **GREEDY)
        assert [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()] == attributes
        assert all(torch.equal(value, state[key]) for key, value in stock.state_dict().items())
        assert torch.equal(stock(**inputs).logits, before)


# --- of one family or a few -----------------------------------------------------------------------------------------


FIRST = "VideoLLaMA 3"


@pytest.fixture(scope="module")
def first():
    return KINDS[FIRST].build()


@pytest.mark.parametrize("caption", ["<image_id>{}</image_id>", "Frame {}:", "<{}.0 seconds>"])
def test_numbers_and_times_before_frames_are_captions(first, caption):
    inputs, made = prepare(FIRST, (film(8), QUESTIONS[0]), captions=caption)
    with torch.no_grad():
        expected = first(**inputs).logits
        with compressing(first, "concat", processor=made) as compression:
            torch.testing.assert_close(first(**inputs).logits, expected, rtol=1e-3, atol=1e-3)
        assert len(compression.tokens) == 1
        with (
            compressing(first, token_budget=24, processor=made) as compression,
            read_by(first, first.model.language_model) as read_inside,
        ):
            first(**inputs)
    read = made.tokenizer.decode([number for number in read_inside[-1][0] if number is not None])
    kept = compression.tokens[0].keyframes.positions.tolist()
    assert [caption.format(number) in read for number in range(8)] == [number in kept for number in range(8)]
    assert 0 < len(kept) < 8
    assert f"Question: {QUESTIONS[0]} ASSISTANT:" in read


def test_words_between_pictures_divide_videos_and_reach_the_model(first):
    inputs, made = prepare(FIRST, (film(4), QUESTIONS[0]), captions="then {} again")
    with torch.no_grad():
        expected = first(**inputs).logits
        with (
            compressing(first, token_budget=400, processor=made) as compression,
            read_by(first, first.model.language_model) as read_inside,
        ):
            found = first(**inputs).logits
    read = made.tokenizer.decode([number for number in read_inside[-1][0] if number is not None])
    assert len(compression.tokens) == 4
    assert all(f"then {number} again" in read for number in range(4))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)  # a picture alone is not compressed


@pytest.mark.skipif("MiniCPM-V 4.7" not in READ, reason="this transformers has no class for it")
def test_two_videos_on_three_axes_have_the_positions_of_the_stock_model():
    """Of a family that looks at the marks around pictures for their positions."""
    name = "MiniCPM-V 4.7"
    stock, caption = KINDS[name].build(), "now"
    inputs, made = prepare(name, (film(2), "why"), captions=caption)
    with torch.no_grad():
        expected = stock(**inputs).logits
        with compressing(stock, "concat", processor=made) as compression:
            torch.testing.assert_close(stock(**inputs).logits, expected, rtol=1e-3, atol=1e-3)
    assert len(compression.tokens) == 2


def test_a_lost_word_is_an_error_before_the_model_reads(first, monkeypatch):
    inputs, made = prepare(FIRST, (film(6), QUESTIONS[0]))
    real = calls.splice

    def lossy(sample, tokens):
        row = real(sample, tokens)
        return replace(row, ids=row.ids[:-3], clip=row.clip[:-3])

    with pytest.raises(dyto.ModelError, match="tokens of text were asked"), compressing(first, processor=made):
        monkeypatch.setattr(calls, "splice", lossy)
        first(**inputs)


def test_the_trial_is_done_once_and_its_difference_is_told(monkeypatch):
    stock, made = KINDS[FIRST].build(seed=1), processor(FIRST)
    wrong = OtherModel.embed
    with monkeypatch.context() as patched:
        patched.setattr(OtherModel, "embed", lambda self, ids: wrong(self, ids) * 1.01)
        patched.setattr("dyto.dropin.calls.watching", lambda *args: nullcontext())
        said = r"in a block its logits differ from its own by 0\.\d+ deviations, expected 0\.001"
        with pytest.raises(dyto.ModelError, match=said), compressing(stock, processor=made):
            pass
    with pytest.raises(dyto.ModelError, match=said), compressing(stock, processor=made):
        pass  # it is not tried again


@pytest.mark.parametrize("name", [name for name in REFUSED if name in STOCK and name != "Cosmos 3 Omni"])
def test_a_class_that_does_more_with_pictures_is_refused_with_the_difference(name):
    said = r"logits differ from the stock model's by 0\.\d+ deviations"
    with pytest.raises(dyto.ModelError, match=said), compressing(KINDS[name].build(), processor=processor(name)):
        pass


def test_a_processor_is_needed(first):
    for given in (None, processor(FIRST).image_processor):
        said = "'video_llama_3' has no adapter.* expected one with image_processor and tokenizer"
        with pytest.raises(dyto.ConfigError, match=said), compressing(first, processor=given):
            pass


def test_what_cannot_be_compressed_is_refused_in_words(first):
    inputs, made = prepare(FIRST, (film(4), QUESTIONS[0]))
    with compressing(first, "concat", processor=made):
        first(**inputs)
        with pytest.raises(dyto.ConfigError, match="pixel_values_videos were given.* pass the frames of a video as im"):
            first(**inputs, pixel_values_videos=inputs["pixel_values"], video_grid_thw=inputs["image_grid_thw"])
        with (
            pytest.raises(dyto.ConfigError, match="looks at the pictures themselves"),
            compressing(first, lambda frames, encode, question=None: frames.data, processor=made),
        ):
            first(**inputs)


@pytest.mark.skipif("Ovis2" not in READ, reason="this transformers reads its pictures with torchvision alone")
def test_tiles_of_one_picture_are_not_taken_for_frames():
    stock = KINDS["Ovis2"].build()
    inputs, made = prepare("Ovis2", (film(3), QUESTIONS[0]))
    ids = inputs["input_ids"]
    gaps = [place for place in range(ids.shape[1] - 2) if ids[0, place : place + 3].tolist() == [101, 104, 100]]
    kept = [place for place in range(ids.shape[1]) if not any(gap < place <= gap + 2 for gap in gaps)]  # <IMG_GRID>
    cut = {**inputs, "input_ids": ids[:, kept], "attention_mask": inputs["attention_mask"][:, kept]}
    with compressing(stock, processor=made), torch.no_grad():
        stock(**inputs)
        with pytest.raises(dyto.ConfigError, match="a picture was cut into tiles"):
            stock(**cut)
