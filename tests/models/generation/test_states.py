"""Caches of every kind: what is kept of a text, put side by side, answers as one pass through each text does."""

import inspect

import pytest
import torch
import transformers as stock
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from dyto.models.generation.prefix import Prefix
from dyto.models.generation.states import (
    SPARE_PLACES,
    bytes_of,
    can_stand_together,
    growing,
    ignores_padding,
    side_by_side,
    tensors_of,
)
from dyto.models.loading.versions import cache_argument

from forge_qwen import loud

SIZES = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
LINEAR = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
}  # fmt: skip
THREE_OF_FOUR = ["linear_attention", "linear_attention", "linear_attention", "full_attention"]

MODELS: dict = {
    "keys and values": ("Qwen3", {}),
    "a sliding window": (
        "Gemma3Text",
        {"sliding_window": 6, "query_pre_attn_scalar": 8,
         "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]},
    ),
    "Qwen3-Next": ("Qwen3Next", {**EXPERTS, **LINEAR, "shared_expert_intermediate_size": 16,
                                 "layer_types": THREE_OF_FOUR}),
    "Qwen3.5": ("Qwen3_5Text", {**LINEAR, "layer_types": THREE_OF_FOUR}),
    "LFM2": ("Lfm2", {"layer_types": ["conv", "full_attention", "conv", "conv"], "block_multiple_of": 8}),
    "Nemotron-H": (
        "NemotronH",
        {"layers_block_type": ["mamba", "attention", "mlp", "mamba"], "mamba_num_heads": 4, "mamba_head_dim": 8,
         "ssm_state_size": 8, "n_groups": 2, "chunk_size": 8},
    ),
    "Kimi-Linear": (
        "KimiLinear",
        {"layer_types": THREE_OF_FOUR, "linear_head_dim": 8, "linear_num_heads": 4, "kv_lora_rank": 16,
         "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "moe_intermediate_size": 16,
         "num_local_experts": 4, "num_experts_per_tok": 2, "num_key_value_heads": 4},
    ),
    "Falcon-H1": (
        "FalconH1",
        {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1,
         "mamba_chunk_size": 8},
    ),
}  # fmt: skip
"""For each kind of cache a language model of transformers that has it, and its config beyond the sizes."""


def build(name):
    kind, more = MODELS[name]
    config = getattr(stock, f"{kind}Config")(**{**SIZES, **more})
    return loud(getattr(stock, f"{kind.removesuffix('Text')}ForCausalLM"), config)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return build(request.param)


def text(length, seed=0):
    return torch.randint(3, 60, (1, length), generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def read(model, ids):
    """What is kept of a text, as of a video."""
    cache = DynamicCache(config=model.config)
    model(input_ids=ids, use_cache=True, **cache_argument(model, cache))
    return Prefix(model.get_input_embeddings()(ids), cache, scaled=False)


@torch.inference_mode()
def answered(model, cache, mask, questions):
    """(Q, S, V) logits of questions behind what a cache holds, with positions as `generate` counts them."""
    places = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)[:, -questions.shape[1] :]}
    known = places if "position_ids" in inspect.signature(model.forward).parameters else {}
    return model(input_ids=questions, attention_mask=mask, **cache_argument(model, cache), **known).logits


@torch.no_grad()
def whole(model, before, question):
    """The same without any cache."""
    return model(input_ids=torch.cat([before, question], 1), use_cache=False).logits[:, before.shape[1] :]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def masked(lengths, more):
    mask = torch.ones(len(lengths), max(lengths) + more, dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, : max(lengths) - length] = 0
    return mask


def test_texts_of_unequal_length_side_by_side_are_gone_on_from_as_each_alone(model):
    lengths, questions = (9, 14, 3), torch.cat([text(5, seed) for seed in (7, 8, 9)])
    before = [text(length, length) for length in lengths]
    joined = side_by_side([read(model, one).cache for one in before])
    found = answered(model, joined, masked(lengths, 5), questions)
    for row, one in enumerate(before):
        expected = whole(model, one, questions[row : row + 1])
        close(found[row : row + 1], expected)
        assert expected.std() > 0.5  # weights that make a difference
    assert (found[0] - found[1]).abs().max() > 0.1  # and so does what was read before


def test_what_is_kept_of_a_long_text_is_left_as_it_was_by_every_question(model):
    before, first, second = text(200), text(5, 1), text(6, 2)
    prefix = read(model, before)
    held = [{place: part.clone() for place, part in tensors_of(layer).items()} for layer in prefix.cache.layers]
    for question in (first, second, first):
        for rows in (1, 3):
            joined, mask = side_by_side([prefix.cache] * rows), torch.ones(rows, 200 + question.shape[1]).long()
            found = answered(model, joined, mask, question.expand(rows, -1))
            close(found, whole(model, before, question).expand(rows, -1, -1))
    for layer, before in zip(prefix.cache.layers, held, strict=True):
        assert all(torch.equal(part, before[place]) for place, part in tensors_of(layer).items())


def test_every_tensor_is_counted(model):
    prefix = read(model, text(30))
    mine = [part for layer in prefix.cache.layers for part in tensors_of(layer).values()]
    assert prefix.nbytes == bytes_of(prefix.cache) == sum(part.numel() * part.element_size() for part in mine) > 0
    states = [
        part for layer in prefix.cache.layers for (name, _), part in tensors_of(layer).items() if "states" in name
    ]
    longer = read(model, text(60)).nbytes
    assert (longer == 2 * prefix.nbytes) == ignores_padding(prefix.cache)  # only keys and values grow with the text
    assert bool(states) == (not ignores_padding(prefix.cache) and not any(prefix.cache.is_sliding))


def test_padding_before_a_question_matters_wherever_questions_are_put_together_by_length(model):
    """Why: in a window and in a recurrence it would change the answer. Elsewhere it does not, and all go together."""
    before, question = text(9), text(5, 1)
    prefix = read(model, before)
    mask = torch.cat([torch.ones(1, 9), torch.zeros(1, 4), torch.ones(1, 5)], 1).long()
    padded = answered(
        model, side_by_side([prefix.cache]), mask, torch.cat([question[:, :1].expand(-1, 4), question], 1)
    )
    change = (padded[:, 4:] - whole(model, before, question)).abs().max()
    if prefix.company(5) is None:
        assert change < 1e-3
    else:
        assert change > 1e-3
        assert prefix.company(5) == prefix.company(5) != prefix.company(6)


class Compressed(DynamicLayer):
    """A layer of a kind that nobody here has heard of."""

    def update(self, keys, values, *args, **kwargs):
        self.summary = keys.mean(2, keepdim=True)
        return super().update(keys, values, *args, **kwargs)


def test_a_layer_of_an_unknown_kind_is_counted_and_copied_and_read_one_by_one():
    model = build("keys and values")
    prefix = read(model, text(9))
    odd = Compressed()
    odd.update(prefix.cache.layers[2].keys, prefix.cache.layers[2].values)
    before = prefix.nbytes
    prefix.cache.layers[2] = odd
    assert prefix.nbytes == before + odd.summary.nbytes
    assert not ignores_padding(prefix.cache)
    assert not can_stand_together(prefix.cache)
    assert prefix.company(5) != prefix.company(5)  # no two questions go together
    question = text(5, 1)
    found = answered(model, side_by_side([prefix.cache]), torch.ones(1, 14).long(), question)
    close(found, whole(model, text(9), question))
    assert odd.keys.shape[2] == 9


@pytest.mark.parametrize("rows", [1, 3])
def test_a_growing_cache_holds_what_a_stock_one_holds_and_leaves_the_one_before_it_alone(rows):
    torch.manual_seed(0)
    before, plain = DynamicCache(), DynamicCache()
    for layer in range(2):
        start = torch.randn(1, 2, 7, 4), torch.randn(1, 2, 7, 4)
        before.update(*start, layer)
        plain.update(*(part.expand(rows, -1, -1, -1) for part in start), layer)
    kept = [{key: part.clone() for key, part in tensors_of(layer).items()} for layer in before.layers]
    cache = growing(side_by_side([before] * rows))
    for step in [5, *[1] * (2 * SPARE_PLACES), SPARE_PLACES + 3, 1]:
        for layer in range(2):
            new = torch.randn(rows, 2, step, 4), torch.randn(rows, 2, step, 4)
            for ours, theirs in zip(cache.update(*new, layer), plain.update(*new, layer), strict=True):
                assert torch.equal(ours, theirs)
        assert cache.get_seq_length() == plain.get_seq_length()
    for layer, parts in zip(before.layers, kept, strict=True):
        assert all(torch.equal(part, parts[key]) for key, part in tensors_of(layer).items())


def test_a_growing_cache_copies_its_keys_and_values_only_now_and_then():
    before = DynamicCache()
    before.update(torch.zeros(1, 2, 7, 4), torch.zeros(1, 2, 7, 4), 0)
    cache, places = growing(before), []
    for _ in range(SPARE_PLACES):
        keys, _ = cache.update(torch.ones(1, 2, 1, 4), torch.ones(1, 2, 1, 4), 0)
        places.append(keys.data_ptr())
    assert len(set(places)) == 1
    assert len(places) + 7 == cache.get_seq_length()
