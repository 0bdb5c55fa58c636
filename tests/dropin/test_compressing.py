"""A block around somebody's own code: what the model reads inside, and that nothing of it is left behind."""

import copy
import threading
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import GenerationConfig, TextStreamer

import dyto
from dyto.dropin import compressing
from dyto.models.adapters.llava_next import LlavaNext
from dyto.models.adapters.tiny import build_processor, build_tokenizer
from dyto.models.pixels import Normalization

from forge import forge_model

QUESTIONS = ["what color is the star ?", "is there a red circle at the end of the video ?"]
GREEDY = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture
def model():
    return forge_model(seed=3, context=8192)


def pictures(frames=12, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 84, 84, 3), dtype=np.uint8)


def prepare(processor, frames, question=QUESTIONS[0], between=""):
    text = f"USER: {between.join(['<image>'] * len(frames))}\n{question} ASSISTANT:"
    return processor(images=[Image.fromarray(f) for f in frames], text=text, return_tensors="pt")


def video_qa(stock, strategy):
    adapter = LlavaNext("forged", copy.deepcopy(stock), build_tokenizer(), normalization=Normalization(), chat="tiny")
    return dyto.VideoQA(adapter, strategy)


def new_text(processor, inputs, ids):
    return processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()


@pytest.mark.parametrize("strategy", [dyto.DyTo(token_budget=100), dyto.Uniform(), dyto.Concat(), dyto.SlowFast()])
def test_the_answer_is_that_of_video_qa(model, processor, strategy):
    frames, question = pictures(), QUESTIONS[1]
    inputs = prepare(processor, frames, question)
    with compressing(model, strategy) as compression:
        ids = model.generate(**inputs, **GREEDY)
    assert torch.equal(ids[:, : inputs.input_ids.shape[1]], inputs.input_ids)
    expected = video_qa(model, strategy).ask(frames, question, max_new_tokens=12)
    assert new_text(processor, inputs, ids) == expected.text
    assert len(compression.tokens[0]) == expected.num_visual_tokens
    assert compression.tokens[0].keyframes.positions.tolist() == expected.keyframes.positions.tolist()


def test_uncompressed_logits_are_those_of_the_stock_model_fed_the_same_tiles(model, processor):
    frames = pictures(5)
    inputs = prepare(processor, frames)
    with compressing(model, "concat"):
        logits = model(**inputs).logits
    ids = prepare(processor, frames).input_ids[0]
    first = int((ids == 4).nonzero()[0])
    tail = ids[int((ids == 4).nonzero()[-1]) + 1 :]
    short = torch.cat([ids[:first], torch.full((5 * 36,), 4), tail])
    with torch.no_grad():
        states = model.model.vision_tower(inputs.pixel_values[:, 0], output_hidden_states=True).hidden_states[-2]
        embeds = model.get_input_embeddings()(short)
        embeds[short == 4] = model.model.multi_modal_projector(states[:, 1:]).flatten(0, 1)
        expected = model(inputs_embeds=embeds[None]).logits
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-3)


def everything_about(model):
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    attributes = [(id(part), list(part.__dict__.items())) for part in model.modules()]
    hooks = [[list(kept) for name, kept in vars(part).items() if name.endswith("_hooks")] for part in model.modules()]
    return state, copy.copy(attributes), hooks, type(model).__dict__.copy()


def assert_unchanged(model, before):
    state, attributes, hooks, methods = everything_about(model)
    assert state.keys() == before[0].keys()
    assert all(torch.equal(state[name], before[0][name]) for name in state)
    assert [(i, [(k, id(v)) for k, v in a]) for i, a in attributes] == [
        (i, [(k, id(v)) for k, v in a]) for i, a in before[1]
    ]
    assert hooks == before[2]
    assert methods == before[3]


@pytest.mark.parametrize("how", ["plainly", "by an error", "by an error of its own"])
def test_the_model_is_the_same_afterwards(model, processor, how):
    inputs = prepare(processor, pictures())
    with torch.no_grad():
        logits = model(**inputs).logits
    before = everything_about(model)
    if how == "plainly":
        with compressing(model):
            model.generate(**inputs, **GREEDY)
    elif how == "by an error":
        with pytest.raises(ZeroDivisionError), compressing(model):
            model.generate(**inputs, **GREEDY)
            raise ZeroDivisionError
    else:
        with pytest.raises(dyto.ConfigError, match="labels"), compressing(model):
            model(**inputs, labels=inputs.input_ids)
    assert_unchanged(model, before)
    with torch.no_grad():
        assert torch.equal(model(**inputs).logits, logits)


def test_attributes_that_the_instance_had_of_its_own_come_back(model, processor):
    own = model.forward = lambda *args, **kwargs: type(model).forward(model, *args, **kwargs)  # as accelerate does
    inputs = prepare(processor, pictures())
    with compressing(model):
        assert model.forward is not own
        model.generate(**inputs, **GREEDY)
    assert model.__dict__["forward"] is own
    assert "generate" not in model.__dict__


def test_what_others_put_in_its_place_inside_the_block_stays(model, processor, caplog):
    inputs = prepare(processor, pictures())
    expected = model.generate(**inputs, **GREEDY)
    with compressing(model):
        model.generate(**inputs, **GREEDY)
        inside = model.generate
        model.generate = own = lambda *args, **kwargs: inside(*args, **kwargs)
    assert model.generate is own
    assert "generate of the model was replaced" in caplog.text
    assert torch.equal(model.generate(**inputs, **GREEDY), expected)  # what it kept hold of compresses no more


def test_it_works_in_inference_mode_and_with_gradients(model, processor):
    inputs = prepare(processor, pictures())
    with compressing(model, token_budget=60):
        with torch.inference_mode():
            inferred = model(**inputs).logits
        logits = model(**inputs).logits
        logits.sum().backward()
    assert model.lm_head.weight.grad is not None
    torch.testing.assert_close(logits.detach(), inferred.clone(), rtol=1e-4, atol=1e-4)


def test_other_instances_and_the_class_are_not_touched(model, processor):
    other = forge_model(seed=4, context=8192)
    inputs = prepare(processor, pictures())
    expected = other.generate(**inputs, **GREEDY)
    stock = type(model).generate, type(model).forward
    with compressing(model):
        assert (type(model).generate, type(model).forward) == stock
        assert torch.equal(other.generate(**inputs, **GREEDY), expected)
        model.generate(**inputs, **GREEDY)


def test_a_block_that_compressed_nothing_says_so(model, processor):
    text = processor.tokenizer("USER: why ASSISTANT:", return_tensors="pt")
    expected = model.generate(**text, **GREEDY)
    with pytest.raises(dyto.ConfigError, match="nothing was compressed"), compressing(model):
        pass
    with pytest.raises(dyto.ConfigError, match="nothing was compressed"), compressing(model):
        assert torch.equal(model.generate(**text, **GREEDY), expected)
    with pytest.raises(KeyError), compressing(model):
        raise KeyError  # what went wrong is not hidden behind it


def test_models_that_would_not_be_affected_are_refused(tiny, model):
    for other in (torch.nn.Linear(2, 2), model.model, model.model.language_model, object(), None):
        with pytest.raises(dyto.ConfigError, match="would not be affected"), compressing(other):
            pass
    with pytest.raises(dyto.ConfigError, match=r"pass its \.model"), compressing(tiny):
        pass
    with pytest.raises(dyto.ConfigError, match="did you mean 'dyto'"), compressing(model, "dito"):
        pass
    with (
        pytest.raises(dyto.ConfigError, match="with a strategy object"),
        compressing(model, dyto.Concat(), token_budget=3),
    ):
        pass


def test_a_batch_of_unequal_videos_gives_the_answers_of_one_by_one(model, processor):
    videos, questions = [pictures(4, seed=1), pictures(12, seed=2)], QUESTIONS
    texts = [f"USER: {'<image>' * len(v)}\n{q} ASSISTANT:" for v, q in zip(videos, questions, strict=True)]
    images = [[Image.fromarray(f) for f in v] for v in videos]
    batch = processor(images=images, text=texts, padding=True, return_tensors="pt")
    alone = [processor(images=i, text=t, return_tensors="pt") for i, t in zip(images, texts, strict=True)]
    with compressing(model, token_budget=150) as compression, torch.no_grad():
        together = model.generate(**batch, **GREEDY)[:, batch.input_ids.shape[1] :]
        last = model(**batch).logits[:, -1]
        assert len({len(tokens) for tokens in compression.tokens}) == 2
        for row, inputs in enumerate(alone):
            new = model.generate(**inputs, **GREEDY)[0, inputs.input_ids.shape[1] :]
            assert together[row, : len(new)].tolist() == new.tolist()
            torch.testing.assert_close(last[row], model(**inputs).logits[0, -1], rtol=1e-3, atol=1e-3)


def test_padding_stays_on_the_side_where_it_was(model, processor):
    videos = [pictures(3, seed=1), pictures(8, seed=2)]
    texts = [f"USER: {'<image>' * len(v)}\n{QUESTIONS[0]} ASSISTANT:" for v in videos]
    images = [[Image.fromarray(f) for f in v] for v in videos]
    right = processor(images=images, text=texts, padding=True, padding_side="right", return_tensors="pt")
    with compressing(model, "concat"), torch.no_grad():
        logits = model(**right).logits
        alone = model(**processor(images=images[0], text=texts[0], return_tensors="pt")).logits
    assert logits.shape[1] > alone.shape[1]
    torch.testing.assert_close(logits[0, : alone.shape[1]], alone[0], rtol=1e-3, atol=1e-3)


def test_a_row_of_text_alone_may_stand_in_the_batch(model, processor):
    images = [Image.fromarray(f) for f in pictures()]
    texts = [f"USER: {'<image>' * 12}\nwhy ASSISTANT:", "USER: how many ? ASSISTANT:"]
    batch = processor(images=[images, []], text=texts, padding=True, return_tensors="pt")
    text = processor.tokenizer(texts[1], return_tensors="pt")
    expected = model.generate(**text, **GREEDY)[0, text.input_ids.shape[1] :]
    with compressing(model, token_budget=60) as compression:
        ids = model.generate(**batch, **GREEDY)
    assert ids[1, batch.input_ids.shape[1] :][: len(expected)].tolist() == expected.tolist()
    assert compression.tokens[1] is None


def test_blocks_can_be_nested_and_used_again(model, processor):
    inputs = prepare(processor, pictures())
    model.generate(**inputs, **GREEDY)  # transformers sets up some of its hooks when it first runs
    before = everything_about(model)
    with compressing(model, token_budget=200) as outer:
        first = model.generate(**inputs, **GREEDY)
        with compressing(model, token_budget=50) as inner:
            model.generate(**inputs, **GREEDY)
        assert torch.equal(model.generate(**inputs, **GREEDY), first)
    assert (outer.calls, inner.calls) == (2, 1)
    assert len(inner.tokens[0]) <= 50 < len(outer.tokens[0])
    with compressing(model, token_budget=200):
        assert torch.equal(model.generate(**inputs, **GREEDY), first)
    assert_unchanged(model, before)


def test_blocks_may_end_in_any_order(model, processor):
    inputs = prepare(processor, pictures())
    model.generate(**inputs, **GREEDY)  # transformers sets up some of its hooks when it first runs
    before = everything_about(model)
    first, second = ExitStack(), ExitStack()
    one = first.enter_context(compressing(model, token_budget=200))
    model.generate(**inputs, **GREEDY)
    two = second.enter_context(compressing(model, token_budget=50))
    model.generate(**inputs, **GREEDY)
    first.close()
    model.generate(**inputs, **GREEDY)
    assert (one.calls, two.calls) == (1, 2)
    second.close()
    assert_unchanged(model, before)


def test_threads_have_blocks_of_their_own(processor):
    models = [forge_model(seed=seed, context=8192) for seed in (3, 4)]
    inputs = prepare(processor, pictures())
    plain = []
    for stock, budget in zip(models, (40, 150), strict=True):
        with compressing(stock, token_budget=budget):
            plain.append(stock.generate(**inputs, **GREEDY))
    shared = models[0]
    found, meet = {}, threading.Barrier(3, timeout=60)

    def work(name, stock, budget):
        with compressing(stock, token_budget=budget) as compression:
            meet.wait()  # all blocks are open at once
            found[name] = stock.generate(**inputs, **GREEDY)
            found[name, "tokens"] = len(compression.tokens[0])
            meet.wait()

    jobs = [("a", shared, 40), ("b", models[1], 150), ("c", shared, 100)]
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(found["a"], plain[0])
    assert torch.equal(found["b"], plain[1])
    assert found["a", "tokens"] <= 40 < found["c", "tokens"] <= 100
    assert not {"generate", "forward"} & vars(shared).keys()


def test_a_thread_started_in_the_block_is_compressed_too(model, processor):
    inputs = prepare(processor, pictures())
    with compressing(model, token_budget=60) as compression:
        thread = threading.Thread(target=model.generate, kwargs={**inputs, **GREEDY})
        thread.start()
        thread.join()
    assert compression.calls == 1


def test_what_generate_can_return_and_take_stays_as_it_is(model, processor, capsys):
    inputs = prepare(processor, pictures())
    length = inputs.input_ids.shape[1]
    with compressing(model, token_budget=60):
        plain = model.generate(**inputs, **GREEDY)
        by_name = model.generate(
            inputs=inputs.input_ids, **{k: v for k, v in inputs.items() if k != "input_ids"}, **GREEDY
        )
        told = model.generate(**inputs, **GREEDY, return_dict_in_generate=True, output_scores=True)
        options = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None}
        capped = model.generate(**inputs, **options, max_length=length + 5)
        config = GenerationConfig(**options, max_length=length + 5, min_length=length + 2)
        configured = model.generate(**inputs, generation_config=config)
        beams = model.generate(**inputs, **GREEDY, num_beams=3, num_return_sequences=2)
        streamer = TextStreamer(processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
        model.generate(**inputs, **GREEDY, streamer=streamer)
    assert torch.equal(by_name, plain)
    assert torch.equal(told.sequences, plain)
    assert len(told.scores) == plain.shape[1] - length
    assert capped.shape[1] == length + 5
    assert torch.equal(configured, capped)
    assert (config.max_length, config.min_length) == (length + 5, length + 2)
    assert len(beams) == 2
    assert all(torch.equal(row[:length], inputs.input_ids[0]) for row in beams)
    text = new_text(processor, inputs, plain)
    assert capsys.readouterr().out.strip() == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position_ids": torch.zeros(1, 3)}, "position_ids was given.*leave them to the model"),
        ({"inputs_embeds": torch.zeros(1, 3, 64)}, "inputs_embeds was given.*pass input_ids instead"),
        ({"vision_feature_layer": -1}, "vision_feature_layer"),
        ({"input_ids": None}, r"expected input_ids of shape \(B, L\)"),
        ({"attention_mask": torch.ones(1, 3)}, "attention_mask has shape .1, 3."),
        ({"use_cache": False}, "use_cache is False"),
        ({"image_sizes": None}, "without image_sizes"),
        ({"pixel_values": torch.full((12, 2, 3, 84, 84), 9.0)}, "pass the processor that made them"),
        ({"pixel_values": torch.full((12, 2, 3, 84, 84), float("nan"))}, "expected 0 to 255"),
    ],
)  # fmt: skip
def test_calls_that_cannot_be_compressed_are_refused(model, processor, changes, message):
    inputs = {**prepare(processor, pictures()), **changes}
    with pytest.raises(dyto.ConfigError, match=message), compressing(model):
        model.generate(**inputs, **GREEDY)


def test_pictures_and_placeholders_must_match(model, processor):
    inputs = prepare(processor, pictures())
    short = {**inputs, "pixel_values": inputs["pixel_values"][:7], "image_sizes": inputs["image_sizes"][:7]}
    with (
        pytest.raises(dyto.ConfigError, match="sample 0 has .* placeholders, but its images stand for"),
        compressing(model),
    ):
        model.generate(**short, **GREEDY)
    cut = {**inputs, "input_ids": inputs.input_ids[:, :500], "attention_mask": inputs.attention_mask[:, :500]}
    with pytest.raises(dyto.ConfigError, match="placeholders"), compressing(model):
        model.generate(**cut, **GREEDY)
    with pytest.raises(dyto.ConfigError, match="single image in tiles"), compressing(model):
        model.generate(**prepare(processor, pictures(1)), **GREEDY)


def test_a_strategy_that_looks_at_the_question_is_given_it(model, processor):
    asked = []

    class Looks(dyto.DyTo):
        uses_question = True

        def __call__(self, frames, encode, question=None):
            asked.append(question)
            return super().__call__(frames, encode, question)

    inputs = prepare(processor, pictures())
    with pytest.raises(dyto.ConfigError, match="pass processor="), compressing(model, Looks()):
        model.generate(**inputs, **GREEDY)
    with compressing(model, Looks(), processor=processor):
        model.generate(**inputs, **GREEDY)
    assert asked == ["user : what color is the star ? assistant :"]
    with pytest.raises(dyto.ConfigError, match="expected one with image_mean"), compressing(model, processor=object()):
        pass


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pixels_of_half_precision_give_the_same_pictures(model, processor, dtype):
    from dyto.dropin.inputs import pictures_of

    frames = pictures(3)
    pixels = prepare(processor, frames)["pixel_values"][:, 0].to(dtype)
    found = pictures_of(pixels, Normalization())
    off = np.abs(found.astype(int) - frames).max()
    assert off == 0 if dtype is torch.float16 else off <= 1
