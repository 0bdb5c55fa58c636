"""Models of true size with random weights, which cost the time and memory of real ones without a checkpoint.

The shapes are those of the published config.json files. Words are those of the tiny tokenizer, and embeddings are
random as everything else: answers mean nothing, and cost what those of the true model cost.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextProcessor,
    Qwen3VLConfig,
)
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from dyto.errors import ConfigError, ModelError, unknown
from dyto.models.adapters.tiny import build_tokenizer
from dyto.models.base import VideoModel
from dyto.models.families import FAMILIES
from dyto.models.loading.placement import Placement
from dyto.models.pixels import Normalization
from dyto.models.stock import Tokenizer
from dyto_bench.processors import QwenPictures

GB = 1e9
ROOM = 1.2
"""What a model needs beside its weights, as a factor: keys and values, activations of the tower."""

LEAST_LAYERS = 2
QWEN_MARKS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def _llava_next(text: dict[str, int], more: dict[str, Any]) -> Callable[[Any, int], Any]:
    def config(tokenizer: Tokenizer, shrink: int) -> LlavaNextConfig:
        vision = CLIPVisionConfig(
            hidden_size=_part(1024, shrink, 64), intermediate_size=_part(4096, shrink), image_size=336, patch_size=14,
            num_hidden_layers=_layers(24, shrink), num_attention_heads=_part(1024, shrink, 64) // 64,
            projection_dim=768,
        )  # fmt: skip
        language = LlamaConfig(**_language(text, shrink), **more, **_ids(tokenizer, "</s>"))
        found = LlavaNextConfig(
            vision_config=vision, text_config=language, image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            vision_feature_layer=-2, vision_feature_select_strategy="default",
        )  # fmt: skip
        found.tie_word_embeddings = False
        return found

    return config


def _qwen3_vl(text: dict[str, int], depth: int) -> Callable[[Any, int], Any]:
    def config(tokenizer: Tokenizer, shrink: int) -> Qwen3VLConfig:
        width = _part(1152, shrink, 72)
        layers = _layers(depth, shrink)
        language = _language(text, shrink) | {"head_dim": 128} | _ids(tokenizer, "<|im_end|>")
        rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True}
        vision = {
            "hidden_size": width, "num_heads": width // 72, "intermediate_size": _part(4304, shrink, 16),
            "depth": layers, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "out_hidden_size": language["hidden_size"], "num_position_embeddings": 2304,
            "deepstack_visual_indexes": [8, 16, 24] if layers == depth else [0, 1],
        }  # fmt: skip
        marks = {"image": "<|image_pad|>", "video": "<|video_pad|>"} | {
            f"vision_{end}": f"<|vision_{end}|>" for end in ("start", "end")
        }
        return Qwen3VLConfig(
            text_config={**language, "rope_parameters": rope, "max_position_embeddings": 262144},
            vision_config=vision,
            tie_word_embeddings=False,
            **{f"{name}_token_id": tokenizer.convert_tokens_to_ids(mark) for name, mark in marks.items()},
        )

    return config


def _language(text: dict[str, int], shrink: int) -> dict[str, Any]:
    """Return the shape of a language model with its width and depth divided; a head has 128 entries."""
    heads, groups = text["heads"], text["heads"] // text["kv"]
    kv = max(1, heads // shrink // groups)
    return {
        "hidden_size": kv * groups * 128, "num_attention_heads": kv * groups, "num_key_value_heads": kv,
        "intermediate_size": _part(text["intermediate"], shrink), "num_hidden_layers": _layers(text["layers"], shrink),
        "vocab_size": max(512, text["vocab"] // shrink),
    }  # fmt: skip


def _part(size: int, shrink: int, multiple: int = 64) -> int:
    return max(1, size // shrink // multiple) * multiple


def _layers(count: int, shrink: int) -> int:
    return count if shrink == 1 else max(LEAST_LAYERS, count // shrink)


def _ids(tokenizer: Tokenizer, end: str) -> dict[str, int]:
    named = {"pad": tokenizer.pad_token or end, "bos": "<s>", "eos": end}
    known = tokenizer.get_vocab()
    return {f"{name}_token_id": known.get(token, known[end]) for name, token in named.items()}


VICUNA_7B = {"heads": 32, "kv": 32, "layers": 32, "intermediate": 11008, "vocab": 32064}
YI_34B = {"heads": 56, "kv": 8, "layers": 60, "intermediate": 20480, "vocab": 64064}
QWEN3_8B = {"heads": 32, "kv": 8, "layers": 36, "intermediate": 12288, "vocab": 151936}
YI_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 5e6}}

SHAPES: dict[str, tuple[Callable[[Any, int], Any], str]] = {
    "llava-next-7b": (_llava_next(VICUNA_7B, {"max_position_embeddings": 4096}), "vicuna"),
    "llava-next-34b": (_llava_next(YI_34B, {"max_position_embeddings": 4096, **YI_ROPE}), "chatml"),
    "qwen3-vl-8b": (_qwen3_vl(QWEN3_8B, 27), "qwen3"),
}
"""The config, given a tokenizer and a divisor, and the chat format of each name."""


def build_random(name: str, placement: Placement, *, shrink: int = 1, seed: int = 0) -> tuple[VideoModel, Any]:
    """Build a model of true size with random weights, and its stock processor.

    Args:
        name: One of `SHAPES`.
        placement: Device, dtype and attention.
        shrink: Divides width, depth and vocabulary, to try the path on a small machine; 1 for the true size.
        seed: Of the weights.

    Returns:
        The adapter and the processor.

    Raises:
        ConfigError: An unknown name or a divisor below 1.
        ModelError: It does not fit the device's memory.
    """
    if name not in SHAPES:
        raise unknown("shape", name, SHAPES)
    if shrink < 1:
        raise ConfigError(f"shrink is {shrink}, expected 1 for the true size, or a divisor such as 16")
    make, chat = SHAPES[name]
    tokenizer = build_tokenizer()
    if chat == "qwen3":
        tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", *QWEN_MARKS]})
    config = make(tokenizer, shrink)
    stock = FAMILIES[config.model_type].stock_class
    with torch.device("meta"):
        count = sum(weight.numel() for weight in stock(config).parameters())
    dtype = placement.pick_dtype(count)
    check_memory(name, count * dtype.itemsize, placement.device)
    devices = [placement.device] if placement.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.device(placement.device):
        torch.manual_seed(seed)
        model = stock._from_config(config, dtype=dtype, attn_implementation=placement.attention).eval()
    model.generation_config = GenerationConfig(**_ids(tokenizer, "<|im_end|>" if chat == "qwen3" else "</s>"))
    family: type[VideoModel] = FAMILIES[config.model_type].adapter_class
    label = f"{name} (random weights{f', 1/{shrink}' if shrink > 1 else ''})"
    normalization = Normalization((0.5,) * 3, (0.5,) * 3) if chat == "qwen3" else Normalization()
    return family(label, model, tokenizer, normalization=normalization, chat=chat), _processor(config, tokenizer)


def _processor(config: Any, tokenizer: Tokenizer) -> Any:
    if config.model_type == "qwen3_vl":
        half = [0.5, 0.5, 0.5]
        images = Qwen2VLImageProcessorPil(
            patch_size=16, merge_size=2, temporal_patch_size=2, image_mean=half, image_std=half,
            size={"shortest_edge": 128 * 32 * 32, "longest_edge": 768 * 32 * 32},
        )  # fmt: skip
        return QwenPictures(images, tokenizer)
    side = config.vision_config.image_size
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_convert_rgb=True,
        image_grid_pinpoints=config.image_grid_pinpoints,
    )  # fmt: skip
    return LlavaNextProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    )  # fmt: skip


def check_memory(name: str, weights: int, device: torch.device) -> None:
    """Refuse weights that do not fit into memory, before anything is allocated.

    Args:
        name: Of the model.
        weights: Bytes of all its weights.
        device: Where they are to go.

    Raises:
        ModelError: There is less memory than weights, keys and values need.
    """
    free = free_memory(device)
    if free is not None and weights * ROOM > free:
        raise ModelError(
            f"{name} has {weights / GB:.1f} GB of weights and needs about {weights * ROOM / GB:.1f} GB in all, but "
            f"{device} has {free / GB:.1f} GB free: take a smaller one, another dtype or device, or --shrink 16"
        )


def free_memory(device: torch.device) -> int | None:
    """Return the free bytes of a device; None if the system does not report them."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = []
    table = Path("/proc/meminfo")
    if table.exists():
        lines = dict(line.split(":", 1) for line in table.read_text().splitlines() if ":" in line)
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        found.append(int(limit.read_text()) - int(used.read_text()))
    return min(found, default=None)
