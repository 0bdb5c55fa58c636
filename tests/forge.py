"""Small LLaVA-NeXT checkpoints with weights that make a difference, in both layouts."""

from __future__ import annotations

import json
import re

import torch
from safetensors.torch import save_file
from transformers import LlavaNextForConditionalGeneration, MistralConfig

from dyto.models.adapters.tiny import build_config, build_processor, build_tokenizer

TO_ORIGINAL = [
    (r"^model\.vision_tower\.(?:vision_model\.)?", "model.vision_tower.vision_tower.vision_model."),
    (r"^model\.multi_modal_projector\.linear_1\.", "model.mm_projector.0."),
    (r"^model\.multi_modal_projector\.linear_2\.", "model.mm_projector.2."),
    (r"^model\.language_model\.", "model."),
    (r"^model\.image_newline$", "model.image_newline"),
]

ARCHITECTURES = {
    "llama": "LlavaLlamaForCausalLM", "mistral": "LlavaMistralForCausalLM", "qwen2": "LlavaQwenForCausalLM",
}  # fmt: skip
"""By language model; "model_type" is "llava" for Llama and Qwen alike."""


def forge_model(seed=0, context=2048, text=None, prompt="tiny"):
    """A model whose answers depend on every word and every frame: weights far larger than usual."""
    config = build_config()
    config.dyto_prompt = prompt
    if text == "mistral":
        config.text_config = MistralConfig(
            **{k: v for k, v in config.text_config.to_dict().items() if k not in ("model_type", "architectures")},
            sliding_window=None,
        )
    config.text_config.max_position_embeddings = context
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaNextForConditionalGeneration(config).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.ndim > 1 and "embeddings" not in name:
                    weight.normal_(std=1.5 / weight.shape[-1] ** 0.5)
            model.get_input_embeddings().weight.normal_()
    return model


def save_stock(model, folder):
    """In the Hugging Face layout."""
    model.save_pretrained(folder)
    build_processor().save_pretrained(folder)
    return folder


def save_original(model, folder, shards=3, drop=(), config_changes=None):
    """In the layout of the LLaVA authors: their names of weights, their config.json, several shards."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, tensor in model.state_dict().items():
        for pattern, replacement in TO_ORIGINAL:
            name, changed = re.subn(pattern, replacement, name)
            if changed:
                break
        if not any(re.search(pattern, name) for pattern in drop):
            state[name] = tensor.clone()
    names = sorted(state)
    index = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: state[name] for name in names[shard::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(t.nbytes for t in state.values())
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index})
    )
    text = model.config.text_config
    config = {
        "architectures": [ARCHITECTURES[text.model_type]],
        "model_type": "llava_mistral" if text.model_type == "mistral" else "llava",
        "mm_vision_tower": "openai/clip-vit-large-patch14-336",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_hidden_size": model.config.vision_config.hidden_size,
        "mm_projector_type": "mlp2x_gelu",
        "rope_scaling": None,
        "rope_theta": text.rope_parameters["rope_theta"],
        "torch_dtype": "float32",
        "use_cache": True,
        **{
            key: getattr(text, key)
            for key in (
                "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "num_key_value_heads", "hidden_act", "max_position_embeddings", "rms_norm_eps",
                "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id",
            )
        },
        **(config_changes or {}),
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    build_tokenizer().save_pretrained(folder)
    return folder
