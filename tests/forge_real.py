"""Checkpoints as their makers publish them, layers and widths cut: real configs, true ids, settings of their own."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import torch
import transformers as stock
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from dyto.models.families import FAMILIES
from dyto.models.loading.files import is_original
from dyto.models.loading.original_llava import stock_config
from dyto.models.loading.weights import untied_unless_said

from forge import save_original

QUOTED: dict[str, dict[str, Any]] = {
    "qwen2.5-vl": {"do_sample": True, "repetition_penalty": 1.05, "temperature": 1e-06},
    "qwen3-vl": {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20},
    "gemma3": {"do_sample": True, "top_k": 64, "top_p": 0.95, "cache_implementation": "hybrid"},
    "llava-v1.6-vicuna": {"max_length": 4096, "pad_token_id": 0, "temperature": 0.9, "top_p": 0.6},
}
"""What generation_config.json says, by the beginning of a folder's name; the others have none."""

QWEN = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
QWEN_VL = {**QWEN, "<|vision_start|>": 151652, "<|vision_end|>": 151653, "<|vision_pad|>": 151654,
           "<|image_pad|>": 151655, "<|video_pad|>": 151656}  # fmt: skip
LLAMA = {"<unk>": 0, "<s>": 1, "</s>": 2, "<image>": 32000, "<pad>": 32001}
SPECIALS: dict[str, dict[str, int]] = {
    "gemma3": {
        "<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "<start_of_turn>": 105, "<end_of_turn>": 106,
        "<start_of_image>": 255999, "<end_of_image>": 256000, "<image_soft_token>": 262144,
    },
    "internvl3": {**QWEN, "<img>": 151665, "</img>": 151666, "<IMG_CONTEXT>": 151667, "<video>": 151670},
    "llava-next-video": {"<unk>": 0, "<s>": 1, "</s>": 2, "<video>": 32000, "<image>": 32001, "<pad>": 32002},
    "llava-onevision": {**QWEN, "<image>": 151646, "<video>": 151647},
    "llava-v1.6-34b": {
        "<unk>": 0, "<|startoftext|>": 1, "<|endoftext|>": 2, "<|im_start|>": 6, "<|im_end|>": 7, "<image>": 64000,
        "<pad>": 64001,
    },
    "llava-v1.6-vicuna-7b-original": {"<unk>": 0, "<s>": 1, "</s>": 2},
    "llava-v1.6": LLAMA,
    "qwen2.5-vl": QWEN_VL,
    "qwen3-vl": QWEN_VL,
    "smolvlm2": {
        "<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "<fake_token_around_image>": 49189, "<image>": 49190,
        "<global-img>": 49152, "<end_of_utterance>": 49279,
    },
}  # fmt: skip
"""Special tokens and their true ids, by the beginning of a folder's name; the longest that fits."""

ROLES: dict[str, dict[str, str]] = {
    "gemma3": {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
    "internvl3": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "llava-onevision": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "llava-v1.6-34b": {"bos_token": "<|startoftext|>", "eos_token": "<|im_end|>", "pad_token": "<pad>"},
    "llava-v1.6-vicuna-7b-original": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "llava": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"},
    "qwen": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "smolvlm2": {"bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>", "pad_token": "<|im_end|>"},
}
"""Which of them begin and end a text, likewise."""

TEXT = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2}  # fmt: skip
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}


def named(table: dict[str, Any], name: str) -> Any:
    """The entry of a table whose key is the longest beginning of a name; None if none is."""
    return table.get(max((key for key in table if name.startswith(key)), key=len, default=""))


def cut(config: dict[str, Any]) -> dict[str, Any]:
    """A config as it stands in a file, with small layers and few of them; all else as it is."""
    small = copy.deepcopy(config)
    text, vision = small.get("text_config", small), small.get("vision_config", {})
    kind = config["model_type"]
    text.update(TEXT)
    if "head_dim" in text or kind == "gemma3":
        text["head_dim"] = 16
    if kind == "gemma3":
        text.update(query_pre_attn_scalar=16, num_hidden_layers=6)  # the sixth layer sees everything
    if "max_window_layers" in text:
        text["max_window_layers"] = 2
    if "mrope_section" in (text.get("rope_scaling") or {}):
        width = text.get("head_dim", text["hidden_size"] // text["num_attention_heads"]) // 2
        text["rope_scaling"] = {**text["rope_scaling"], "mrope_section": [width - 2 * (width // 3), *[width // 3] * 2]}
    if kind.startswith("qwen"):
        vision.update(hidden_size=32, intermediate_size=48, num_heads=2, depth=3, out_hidden_size=text["hidden_size"])
        if "fullatt_block_indexes" in vision:
            vision["fullatt_block_indexes"] = [2]
        if "deepstack_visual_indexes" in vision:
            vision["deepstack_visual_indexes"] = [0, 1][: len(vision["deepstack_visual_indexes"])]
    elif vision:
        vision.update(VISION, num_hidden_layers=3)
    if is_original(config):
        small["mm_hidden_size"] = VISION["hidden_size"]
    return small


def build_tokenizer(name: str, size: int = 0) -> Any:
    """Every byte is a token, the special ones have their true ids, and what lies between stands for words."""
    specials, roles = named(SPECIALS, name), named(ROLES, name)
    taken = set(specials.values())
    alphabet = iter(sorted(pre_tokenizers.ByteLevel.alphabet()))
    vocabulary = dict(specials)
    for number in range(max(size, max(taken) + 1)):
        if number not in taken:
            letter = next(alphabet, None)
            vocabulary[f"w{number}" if letter is None else letter] = number
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in specials])
    bos = roles.get("bos_token")
    if bos and not name.startswith("smolvlm"):
        template = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, specials[bos])])
        tokenizer.post_processor = template
    return stock.PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **roles)


TRUE_NAMES = (
    r"^vision_tower\.(embeddings|encoder|pre_layrnorm|post_layernorm|head)\b",
    r"vision_tower.vision_model.\1",
)
"""Of the names that transformers writes, those that the files on the hub have otherwise, in families with a tower of CLIP
or SigLIP; the older names of language models and of Qwen's towers it writes itself."""


def rename_weights(folder: Path, old: str, new: str, drop: str = "$^") -> None:
    """Give weights of a checkpoint other names, and leave some of them out."""
    kept = {}
    with safe_open(folder / "model.safetensors", "pt") as file:
        for key in file.keys():  # noqa: SIM118 - not a dict
            if not re.search(drop, key):
                kept[re.sub(old, new, key)] = file.get_tensor(key)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def forge_real(source: Path, folder: Path, generation: dict[str, Any] | None = None, seed: int = 0) -> Path:
    """Write a checkpoint of a real config, cut, in the dtype that it names.

    Args:
        source: A folder of real files.
        folder: Where to write.
        generation: What generation_config.json holds; None for what is quoted of the real one, {} for no file.
        seed: Of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    real = json.loads((source / "config.json").read_text())
    config = cut(real)
    dtype = getattr(torch, config.get("torch_dtype", "bfloat16"))
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    original = is_original(config)
    if original:
        tower = {**VISION, "num_hidden_layers": 3, "num_attention_heads": 1, "image_size": 336, "patch_size": 14}
        made = stock_config(str(folder), {**config, "vision_config": tower})
        kind = stock.LlavaNextForConditionalGeneration
    else:
        kind = getattr(stock, FAMILIES[config["model_type"]].stock)
        made = untied_unless_said(kind.config_class.from_pretrained(folder), config)
    model = _loud(kind, made, seed).to(dtype)
    if original:
        save_original(model, folder)
    else:
        model.generation_config = stock.GenerationConfig()
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        if source.name.startswith(("llava", "gemma3")):
            rename_weights(folder, *TRUE_NAMES)
    (folder / "config.json").write_text(json.dumps(config, indent=2))  # theirs again, not what transformers makes of it
    build_tokenizer(source.name, 32000 if original else 0).save_pretrained(folder)
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (source / name).is_file():
            (folder / name).write_text((source / name).read_text())
    told = (named(QUOTED, source.name) or {}) if generation is None else generation
    if told:
        (folder / "generation_config.json").write_text(json.dumps(told))
    return folder


def _loud(kind: Any, config: Any, seed: int) -> Any:
    """A model with weights far larger than usual, so that answers depend on every word and frame."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = kind(config)
        tied = model.lm_head.weight is model.get_input_embeddings().weight
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "position" not in name and "pos_embed" not in name:
                weight.normal_(std=1.4 / weight[0].numel() ** 0.5)
        model.get_input_embeddings().weight.normal_(std=0.1 if tied else 0.7)
    return model.eval()
