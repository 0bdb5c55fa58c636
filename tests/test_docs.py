"""The code of the documentation runs."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    Cohere2Config,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)

import dyto
from dyto.models import Normalization

from forge_qwen import loud, qwen_tokenizer

PAGE = Path(__file__).resolve().parents[1] / "docs" / "families.md"
MARKS = ["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<image>"]


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """What the page's class and prompt are, once run; the class has at most 40 lines."""
    (block,) = [text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "class " in text]
    assert len(block.splitlines()) <= 40
    script = tmp_path_factory.mktemp("docs") / "aya.py"
    script.write_text(block)
    return runpy.run_path(str(script))


def forge_aya(tokenizer):
    text = Cohere2Config(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=64, num_hidden_layers=4, num_attention_heads=3,
        num_key_value_heads=3, head_dim=16, max_position_embeddings=2048, sliding_window=30, logit_scale=1.0,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    vision = SiglipVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2, image_size=48, patch_size=6,
        vision_use_head=False,
    )  # fmt: skip
    config = AyaVisionConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    return loud(AyaVisionForConditionalGeneration, config)


@pytest.fixture(scope="module")
def aya(code):
    tokenizer: PreTrainedTokenizerFast = qwen_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    half = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return code["AyaVision"]("aya", forge_aya(tokenizer), tokenizer, normalization=half, chat="chatml")


def film(frames=4, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 48, 48, 3), dtype=np.uint8)


def test_a_family_of_ones_own_equals_the_stock_model(code, aya):
    qa = dyto.VideoQA(aya, dyto.Concat(), prompt=code["PROMPT"])
    before, after = code["PROMPT"].fill("what is it ?")
    pixels = torch.from_numpy(film()).permute(0, 3, 1, 2) / 127.5 - 1
    ids = aya.tokenizer(before + "<image>" * 4 * 16 + after, return_tensors="pt").input_ids
    with torch.no_grad():
        stock = aya.model.generate(input_ids=ids, pixel_values=pixels, max_new_tokens=8, do_sample=False)
    answer = qa.ask(film(), "what is it ?", max_new_tokens=8)
    assert answer.num_visual_tokens == 4 * 16
    assert answer.text == aya.tokenizer.decode(stock[0, ids.shape[1] :], skip_special_tokens=True).strip()


def test_a_family_of_ones_own_compresses_and_batches(code, aya):
    qa = dyto.VideoQA(aya, dyto.DyTo(token_budget=40), prompt=code["PROMPT"])
    pairs = [(film(12, seed), question) for seed, question in enumerate(["what is it ?", "why", "who is it ?"])]
    together = qa.ask_batch(pairs, max_new_tokens=8)
    assert [answer.text for answer in together] == [qa.ask(*pair, max_new_tokens=8).text for pair in pairs]
    assert all(answer.num_visual_tokens <= 40 for answer in together)
    assert len({answer.text for answer in together}) == 3
