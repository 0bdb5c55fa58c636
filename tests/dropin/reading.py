"""What a language model was given to read, told from its embeddings alone."""

from __future__ import annotations

import inspect
from contextlib import contextmanager

import torch

from dyto.dropin import compressing


def cache_name(model):
    """What this version of transformers calls the cache."""
    return "cache" if "cache" in inspect.signature(type(model).forward).parameters else "past_key_values"


@contextmanager
def read_by(model, language_model):
    """Yields a list of what the language model reads in each call: for every row its ids, None for no text."""
    calls = []

    def look(module, args, kwargs):
        weight = model.get_input_embeddings()(torch.arange(model.get_input_embeddings().num_embeddings))
        calls.append([[_text(place, weight) for place in row] for row in kwargs["inputs_embeds"]])

    handle = language_model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def _text(place, weight):
    same = (weight == place).all(1).nonzero().flatten()
    return int(same[0]) if len(same) else None


def check_uncompressed(stock, inputs, processor, tolerance):
    """In a block without compression, a stock model's logits and greedy tokens are those that it has outside."""
    greedy = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
    with torch.no_grad():
        expected, ids = stock(**inputs).logits, stock.generate(**inputs, **greedy)
        with compressing(stock, "concat", processor=processor):
            found, same = stock(**inputs).logits, stock.generate(**inputs, **greedy)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert torch.equal(ids, same)
