"""InternVL: numbered frames, and a CLS that takes the places of the patches of a token."""

import numpy as np
import pytest
import torch
from transformers import InternVLConfig, InternVLVisionConfig, Qwen2Config, Qwen3Config, Qwen3MoeConfig

import dyto

from forge_families import FAMILIES, _text, _vision

BASE = FAMILIES["internvl"]


def frames(count=3):
    return list(np.random.default_rng(0).integers(0, 255, (count, 70, 96, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return dyto.load_model(BASE.forge(tmp_path_factory.mktemp("internvl")), device="cpu")


def test_frames_are_numbered_and_enclosed(model):
    tokens = dyto.VideoQA(model, "uniform").encode(np.stack(frames(12)))
    count = len(tokens.keyframes)
    assert count > 2
    texts = [model.tokenizer.decode(run.text) for run in model._runs(tokens)]
    middle = [f"</img>\nFrame{number}: <img>" for number in range(2, count + 1)]
    assert texts == ["Frame1: <img>", *middle, "</img>"]
    assert model.count_text(tokens) == sum(len(run.text) for run in model._runs(tokens))


def test_the_summary_is_cls_in_the_places_of_four_patches(model):
    pictures = frames()
    pixels = BASE.images()(pictures, return_tensors="pt").pixel_values
    stock = model.model.model
    with torch.no_grad():
        cls = stock.vision_tower(pixels).last_hidden_state[:, 0]
        expected = stock.multi_modal_projector(torch.cat([cls] * 4, -1))
    torch.testing.assert_close(model.encode(pictures).summary, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [-1, -2, 1])
def test_other_towers_and_layers_are_those_of_stock_transformers(tmp_path, layer):
    def config(tokenizer):
        return InternVLConfig(
            vision_config=_vision(
                InternVLVisionConfig,
                norm_type="rms_norm",
                use_qk_norm=True,
                use_mean_pooling=False,
                attention_bias=True,
            ),
            text_config=_text(Qwen2Config, tokenizer),
            image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
            vision_feature_layer=layer,
            downsample_ratio=0.25,
        )

    model = dyto.load_model(type(BASE)(**{**BASE.__dict__, "config": config}).forge(tmp_path), device="cpu")
    pictures = frames()
    pixels = BASE.images()(pictures, return_tensors="pt").pixel_values
    with torch.no_grad():
        stock = model.model.model.get_image_features(pixels, return_dict=True).pooler_output
    features = model.encode(pictures, attention_layer=1)
    assert features.grid == (2, 2)
    torch.testing.assert_close(features.patches(), torch.as_tensor(stock), rtol=1e-4, atol=1e-4)
    tower = model.model.model.vision_tower
    tower.set_attn_implementation("eager")
    with torch.no_grad():
        paid = tower(pixels, output_attentions=True).attentions[1].mean(1)[:, 0, 1:]  # (B, P)
    pooled = torch.nn.functional.avg_pool2d(paid.view(3, 1, 8, 8), 4).flatten(1)
    torch.testing.assert_close(features.attention, pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", [Qwen3Config, Qwen3MoeConfig])
def test_internvl_3_5_is_the_same_with_a_qwen_3(tmp_path, text):
    """Also with experts, as its model of 30B-A3B: logits and answers are those of stock transformers."""

    def config(tokenizer):
        experts = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
        more = experts if text is Qwen3MoeConfig else {}
        base = BASE.config(tokenizer).to_dict()
        return InternVLConfig(**{**base, "text_config": _text(text, tokenizer, head_dim=16, **more)})

    kind = type(BASE)(**{**BASE.__dict__, "config": config})
    model, film = dyto.load_model(kind.forge(tmp_path), device="cpu"), np.stack(frames(5))
    tokens, question = dyto.VideoQA(model, "concat").encode(film), "what color is the star"
    before, after = dyto.prompts.prompt_for(model.chat, False).fill(question)
    inputs = kind.inputs(model.tokenizer, kind.images(), film, np.arange(5.0), before, after)
    with torch.no_grad():
        stock = model.model(**inputs).logits[0]
        ids = model.model.generate(**inputs, max_new_tokens=8, do_sample=False)[0, len(stock) :]
    prompt = model.tokenize(before, after)
    prefix = model.prefill(prompt.before, tokens)
    torch.testing.assert_close(model.logits(prefix, prompt.after), stock[len(prefix) :], rtol=1e-4, atol=1e-4)
    answer = dyto.VideoQA(model).ask(tokens, question, max_new_tokens=8)
    assert answer.text == model.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert model.chat == "internvl"


def test_a_layer_that_the_tower_does_not_have_is_refused(model):
    model.model.config.vision_feature_layer = 9
    try:
        with pytest.raises(dyto.ModelError, match="from layer 9, but its tower has 3"):
            type(model)("m", model.model, model.tokenizer, normalization=model.normalization, chat="internvl")
    finally:
        model.model.config.vision_feature_layer = -1
