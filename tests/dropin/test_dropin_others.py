"""Families without an adapter in somebody else's code: uncompressed they are the stock model, compressed `VideoQA`."""

import numpy as np
import pytest
import torch

import dyto
from dropin.reading import cache_name
from dropin.test_going_on import grown, turn
from dyto.dropin import compressing
from dyto.models.processing import accepted
from dyto.models.trial import TYPES
from dyto.prompts import prompt_for
from forge_stock import KINDS, adapter, processor
from models.adapters.test_generic import READ, REFUSED, STOCK, film

QUESTIONS = ["what color is the star ?", "is there a red circle at the end of the video ?"]
GREEDY = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}


@pytest.fixture(scope="module", params=READ)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def stock(name):
    return KINDS[name].build()


def prepare(name, frames, question=QUESTIONS[0], captions=None):
    """What a stock processor makes of frames and a question."""
    kind, made = KINDS[name], processor(name)
    pixels = made.image_processor(frames, return_tensors="pt")
    before, after = prompt_for("vicuna", False).fill(question)
    start, end = kind.around
    ids = made.tokenizer(before).input_ids
    for number in range(len(frames)):
        told = "" if captions is None else captions.format(number)
        ids += [*words(made, told), *start, *[kind.image_token] * TOKENS[name], *end]
    ids = torch.tensor([[*ids, *words(made, after)]])
    types = dict.fromkeys(TYPES, (ids == kind.image_token).long())
    inputs = {**pixels, **types, "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return accepted(kind.stock_class.forward, inputs), made


def words(made, text):
    return made.tokenizer(text, add_special_tokens=False).input_ids


TOKENS = {
    name: adapter(name).encode(list(film(1))).num_patches for name in READ
}


def test_uncompressed_logits_and_answers_are_those_of_the_stock_model(name, stock):
    inputs, made = prepare(name, film(3))
    with torch.no_grad():
        expected, ids = stock(**inputs).logits, stock.generate(**inputs, **GREEDY)
        with compressing(stock, "concat", processor=made):
            found, same = stock(**inputs).logits, stock.generate(**inputs, **GREEDY)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert torch.equal(ids, same)
