"""Small Qwen-VL models with weights that make a difference, and a tokenizer of bytes with Qwen's marks."""

from __future__ import annotations

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Cosmos3OmniConfig,
    Cosmos3OmniForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3_5MoeConfig,
    Qwen3_5MoeForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLMoeConfig,
    Qwen3VLMoeForConditionalGeneration,
)

from dyto.models.adapters.qwen2_5_vl import Qwen25VL
from dyto.models.adapters.qwen2_vl import Qwen2VL
from dyto.models.adapters.qwen3_5 import Qwen35
from dyto.models.adapters.qwen3_vl import Qwen3VL
from dyto.models.pixels import NativeSize, Normalization

MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
         "<|video_pad|>")  # fmt: skip
PIECES = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
SIDE = 8
"""Pixels of a token: patches of 4, two by two."""

TEXT = {
    "vocab_size": 256 + len(MARKS), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]},
    "pad_token_id": 256, "bos_token_id": 256, "eos_token_id": 258,
}  # fmt: skip
TOWER = {
    "depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2,
    "temporal_patch_size": 2, "out_hidden_size": 64,
}  # fmt: skip
IDS = {
    "image_token_id": 261, "video_token_id": 262, "vision_start_token_id": 259, "vision_end_token_id": 260,
}  # fmt: skip


def qwen_tokenizer():
    """Every byte is a token; texts are cut as Qwen cuts them, and its marks are tokens of their own."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(MARKS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )  # fmt: skip


def loud(kind, config, seed=0):
    """A model with weights far larger than usual, so that answers depend on every word, frame and place."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = kind(config)
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "pos_embed" not in name and "position_embedding" not in name:
                fan = weight.shape[-1] if "experts" in name else weight[0].numel()
                weight.normal_(std=1.5 / fan**0.5)
            if name.endswith("A_log"):
                weight.fill_(-8)  # a linear attention that remembers the whole video
            if name.endswith("linear_attn.out_proj.weight"):
                weight.mul_(3)  # and has a say
        model.get_input_embeddings().weight.normal_()
    return model.eval()


def forge_qwen3_vl(seed=0):
    tower = {**TOWER, "num_position_embeddings": 36, "deepstack_visual_indexes": [0, 1]}
    config = Qwen3VLConfig(text_config={**TEXT, "head_dim": 16}, vision_config=tower, **IDS, tie_word_embeddings=False)
    return loud(Qwen3VLForConditionalGeneration, config, seed)


def forge_qwen2_5_vl(seed=0):
    tower = {**TOWER, "window_size": 16, "fullatt_block_indexes": [1], "tokens_per_second": 2}
    config = Qwen2_5_VLConfig(text_config=TEXT, vision_config=tower, **IDS, tie_word_embeddings=False)
    return loud(Qwen2_5_VLForConditionalGeneration, config, seed)


def forge_qwen2_vl(seed=0):
    tower = {"depth": 3, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4}
    config = Qwen2VLConfig(text_config=TEXT, vision_config=tower, **IDS, tie_word_embeddings=False)
    return loud(Qwen2VLForConditionalGeneration, config, seed)


def forge_qwen3_vl_moe(seed=0):
    tower = {**TOWER, "num_position_embeddings": 36, "deepstack_visual_indexes": [0, 1]}
    experts = {"head_dim": 16, "moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2}
    config = Qwen3VLMoeConfig(
        text_config={**TEXT, **experts}, vision_config=tower, **IDS, tie_word_embeddings=False
    )  # fmt: skip
    return loud(Qwen3VLMoeForConditionalGeneration, config, seed)


HYBRID = {
    "head_dim": 16, "num_hidden_layers": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "linear_key_head_dim": 16, "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4,
    "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"],
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True,
        "partial_rotary_factor": 1.0,
    },
}  # fmt: skip
"""Three layers of gated linear attention and one that sees all places, as in every four of Qwen3.5."""


def forge_qwen3_5(seed=0):
    tower = {**TOWER, "num_position_embeddings": 36}
    config = Qwen3_5Config(text_config={**TEXT, **HYBRID}, vision_config=tower, **IDS, tie_word_embeddings=False)
    return loud(Qwen3_5ForConditionalGeneration, config, seed)


def forge_qwen3_5_moe(seed=0):
    tower = {**TOWER, "num_position_embeddings": 36}
    experts = {
        "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2,
    }  # fmt: skip
    config = Qwen3_5MoeConfig(
        text_config={**TEXT, **HYBRID, **experts}, vision_config=tower, **IDS, tie_word_embeddings=False
    )
    return loud(Qwen3_5MoeForConditionalGeneration, config, seed)


def forge_cosmos3_omni(seed=0):
    tower = {**TOWER, "num_position_embeddings": 36, "deepstack_visual_indexes": [0, 1]}
    config = Cosmos3OmniConfig(
        text_config={**TEXT, "head_dim": 16}, vision_config=tower, **IDS, tie_word_embeddings=False
    )
    return loud(Cosmos3OmniForConditionalGeneration, config, seed)


FAMILIES = {
    "qwen3_vl": (forge_qwen3_vl, Qwen3VL, "qwen3"),
    "qwen2_5_vl": (forge_qwen2_5_vl, Qwen25VL, "qwen2.5"),
    "qwen2_vl": (forge_qwen2_vl, Qwen2VL, "qwen2.5"),
    "qwen3_vl_moe": (forge_qwen3_vl_moe, Qwen3VL, "qwen3"),
    "cosmos3_omni": (forge_cosmos3_omni, Qwen3VL, "qwen3"),
    "qwen3_5": (forge_qwen3_5, Qwen35, "qwen3.5"),
    "qwen3_5_moe": (forge_qwen3_5_moe, Qwen35, "qwen3.5"),
}
"""For each `model_type` the stock model, the adapter and the chat format."""


def qwen_adapter(family, seed=0, dtype=torch.float32, **kwargs):
    """An adapter for small frames: 4 to 24 tokens each."""
    forge, adapter, chat = FAMILIES[family]
    model = adapter(
        family, forge(seed).to(dtype), qwen_tokenizer(), normalization=Normalization(), chat=chat, **kwargs
    )  # fmt: skip
    model.image_size = NativeSize(SIDE, least=4, most=24)
    return model
