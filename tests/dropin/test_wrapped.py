"""Compiled and wrapped models, and what the user's own code in `generate` is given."""

import pytest
import torch
from transformers import StoppingCriteria, StoppingCriteriaList, TextStreamer
from transformers.generation import LogitsProcessorList

import dyto
from dropin.reading import cache_name
from dropin.test_words import prepare
from dyto.dropin import compressing
from dyto.models.adapters.tiny import build_processor

from forge import forge_model

GREEDY = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0}
TEXT = "USER: ######## what color is the star ? ASSISTANT:"


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture
def model():
    return forge_model(seed=3, context=8192)


def by_method(model):
    model.compile(backend="eager")
    return model


def by_function(model):
    return torch.compile(model, backend="eager")


def by_forward(model):
    model.forward = torch.compile(model.forward, backend="eager")
    return model


def in_one_graph(model):
    model.compile(backend="eager", fullgraph=True)
    return model


def the_decoder(model):
    model.model.language_model.compile(backend="eager")
    return model


def the_decoder_by_function(model):
    model.model.language_model = torch.compile(model.model.language_model, backend="eager")
    return model


SLOW = [pytest.param(compiled, marks=pytest.mark.soak) for compiled in (the_decoder, the_decoder_by_function)]


@pytest.mark.parametrize("compiled", [by_method, by_function, by_forward, in_one_graph, *SLOW])
def test_compiled_models_answer_as_others_do_and_stay_compiled(model, processor, compiled):
    inputs = prepare(processor, TEXT)
    with compressing(model, token_budget=60), torch.no_grad():
        expected, logits = model.generate(**inputs, **GREEDY), model(**inputs).logits
    used = compiled(model)
    before = {name: id(value) for name, value in vars(model).items()}
    with compressing(used, token_budget=60) as compression, torch.no_grad():
        assert torch.equal(used.generate(**inputs, **GREEDY), expected)
        torch.testing.assert_close(used(**inputs).logits, logits, rtol=1e-4, atol=1e-4)
        assert compression.calls == 2
    assert {name: id(value) for name, value in vars(model).items()} == before


def test_a_compiled_model_compressed_by_its_inner_one(model, processor):
    inputs, compiled = prepare(processor, TEXT), torch.compile(model, backend="eager")
    with compressing(model, token_budget=60) as compression, torch.no_grad():
        expected = model(**inputs).logits
        torch.testing.assert_close(compiled(**inputs).logits, expected, rtol=1e-4, atol=1e-4)
    assert compression.calls == 2


def test_a_model_with_hooks_of_accelerate(model, processor):
    hooks = pytest.importorskip("accelerate.hooks")
    inputs = prepare(processor, TEXT)
    with compressing(model, token_budget=60):
        expected = model.generate(**inputs, **GREEDY)
    for part in model.modules():
        hooks.add_hook_to_module(part, hooks.AlignDevicesHook(execution_device="cpu", io_same_device=True))
    before = {name: id(value) for name, value in vars(model).items()}
    with compressing(model, token_budget=60) as compression:
        assert torch.equal(model.generate(**inputs, **GREEDY), expected)
    assert compression.calls == 1
    assert {name: id(value) for name, value in vars(model).items()} == before


def test_wrappers_are_errors_that_say_what_to_pass(model):
    class PeftModel(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.base_model, self.config = model, model.config

    with pytest.raises(dyto.ConfigError, match=r"pass its \.module"), compressing(torch.nn.DataParallel(model)):
        pass
    with pytest.raises(dyto.ConfigError, match="get_base_model"), compressing(PeftModel()):
        pass


def test_criteria_processors_and_streamers_are_given_the_prompt_that_was_passed_in(model, processor):
    inputs = prepare(processor, TEXT)
    ids, seen = inputs.input_ids, {"criteria": [], "logits": [], "allowed": [], "streamer": []}

    class Stop(StoppingCriteria):
        def __call__(self, input_ids, scores, **kwargs):
            seen["criteria"].append(input_ids.clone())
            return torch.full((len(input_ids),), input_ids.shape[1] - ids.shape[1] >= 2)

    class Note(TextStreamer):
        def put(self, value):
            seen["streamer"].append(value.clone())

    def processed(input_ids, scores):
        seen["logits"].append(input_ids.clone())
        return scores

    def allowed(row, input_ids):
        seen["allowed"].append(input_ids[None].clone())
        return [7, 8, 9]

    with compressing(model, token_budget=60):
        found = model.generate(
            **inputs,
            **GREEDY,
            stopping_criteria=StoppingCriteriaList([Stop()]),
            logits_processor=LogitsProcessorList([processed]),
            prefix_allowed_tokens_fn=allowed,
            streamer=Note(processor.tokenizer),
        )
    assert found.shape[1] == ids.shape[1] + 2
    assert set(found[0, ids.shape[1] :].tolist()) <= {7, 8, 9}
    for name in ("criteria", "logits", "allowed"):
        assert seen[name]
        assert all(torch.equal(given[:, : ids.shape[1]], ids) for given in seen[name])
    assert torch.equal(seen["streamer"][0], ids)
    assert torch.cat([part.flatten() for part in seen["streamer"]]).tolist() == found[0].tolist()


def test_beams_see_whole_prompts_too(model, processor):
    batch = processor(
        images=[[image] * 4 for image in _images()], text=["USER: <image><image><image><image> why"] * 2,
        padding=True, return_tensors="pt",
    )  # fmt: skip
    seen = []

    def processed(input_ids, scores):
        seen.append(input_ids[:, : batch.input_ids.shape[1]])
        return scores

    with compressing(model, token_budget=60):
        model.generate(**batch, **GREEDY, num_beams=3, logits_processor=LogitsProcessorList([processed]))
    assert all(torch.equal(given, batch.input_ids.repeat_interleave(3, 0)) for given in seen)


def _images():
    from dropin.test_words import picture

    return [picture(1), picture(2)]


def test_arguments_by_position(model, processor):
    inputs = prepare(processor, TEXT)
    others = {key: value for key, value in inputs.items() if key not in ("input_ids", "attention_mask")}
    with compressing(model, token_budget=60), torch.no_grad():
        expected = model(**inputs).logits
        by_place = model(
            inputs.input_ids, inputs.pixel_values, inputs.image_sizes, attention_mask=inputs.attention_mask
        )
        assert torch.equal(by_place.logits, expected)
        ids = model.generate(**inputs, **GREEDY)
        assert torch.equal(
            model.generate(inputs.input_ids, attention_mask=inputs.attention_mask, **others, **GREEDY), ids
        )


@pytest.mark.parametrize(
    "options", [{"prompt_lookup_num_tokens": 2}, {"prefill_chunk_size": 8}, {"assistant_model": "same"}]
)
@pytest.mark.parametrize("turn", [1, 2])
def test_ways_of_generating_that_read_the_prompt_otherwise_are_errors(model, processor, options, turn):
    inputs = prepare(processor, TEXT)
    options = {"assistant_model": model} if "assistant_model" in options else options
    with compressing(model, token_budget=60):
        out = model.generate(**inputs, **GREEDY, return_dict_in_generate=True)
        more = torch.cat([out.sequences, inputs.input_ids[:, -4:]], 1)
        call = dict(inputs) if turn == 1 else {"input_ids": more, cache_name(model): out[cache_name(model)]}
        with pytest.raises(dyto.ConfigError, match="leave it out"):
            model.generate(**call, **GREEDY, **options)


def test_without_a_cache(model, processor):
    inputs = prepare(processor, TEXT)
    with compressing(model, token_budget=60), torch.no_grad():
        assert torch.equal(model(**inputs, use_cache=False).logits, model(**inputs).logits)
        plain = model.generate(**inputs, **GREEDY)
        model.generation_config.use_cache = False
        assert torch.equal(model.generate(**inputs, **GREEDY), plain)
        model.generation_config.use_cache = True


def test_embeddings_of_ones_own_run_as_ever(model, processor):
    text = processor.tokenizer("USER: why ASSISTANT:", return_tensors="pt")
    embeds = model.get_input_embeddings()(text.input_ids)
    expected = model.generate(inputs_embeds=embeds, **GREEDY)
    with compressing(model, token_budget=60):
        assert torch.equal(model.generate(inputs_embeds=embeds, **GREEDY), expected)
        model.generate(**prepare(processor, TEXT), **GREEDY)
