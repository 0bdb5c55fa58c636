"""The adapter against stock transformers: features, logits, prefix reuse, batches, long contexts."""

import copy
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import DynamicCache, SiglipVisionConfig

import dyto
from dyto.models import towers
from dyto.models.adapters.llava_next import LlavaNext
from dyto.models.adapters.tiny import build_processor, build_tokenizer
from dyto.models.loading.versions import cache_argument
from dyto.models.pixels import Normalization, resize_pictures
from dyto.models.rope import ntk_inv_freq

from forge import forge_model

QUESTIONS = [
    "what color is the star ?",
    "is there a red circle at the end of the video ?",
    "how many ?",
    "why",
]


def adapter(context=2048, factor=1.0, seed=3):
    return LlavaNext(
        "forged",
        forge_model(seed=seed, context=context),
        build_tokenizer(),
        normalization=Normalization(),
        chat="tiny",
        rope_factor=factor,
    )


@pytest.fixture(scope="module")
def model():
    return adapter()


def video(frames=12, seed=0, size=(40, 52)):
    return np.random.default_rng(seed).integers(0, 255, (frames, *size, 3), dtype=np.uint8)


def test_features_are_those_of_the_stock_tower_and_projector(model):
    pictures = video(20)  # more than one chunk of CHUNK_FRAMES
    stock = model.model.model
    squares = [Image.fromarray(p).resize((84, 84), Image.Resampling.BICUBIC) for p in pictures]
    pixels = build_processor().image_processor(squares, return_tensors="pt").pixel_values[:, 0]  # the base tile
    with torch.no_grad():
        expected = stock.multi_modal_projector(stock.vision_tower(pixels, output_hidden_states=True).hidden_states[-2])
    features = model.encode(list(pictures))
    torch.testing.assert_close(features.summary, expected[:, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.patches([2, 19]), expected[[2, 19], 1:], rtol=1e-4, atol=1e-4)


def test_tower_output_that_is_too_large_to_keep_is_computed_again(model, monkeypatch):
    pictures = list(video(9))
    expected = model.encode(pictures)
    monkeypatch.setattr(towers, "KEEP_BYTES", 1)
    monkeypatch.setattr(towers, "CHUNK_FRAMES", 4)
    features = model.encode(pictures)
    torch.testing.assert_close(features.summary, expected.summary, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.patches([1, 8]), expected.patches([1, 8]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 2, -1])
def test_attention_is_what_the_eager_tower_computes(model, layer):
    pictures = list(video(3))
    tower = copy.deepcopy(model.model.model.vision_tower)
    tower.set_attn_implementation("eager")
    pixels = model.normalization.apply(resize_pictures(pictures, (84, 84)), torch.device("cpu"), torch.float32)
    with torch.no_grad():
        weights = tower(pixels, output_attentions=True).attentions[layer]  # (B, h, 1 + N, 1 + N)
    features = model.encode(pictures, attention_layer=layer)
    torch.testing.assert_close(features.attention, weights.mean(1)[:, 0, 1:], rtol=1e-4, atol=1e-5)
    with pytest.raises(dyto.ConfigError, match="attention layer 9"):
        model.encode(pictures, attention_layer=9)


def stock_logits(model, prefix, after):
    """Last logits of one plain forward pass over the same embeddings."""
    embeds = torch.cat([prefix.embeds, model.model.get_input_embeddings()(after)[None]], 1)
    with torch.no_grad():
        return model.model(inputs_embeds=embeds).logits[0, -1]


def test_uncompressed_logits_equal_stock_transformers(model):
    tokens = dyto.VideoQA(model, dyto.Uniform(token_budget=36 * 12)).encode(video())
    assert len(tokens) == tokens.uncompressed == 36 * 12
    prompt = model.tokenize(*dyto.prompts.PROMPTS["tiny"].fill(QUESTIONS[0]))
    prefix = model.prefill(prompt.before, tokens)

    # the stock model, fed the same frames through its own embedding and masking of <image> places
    ids = torch.cat([prompt.before, torch.full((len(tokens),), 4), prompt.after])[None]
    embeds = model.model.get_input_embeddings()(ids)
    embeds[0, ids[0] == 4] = tokens.data
    with torch.no_grad():
        stock = model.model(inputs_embeds=embeds).logits[0, -1]
        ours = model.model(
            inputs_embeds=model.model.get_input_embeddings()(prompt.after)[None],
            **cache_argument(model.model, copy.deepcopy(prefix.cache)),
            attention_mask=torch.ones(1, ids.shape[1], dtype=torch.int64),
        ).logits[0, -1]
    torch.testing.assert_close(ours, stock, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(stock_logits(model, prefix, prompt.after), stock, rtol=0, atol=0)


def plain_answer(model, tokens, question, scaled=False):
    """One question by the stock `generate`, without any kept prefix."""
    prompt = model.tokenize(*dyto.prompts.PROMPTS["tiny"].fill(question))
    embed = model.model.get_input_embeddings()
    embeds = torch.cat([embed(prompt.before), tokens.data, embed(prompt.after)])[None]
    with model._rope.active(scaled), torch.no_grad():
        ids = model.model.generate(
            inputs_embeds=embeds,
            attention_mask=torch.ones(embeds.shape[:2], dtype=torch.int64),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
        )
    return model.tokenizer.decode(ids[0], skip_special_tokens=True).strip()


def streamed(qa, video, question):
    pieces, stream = [], qa.stream(video, question, max_new_tokens=20)
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as done:
            assert "".join(pieces).strip() == done.value.text
            return done.value.text


@pytest.mark.parametrize("context", [2048, 150])
def test_kept_batched_and_streamed_answers_equal_plain_ones(context):
    model = adapter(context=context, factor=2.0)
    qa = dyto.VideoQA(model)
    tokens = qa.encode(video(30))
    scaled = context == 150  # 228 visual tokens exceed it: positions are scaled
    assert len(tokens) > 150
    plain = [plain_answer(model, tokens, question, scaled) for question in QUESTIONS]
    assert len(set(plain)) == len(QUESTIONS)  # they do depend on the question
    assert [qa.ask(tokens, q, max_new_tokens=20).text for q in QUESTIONS] == plain
    assert [a.text for a in qa.ask_many(tokens, QUESTIONS, max_new_tokens=20)] == plain
    for size in (1, 3):
        assert [a.text for a in qa.ask_many(tokens, QUESTIONS, max_new_tokens=20, batch_size=size)] == plain
    assert [streamed(qa, tokens, q) for q in QUESTIONS] == plain
    assert [qa.ask(tokens, q, max_new_tokens=20).text for q in reversed(QUESTIONS)] == plain[::-1]


def test_answers_do_not_depend_on_what_was_asked_before():
    model = adapter(context=150, factor=2.0)
    qa = dyto.VideoQA(model)
    long, short = qa.encode(video(30)), dyto.VideoQA(model, dyto.DyTo(token_budget=60)).encode(video(30))
    fresh = qa.ask(short, QUESTIONS[0], max_new_tokens=20).text
    qa.ask(long, QUESTIONS[0], max_new_tokens=20)
    assert qa.ask(short, QUESTIONS[0], max_new_tokens=20).text == fresh
    assert fresh == plain_answer(adapter(context=150), short, QUESTIONS[0])  # nothing scaled where it fits


def test_scaling_is_the_stock_ntk_base_of_the_whole_longer_context():
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = LlamaConfig(
        hidden_size=64, num_attention_heads=2, max_position_embeddings=100,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
    )  # fmt: skip
    stock = LlamaRotaryEmbedding(config)
    stock(torch.zeros(1, 200, 64), torch.arange(200)[None])  # has now seen twice the original context
    plain = 10000.0 ** (-torch.arange(0, 32, 2) / 32)
    torch.testing.assert_close(ntk_inv_freq(plain, 10000.0, 2.0), stock.inv_freq)


def test_scaling_is_undone_after_an_error():
    model = adapter(context=150, factor=2.0)
    before = model.model.model.language_model.rotary_emb.inv_freq.clone()
    with pytest.raises(RuntimeError, match="stop"), model._rope.active(True):
        assert not torch.equal(model.model.model.language_model.rotary_emb.inv_freq, before)
        raise RuntimeError("stop")
    assert torch.equal(model.model.model.language_model.rotary_emb.inv_freq, before)


def test_threads_that_share_a_model_do_not_see_the_scaling_of_another():
    model = adapter(context=150, factor=2.0)
    rotary = model.model.model.language_model.rotary_emb
    before, scaling = rotary.inv_freq.clone(), threading.Event()

    def scaled():
        with model._rope.active(True):
            scaling.set()
            time.sleep(0.1)

    thread = threading.Thread(target=scaled)
    thread.start()
    scaling.wait(10)
    with model._rope.active(False):
        seen = rotary.inv_freq.clone()
    thread.join()
    assert torch.equal(seen, before)


def test_a_tower_without_cls_is_refused():
    stock = forge_model(seed=3, context=150)
    stock.config.vision_config = SiglipVisionConfig(image_size=84, patch_size=14)
    with pytest.raises(dyto.ModelError, match=r"'siglip_vision_model', expected 'clip_vision_model'"):
        LlavaNext("forged", stock, build_tokenizer(), normalization=Normalization(), chat="tiny")


def test_a_layer_that_the_tower_does_not_have_is_refused():
    stock = forge_model(seed=3, context=150)
    stock.config.vision_feature_layer = [-2, 9]
    with pytest.raises(dyto.ModelError, match="layer .*9.*its tower has 5"):
        LlavaNext("forged", stock, build_tokenizer(), normalization=Normalization(), chat="tiny")


def test_what_does_not_fit_is_said_before_anything_runs():
    qa = dyto.VideoQA(adapter(context=200))
    with pytest.raises(
        dyto.ModelError,
        match=r"prompt 11 \+ video 230 \+ new 20 = 261 tokens, but the context is 200: .*rope_scaling_factor 2",
    ):
        qa.ask(video(30), QUESTIONS[0], max_new_tokens=20)
    with pytest.raises(dyto.ModelError, match=r"prompt 11 \+ video at least 1 \+ new 200 = 212 .*context is 200"):
        qa.ask("never opened.mp4", QUESTIONS[0], max_new_tokens=200)  # said before the video is read
    with pytest.raises(dyto.ModelError, match=r"the context is 400: lower token_budget or max_new_tokens$"):
        dyto.VideoQA(adapter(context=200, factor=2.0)).ask(video(30), QUESTIONS[0], max_new_tokens=300)


@pytest.mark.parametrize(
    ("words", "new", "advice"),
    [
        (1, 200, "ask a shorter question or lower max_new_tokens, or set rope_scaling_factor 2"),
        (180, 20, "ask a shorter question or lower max_new_tokens, or set rope_scaling_factor 2"),
        (500, 20, "ask a shorter question"),
    ],
)
def test_a_question_that_leaves_no_room_for_a_video_is_asked_to_be_shorter(words, new, advice):
    with pytest.raises(dyto.ModelError, match=rf"the context is 200: {advice}$"):
        dyto.VideoQA(adapter(context=200)).ask("never opened.mp4", "what " * words, max_new_tokens=new)


def test_a_kept_prefix_is_left_as_it_was(model):
    tokens = dyto.VideoQA(model).encode(video())
    prompt = model.tokenize(*dyto.prompts.PROMPTS["tiny"].fill(QUESTIONS[0]))
    prefix = model.prefill(prompt.before, tokens)
    assert isinstance(prefix.cache, DynamicCache)
    keys = [layer.keys.clone() for layer in prefix.cache.layers]
    model.generate(prefix, [prompt.after], max_new_tokens=5)
    assert all(torch.equal(layer.keys, key) for layer, key in zip(prefix.cache.layers, keys, strict=True))


def test_sampling_options_of_transformers_are_passed_on(model):
    qa = dyto.VideoQA(model)
    tokens = qa.encode(video())
    torch.manual_seed(0)
    drawn = {
        qa.ask(tokens, QUESTIONS[0], max_new_tokens=8, generation={"do_sample": True, "temperature": 3.0}).text
        for _ in range(4)
    }
    assert len(drawn) > 1


def test_logits_behind_a_kept_prefix_equal_one_plain_pass(model):
    tokens = dyto.VideoQA(model).encode(video())
    prompt = model.tokenize(*dyto.prompts.PROMPTS["tiny"].fill(QUESTIONS[1]))
    prefix = model.prefill(prompt.before, tokens)
    logits = model.logits(prefix, prompt.after)
    assert logits.shape == (len(prompt.after), model.model.config.text_config.vocab_size)
    torch.testing.assert_close(logits[-1], stock_logits(model, prefix, prompt.after), rtol=1e-5, atol=1e-5)
