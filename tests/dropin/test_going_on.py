"""Calls that go on from a cache: the answer is that of asking all at once, or there is an error that says what to do."""

import copy
import gc

import pytest
import torch
from transformers import DynamicCache, StaticCache

import dyto
from dropin.reading import cache_name
from dropin.test_dropin_families import GREEDY as FEW
from dropin.test_dropin_families import prepare as prepare_family
from dropin.test_dropin_families import video
from dropin.test_dropin_qwen import film, processor, stacked  # noqa: F401
from dropin.test_dropin_qwen import prepare as prepare_qwen
from dropin.test_words import prepare
from dyto.dropin import compressing
from dyto.models.adapters.tiny import build_processor

from forge import forge_model
from forge_families import FAMILIES
from forge_qwen import FAMILIES as QWENS
from forge_qwen import qwen_adapter

GREEDY = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
TEXT = "USER: ############ what color is the star ? ASSISTANT:"


@pytest.fixture(scope="module")
def tiny_processor():
    return build_processor()


@pytest.fixture
def model():
    return forge_model(seed=3, context=8192)


def turn(tokenizer, text="USER: is there a ring ? ASSISTANT:"):
    return tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids


def grown(inputs, ids):
    """The same inputs with longer ids."""
    more = ids.shape[1] - inputs["input_ids"].shape[1]
    changed = {**inputs, "input_ids": ids}
    for name in ("attention_mask", "mm_token_type_ids", "token_type_ids"):
        if name in inputs:
            changed[name] = torch.nn.functional.pad(inputs[name], (0, more), value=int(name == "attention_mask"))
    return changed


def check_next_turn(stock, inputs, tokenizer, options, strategy):
    name, length = cache_name(stock), inputs["input_ids"].shape[1]
    with compressing(stock, **strategy) as compression:
        first = stock.generate(**inputs, **options, return_dict_in_generate=True)
        ids = torch.cat([first.sequences, turn(tokenizer)], 1)
        copied = copy.deepcopy(first[name])
        once = stock.generate(**grown(inputs, ids), **options)
        went_on = stock.generate(input_ids=ids, **{name: first[name]}, **options)
        mask = torch.nn.functional.pad(inputs["attention_mask"], (0, ids.shape[1] - length), value=1)
        again = stock.generate(input_ids=ids, attention_mask=mask, **{name: copied}, **options)
    assert torch.equal(went_on, once)
    assert torch.equal(again, once)
    assert compression.calls == 2


def test_a_next_turn_is_answered_as_if_all_were_asked_at_once(model, tiny_processor):
    inputs = prepare(tiny_processor, TEXT)
    check_next_turn(model, inputs, tiny_processor.tokenizer, GREEDY, {"token_budget": 60})


@pytest.mark.parametrize("name", FAMILIES)
def test_in_every_family(name, tmp_path):
    adapter = dyto.load_model(FAMILIES[name].forge(tmp_path), device="cpu")
    inputs, images = prepare_family(name, adapter, video(8))
    check_next_turn(adapter.model, inputs, adapter.tokenizer, FEW, {"token_budget": 40, "processor": images})


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", QWENS)
@pytest.mark.parametrize("kind", ["video", "image"])
def test_with_positions_of_three_axes(name, kind, processor):  # noqa: F811
    adapter = qwen_adapter(name)
    inputs = prepare_qwen(adapter, processor, film(7), "what is shown ?", kind)
    adapter.model.model.rope_deltas = torch.tensor([[77]])  # of some other call
    check_next_turn(adapter.model, inputs, adapter.tokenizer, FEW, {"token_budget": 40, "processor": processor})


def test_a_batch_goes_on_row_by_row(processor):  # noqa: F811
    adapter = qwen_adapter("qwen3_vl")
    made = [prepare_qwen(adapter, processor, film(count, seed=count), "why") for count in (5, 9)]
    check_next_turn_of_batch(adapter, stacked(made), processor)


def check_next_turn_of_batch(adapter, batch, images):
    stock, name = adapter.model, cache_name(adapter.model)
    with compressing(stock, token_budget=40, processor=images):
        first = stock.generate(**batch, **FEW, return_dict_in_generate=True)
        ids = torch.cat([first.sequences, turn(adapter.tokenizer).expand(2, -1)], 1)
        once = stock.generate(**grown(batch, ids), **FEW)
        mask = grown(batch, ids)["attention_mask"]
        assert torch.equal(stock.generate(input_ids=ids, attention_mask=mask, **{name: first[name]}, **FEW), once)


@pytest.mark.parametrize("name", ["llava", "smolvlm", "internvl", "gemma3"])
def test_a_new_video_in_the_next_turn(name, tmp_path):
    adapter = dyto.load_model(FAMILIES[name].forge(tmp_path), device="cpu")
    first, _ = prepare_family(name, adapter, video(6))
    second, images = prepare_family(name, adapter, video(8, seed=5), "how many rings")
    check_new_pictures(adapter, first, second, images)


@pytest.mark.parametrize("name", QWENS)
def test_a_new_video_with_positions_of_three_axes(name, processor):  # noqa: F811
    adapter = qwen_adapter(name)
    first, second = (prepare_qwen(adapter, processor, film(count, seed=count), "what is shown ?") for count in (6, 9))
    check_new_pictures(adapter, first, second, processor)


def check_new_pictures(adapter, first, second, images):
    stock, name = adapter.model, cache_name(adapter.model)
    pixels = [key for key in second if key.startswith("pixel") or key.endswith("_thw") or key == "second_per_grid_ts"]
    with compressing(stock, token_budget=40, processor=images) as compression:
        out = stock.generate(**first, **FEW, return_dict_in_generate=True)
        ids = torch.cat([out.sequences, second["input_ids"]], 1)
        joined = torch.cat([first["input_ids"], out.sequences[:, first["input_ids"].shape[1] :]], 1)
        assert torch.equal(joined, out.sequences)
        new = {key: second[key] for key in pixels}
        went_on = stock.generate(input_ids=ids, **new, **{name: out[name]}, **FEW)
        alone = compression.tokens
        both = {key: torch.cat([first[key], second[key]], 1 if name_is_rows(key, first) else 0) for key in pixels}
        once = stock.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **both, **FEW)
        assert len(alone) == 1
        assert len(compression.tokens) == 2
        assert torch.equal(alone[0].data, compression.tokens[1].data)
    assert torch.equal(went_on, once)


def name_is_rows(key, inputs):
    """Whether pictures of one row stand side by side, as SmolVLM has them."""
    return key.startswith("pixel") and inputs[key].ndim == 5 and "pixel_values_videos" not in key


def test_a_loop_of_ones_own_goes_on_as_with_the_stock_model(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    with compressing(model, token_budget=60), torch.no_grad():
        expected = model.generate(**inputs, **GREEDY)[0, inputs.input_ids.shape[1] :].tolist()
        for masked in (True, False):
            out, written, mask = model(**inputs, use_cache=True), [], inputs.attention_mask
            for _ in range(4):
                written.append(int(out.logits[0, -1].argmax()))
                mask = torch.nn.functional.pad(mask, (0, 1), value=1)
                options = {"attention_mask": mask} if masked else {}
                out = model(input_ids=torch.tensor([written[-1:]]), **{name: out[name]}, **options)
            assert written == expected[:4]
            wrong = {"attention_mask": mask[:, 5:]}
            with pytest.raises(dyto.ConfigError, match="attention_mask is .* long, expected"):
                model(input_ids=torch.tensor([[5]]), **{name: out[name]}, **wrong)


def test_a_cache_of_ones_own_that_is_filled_in_the_block(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    own = DynamicCache(config=model.config.get_text_config())
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **{name: own}, **GREEDY)
        ids = torch.cat([first, turn(tiny_processor.tokenizer)], 1)
        once = model.generate(**grown(inputs, ids), **GREEDY)
    with compressing(model, "uniform"):  # another block, another strategy: the cache knows what it holds
        pass_on = model.generate(input_ids=ids, **{name: own}, **GREEDY)
        model(**inputs)
    assert torch.equal(pass_on, once)


def test_new_ids_alone_with_a_mask_for_all(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
        ids = torch.cat([first.sequences, turn(tiny_processor.tokenizer)], 1)
        once = model.generate(**grown(inputs, ids), **GREEDY)
        new = ids[:, first.sequences.shape[1] - 1 :]  # the last word of the answer is not in the cache
        went_on = model.generate(input_ids=new, attention_mask=torch.ones_like(ids), **{name: first[name]}, **GREEDY)
    assert torch.equal(went_on[:, : new.shape[1]], new)
    assert torch.equal(went_on[:, new.shape[1] :], once[:, ids.shape[1] :])


def test_a_cache_from_outside_goes_on_as_ever(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
    ids = torch.cat([first.sequences, turn(tiny_processor.tokenizer)], 1)
    expected = model.generate(input_ids=ids, **{name: copy.deepcopy(first[name])}, **GREEDY)
    with compressing(model, token_budget=60):
        with pytest.raises(dyto.ConfigError, match="filled outside a block"):
            model.generate(**inputs, **{name: first[name]}, **GREEDY)
        assert torch.equal(model.generate(input_ids=ids, **{name: first[name]}, **GREEDY), expected)
        model.generate(**inputs, **GREEDY)


def test_a_cache_from_the_block_is_an_error_outside(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
    ids = torch.cat([first.sequences, turn(tiny_processor.tokenizer)], 1)
    for cache in (first[name], copy.deepcopy(first[name])):
        with pytest.raises(dyto.ConfigError, match="continue from it inside a block"):
            model.generate(input_ids=ids, **{name: cache}, **GREEDY)
        with pytest.raises(dyto.ConfigError, match="continue from it inside a block"):
            model(input_ids=ids[:, -1:], **{name: cache})


def test_a_cache_whose_model_is_gone_can_be_copied(model, tiny_processor):
    gone, inputs, name = copy.deepcopy(model), prepare(tiny_processor, TEXT), cache_name(model)
    with compressing(gone, token_budget=60):
        cache = gone.generate(**inputs, **GREEDY, return_dict_in_generate=True)[name]
    del gone
    gc.collect()
    with pytest.raises(dyto.ConfigError, match="filled in a block"):
        copy.deepcopy(cache).get_seq_length()


def test_ids_that_do_not_belong_to_the_cache_are_errors(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    other = prepare(tiny_processor, TEXT.replace("color", "shape"))
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
        ids = torch.cat([first.sequences, turn(tiny_processor.tokenizer)], 1)
        cache = {name: first[name]}
        for wrong in (turn(tiny_processor.tokenizer), first.sequences[:, :-1], grown(other, ids)["input_ids"][:, 3:]):
            with pytest.raises(dyto.ConfigError, match="expected the .* ids that it holds"):
                model.generate(input_ids=wrong, **cache, **GREEDY)
        with pytest.raises(dyto.ConfigError, match="position_ids"):
            model(input_ids=ids[:, -1:], position_ids=torch.tensor([[ids.shape[1]]]), **cache)
        with pytest.raises(dyto.ConfigError, match="2 rows, but the cache holds 1|rows"):
            model.generate(input_ids=ids[:0], **cache, **GREEDY)
        with pytest.raises(dyto.ConfigError, match="no pixels and no cache"):
            model.generate(input_ids=ids, **GREEDY)  # the second turn, without its cache


def test_half_a_prompt_in_the_cache_is_an_error(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
        ids = torch.cat([first.sequences, turn(tiny_processor.tokenizer)], 1)
        for layer in first[name].layers:
            layer.keys, layer.values = layer.keys[:, :, :20], layer.values[:, :, :20]
        with pytest.raises(dyto.ConfigError, match="cut inside the prompt"):
            model.generate(input_ids=ids, **{name: first[name]}, **GREEDY)


def test_a_cache_that_was_emptied_begins_anew(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    own = DynamicCache(config=model.config.get_text_config())
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **{name: own}, **GREEDY)
        own.layers.clear()
        own.layers.extend(DynamicCache(config=model.config.get_text_config()).layers)
        assert torch.equal(model.generate(**inputs, **{name: own}, **GREEDY), first)


def test_nothing_of_the_block_keeps_a_cache_alive(model, tiny_processor):
    import gc
    import weakref

    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
        gone = weakref.ref(first[name])
        gc.disable()
        try:
            del first
            assert gone() is None  # at once: nothing refers to itself
        finally:
            gc.enable()


def test_a_call_that_fails_after_the_prompt_is_read_leaves_a_cache_that_knows_it(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    own = DynamicCache(config=model.config.get_text_config())

    def broken(ids, scores):
        raise ZeroDivisionError

    ids = torch.cat([inputs.input_ids, turn(tiny_processor.tokenizer)], 1)
    with compressing(model, token_budget=60):
        with pytest.raises(ZeroDivisionError):
            model.generate(**inputs, **{name: own}, **GREEDY, logits_processor=[broken])
        once = model.generate(**grown(inputs, ids), **GREEDY)
        assert torch.equal(model.generate(input_ids=ids, **{name: own}, **GREEDY), once)
    with pytest.raises(dyto.ConfigError, match="inside a block"):
        model.generate(input_ids=ids, **{name: own}, **GREEDY)


def test_a_static_cache(model, tiny_processor):
    inputs, name = prepare(tiny_processor, TEXT), cache_name(model)
    own = StaticCache(config=model.config.get_text_config(), max_cache_len=256)
    with compressing(model, token_budget=60):
        first = model.generate(**inputs, **{name: own}, **GREEDY)
        ids = torch.cat([first, turn(tiny_processor.tokenizer)], 1)
        once = model.generate(**grown(inputs, ids), **GREEDY)
        assert torch.equal(model.generate(input_ids=ids, **{name: own}, **GREEDY), once)
        own.reset()
        assert torch.equal(model.generate(**inputs, **{name: own}, **GREEDY), first)
