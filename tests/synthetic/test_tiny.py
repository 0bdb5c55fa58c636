"""The tiny model by stock transformers alone: loads, survives any text, describes an image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dyto.models.adapters.tiny import build_config, build_tokenizer, vocabulary
from dyto_tiny.model import build_model, save_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    save_tiny(build_model(2), path)
    return path


def test_same_seed_same_weights():
    first, second, other = build_model(1).state_dict(), build_model(1).state_dict(), build_model(2).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.soak
def test_it_loads_in_stock_transformers_without_this_package(folder: Path):
    program = f"""
import sys
sys.modules["dyto"] = None  # importing it fails
from PIL import Image
from transformers import AutoProcessor, LlavaNextForConditionalGeneration
processor = AutoProcessor.from_pretrained({str(folder)!r})
model = LlavaNextForConditionalGeneration.from_pretrained({str(folder)!r})
chat = [{{"role": "user", "content": [{{"type": "image"}}, {{"type": "text", "text": "Describe the scene."}}]}}]
text = processor.apply_chat_template(chat)
assert text == "USER: <image>\\nDescribe the scene. ASSISTANT:", text
inputs = processor(images=Image.new("RGB", (84, 84)), text=text, return_tensors="pt")
ids = model.generate(**inputs, max_new_tokens=4)
assert 1 <= ids.shape[1] - inputs["input_ids"].shape[1] <= 4
assert model.config.dyto_prompt == "tiny"
print(processor.image_processor.size, model.dtype)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "bfloat16" in done.stdout


def test_saving_keeps_every_weight_and_changes_nothing(folder: Path):
    from transformers import LlavaNextForConditionalGeneration

    model = build_model(2)
    saved = LlavaNextForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16).state_dict()
    assert model.dtype == torch.float32
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.to(torch.bfloat16), saved[name]), name


def test_it_is_small_and_the_context_is_long_enough(folder: Path):
    assert (folder / "model.safetensors").stat().st_size <= 16e6
    assert build_config().text_config.max_position_embeddings >= 1024


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\n", "zebra xylophone", "Was ist ROT?", "12345 1.5e-7", "红色的戒指", "🙂" * 50, "\x00\x01\x7f",
     "<s> </s> <pad> <unk>", "(a) (Z) (A)(B)", "a" * 20000, "red " * 5000, "\u202eright to left", "'\"\\`"],
)  # fmt: skip
def test_any_text_survives_the_tokenizer(text):
    tokenizer = build_tokenizer()
    ids = tokenizer(text).input_ids
    assert ids[0] == tokenizer.bos_token_id
    assert all(0 <= i < len(vocabulary()) for i in ids)
    assert isinstance(tokenizer.decode(ids), str)


def test_an_option_letter_is_not_the_article():
    tokenizer = build_tokenizer()
    words = tokenizer.convert_ids_to_tokens(tokenizer("Is (A) a RED ring?", add_special_tokens=False).input_ids)
    assert words == ["is", "(A)", "a", "red", "ring", "?"]
    assert tokenizer.decode(tokenizer("(B)", add_special_tokens=False).input_ids, skip_special_tokens=True) == "(B)"


def test_the_unused_tower_layer_is_the_identity():
    model = build_model(0)
    with torch.no_grad():
        states = model.model.vision_tower(torch.randn(1, 3, 84, 84), output_hidden_states=True).hidden_states
    assert torch.equal(states[-1], states[-2])
