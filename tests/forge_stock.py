"""Small checkpoints of families without an adapter of their own, of the true architecture, with loud weights.

Where the image processor of a family needs torchvision, what it makes of pictures is written out here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
import transformers as stock
from PIL import Image

from dyto.models.adapters.generic import StockVision
from dyto.models.pixels import Normalization

from forge_families import build_tokenizer
from forge_qwen import loud

SPECIALS = ("<|start|>", "<|end|>", "<|picture|>", "<|film|>", "<|im_start|>", "<|im_end|>")
TEXT = {
    "vocab_size": 430, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 1024, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "tie_word_embeddings": False,
}  # fmt: skip
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
LINEAR = {
    "num_hidden_layers": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "layer_types": ["linear_attention"] * 3 + ["full_attention"],
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1],
                        "partial_rotary_factor": 1.0},
}  # fmt: skip
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}}
IDS = {"image_token_id": 5, "video_token_id": 6}
MARKS = {"vision_start_token_id": 3, "vision_end_token_id": 4}
PICTURE_MARKS = {"image_start_token_id": 3, "image_end_token_id": 4}
NATIVE = {"size": {"shortest_edge": 8 * 8 * 4, "longest_edge": 8 * 8 * 24}, "patch_size": 4, "merge_size": 2}


@dataclass(frozen=True)
class Kind:
    """How one family is forged.

    Attributes:
        stock: What its classes begin with.
        config: Of the whole model.
        images: The name of its image processor and its settings; or a function of pictures.
        suffix: What its class ends with.
        needs: A package without which its class cannot be built.
        marks: Tokens behind the table of words, which its class looks up in a table of their own.
        cols: Tokens between two ends of rows (id 3), which its processor writes; 0 for none.
    """

    stock: str
    config: dict[str, Any]
    images: tuple[str, dict[str, Any]] | Callable[..., Any]
    suffix: str = "ForConditionalGeneration"
    needs: str = ""
    marks: tuple[str, ...] = ()
    cols: int = 0

    @property
    def is_there(self):
        """Whether this version of transformers has the class, and an image processor that works without torchvision."""
        names = [f"{self.stock}{self.suffix}", *([self.images[0]] if isinstance(self.images, tuple) else [])]
        kinds = [getattr(stock, name, None) for name in names]
        there = all(kind is not None and type(kind).__name__ != "DummyObject" for kind in kinds)
        return there and (not self.needs or find_spec(self.needs) is not None)

    def config_class(self):
        return self.stock_class.config_class

    def build(self, seed=0):
        """The stock model."""
        return loud(self.stock_class, self.config_class()(**self.config), seed)

    @property
    def image_token(self):
        """The id of a picture's placeholders."""
        named = ("image_token_id", "image_token_index", "image_patch_id")
        return next(self.config[name] for name in named if name in self.config)

    @property
    def around(self):
        """The ids that its own processor writes before and after a picture."""
        if "visual_indicator_token_ids" in self.config:
            start, grid, *_, end = self.config["visual_indicator_token_ids"]
            return [start], [grid, end]
        if self.cols:
            return [], [4]
        names = ("vision_start_token_id", "image_start_token_id", "image_start_id", "boi_token_id")
        start = next((name for name in names if name in self.config), "")
        return (
            ([self.config[start]], [self.config[start.replace("start", "end").replace("boi", "eoi")]])
            if start
            else ([], [])
        )

    def places(self, count):
        """The ids in place of a picture with so many tokens."""
        cols = self.cols or count
        rows = [number for _ in range(count // cols) for number in [3, *[self.image_token] * cols]]
        return rows[1:]

    @property
    def stock_class(self):
        return getattr(stock, f"{self.stock}{self.suffix}")

    def tokenizer(self):
        """Its tokenizer."""
        made = tokenizer()
        if self.marks:
            made.add_tokens([f"<{number}>" for number in range(TEXT["vocab_size"] - len(made))])
            made.add_tokens(list(self.marks), special_tokens=True)
        return made

    def processor(self):
        """What makes its pixels."""
        if not isinstance(self.images, tuple):
            return self.images
        name, settings = self.images
        made = getattr(stock, name)(**settings)
        return lambda pictures: dict(made([Image.fromarray(p) for p in pictures], return_tensors="pt"))


def tokenizer():
    return build_tokenizer(SPECIALS, bos=True)


def adapter(name, seed=0, **kwargs):
    """The generic adapter of a family; its trial has passed."""
    kind = KINDS[name]
    build = partial(StockVision, name, kind.build(seed), kind.tokenizer(), normalization=Normalization(), chat="vicuna")
    return build(processor=kind.processor(), **kwargs)


@dataclass(frozen=True)
class Processor:
    """A stock processor, as far as it concerns pictures."""

    image_processor: Any
    tokenizer: Any
    image_break_token: str | None = None
    image_end_token: str | None = None


def processor(name):
    """The processor of a family, in somebody else's code."""
    kind = KINDS[name]
    made = kind.processor()
    return Processor(
        lambda images, return_tensors: made([np.asarray(picture) for picture in images]),
        kind.tokenizer(),
        *(SPECIALS[:2] if kind.cols else ()),
    )


def save(name, folder):
    """The checkpoint of a family, as a hub gives it."""
    kind = KINDS[name]
    kind.build().save_pretrained(folder)
    kind.tokenizer().save_pretrained(folder)
    assert isinstance(kind.images, tuple)
    processor, settings = kind.images
    stated = {"image_processor_type": processor.removesuffix("Pil"), **settings}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    return folder


def _normalized(pictures, size):
    """(B, 3, H, W) float32, from -1 to 1."""
    made = [np.asarray(Image.fromarray(p).resize(size[::-1], Image.Resampling.BICUBIC)) for p in pictures]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _patches(pixels, side):
    """(B, rows * cols, side, side, 3) in raster order."""
    count, _, height, width = pixels.shape
    x = pixels.reshape(count, 3, height // side, side, width // side, side).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(count, -1, side, side, 3)


def _lfm2_pixels(pictures):
    """As Siglip 2's: patches of every picture, their mask, and how many rows and columns."""
    patches = _patches(_normalized(pictures, (16, 24)), 4).flatten(2)
    return {
        "pixel_values": patches, "pixel_attention_mask": torch.ones(patches.shape[:2], dtype=torch.int64),
        "spatial_shapes": torch.tensor([[4, 6]] * len(patches)),
    }  # fmt: skip


def _kimi_pixels(pictures):
    """(n, 3, 4, 4) patches of all pictures, those of a square of two by two one after the other."""
    patches = _patches(_normalized(pictures, (16, 24)), 4).permute(0, 1, 4, 2, 3)
    squares = patches.reshape(-1, 2, 2, 3, 2, 3, 4, 4).transpose(2, 3).flatten(0, 4)
    return {"pixel_values": squares, "image_grid_thw": torch.tensor([[1, 4, 6]] * len(pictures))}


def _nemotron_pixels(pictures):
    patches = _patches(_normalized(pictures, (16, 24)), 4).permute(0, 1, 4, 2, 3).flatten(2).flatten(0, 1)
    return {"pixel_values": patches, "image_grid_hw": torch.tensor([[4, 6]] * len(pictures))}


def _molmo_pixels(pictures):
    """One crop of 4 x 6 patches a picture, two by two of them one token."""
    patches = _patches(_normalized(pictures, (16, 24)), 4).flatten(2)  # (B, 24, 48)
    corners = [row * 6 + col for row in (0, 2) for col in (0, 2, 4)]
    pooling = torch.tensor([[c, c + 1, c + 6, c + 7] for c in corners])  # (6, 4)
    return {
        "pixel_values": patches,
        "image_token_pooling": torch.cat([pooling + 24 * number for number in range(len(patches))]),
        "image_grids": torch.tensor([[2, 3, 0, 0]] * len(patches)),
        "image_num_crops": torch.ones(len(patches), dtype=torch.int64),
    }


def _thumb_pixels(pictures):
    """One tile a picture, on an axis of its own."""
    return {"pixel_values": _normalized(pictures, (32, 32))[:, None]}


def _square_pixels(pictures):
    return {"pixel_values": _normalized(pictures, (128, 128))}


def _pixtral(text):
    return {
        "text_config": text, "vision_config": {**VISION, "model_type": "pixtral", "image_size": 32, "patch_size": 4,
                                               "head_dim": 16},
        "image_token_index": 5, "spatial_merge_size": 2, "vision_feature_layer": -1,
    }  # fmt: skip


def _tower(**more):
    return {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32, **more}  # fmt: skip


def _minicpm(**more):
    return {
        "text_config": {**TEXT, **LINEAR, "model_type": "qwen3_5_text"},
        "vision_config": {**VISION, "image_size": 64, "patch_size": 4, "insert_layer_id": 1},
        "insert_layer_id": 1, "image_size": 64, **IDS, **more,
    }  # fmt: skip


SLICED = {"patch_size": 4, "scale_resolution": 32, "slice_mode": False}

KINDS = {
    "VideoLLaMA 3": Kind(
        "VideoLlama3",
        {"text_config": {**TEXT, "model_type": "qwen2"}, "vision_config": {**VISION, "patch_size": 4}, **IDS},
        ("VideoLlama3ImageProcessorPil", {**NATIVE, "merge_size": 1}),
    ),
    "GLM-4.1V": Kind(
        "Glm4v",
        {"text_config": {**TEXT, **MROPE}, "vision_config": _tower(image_size=32), **IDS, **PICTURE_MARKS},
        ("Glm4vImageProcessorPil", NATIVE),
    ),
    "GLM-4.6V": Kind(
        "Glm46V",
        {
            "text_config": {**TEXT, **MROPE, "model_type": "glm4v_text"},
            "vision_config": _tower(image_size=32, model_type="glm4v_vision"), **IDS, **PICTURE_MARKS,
        },
        ("Glm46VImageProcessorPil", NATIVE),
    ),
    "MiniCPM-V 4.6": Kind("MiniCPMV4_6", _minicpm(), ("MiniCPMV4_6ImageProcessorPil", SLICED)),
    "MiniCPM-V 4.7": Kind(
        "MiniCPMV4_7", _minicpm(image_start_id=3, image_end_id=4), ("MiniCPMV4_6ImageProcessorPil", SLICED)
    ),
    "Ovis2": Kind(
        "Ovis2",
        {
            "text_config": {**TEXT, "model_type": "qwen2"},
            "vision_config": {**VISION, "image_size": 32, "patch_size": 4, "vocab_size": 64, "hidden_stride": 2},
            "image_token_id": 5, "visual_indicator_token_ids": [100, 101, 102, 103, 104], "vocab_size": 430,
            "hidden_size": 32,
        },
        ("Ovis2ImageProcessorPil", {"size": {"height": 32, "width": 32}}),
    ),
    "LFM3-VL": Kind(
        "Lfm3Vl",
        {
            "text_config": {**TEXT, "model_type": "lfm3", "sliding_window": 16, "num_hidden_layers": 3,
                            "layer_types": ["conv", "sliding_attention", "full_attention"]},
            "vision_config": {**VISION, "num_key_value_heads": 2, "patch_size": 4}, "projector_hidden_size": 48,
            **IDS, **MARKS, "tie_word_embeddings": False,
        },
        ("Qwen2VLImageProcessorPil", NATIVE),
    ),
    "Cosmos 3 Edge": Kind(
        "Cosmos3Edge",
        {
            "text_config": {**TEXT, **MROPE}, "projector_hidden_size": 48, **IDS, **MARKS,
            "vision_config": {**VISION, "patch_size": 4, "num_patches": 64},
        },
        ("Cosmos3EdgeImageProcessorPil", NATIVE),
    ),
    "LFM2-VL": Kind(
        "Lfm2Vl",
        {
            "text_config": {**TEXT, "model_type": "lfm2", "layer_types": ["conv", "full_attention"]},
            "vision_config": {**VISION, "model_type": "siglip2_vision_model", "patch_size": 4, "num_patches": 64},
            "image_token_id": 5, "projector_hidden_size": 48, "tie_word_embeddings": False,
        },
        _lfm2_pixels,
    ),
    "Kimi K2.5": Kind(
        "Kimi_K25",
        {
            "text_config": {
                **TEXT, "model_type": "deepseek_v3", "head_dim": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4,
                "qk_nope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
                "topk_group": 1, "moe_intermediate_size": 16, "num_key_value_heads": 4, "first_k_dense_replace": 1,
            },
            "vision_config": {**VISION, "patch_size": 4, "pos_emb_height": 8, "pos_emb_width": 8},
            "projection_hidden_size": 32, **IDS, **MARKS, "tie_word_embeddings": False,
        },
        _kimi_pixels,
    ),
    "Molmo 2": Kind(
        "Molmo2",
        {
            "text_config": {**TEXT, "additional_vocab_size": 8},
            "vision_config": {**VISION, "num_key_value_heads": 2, "head_dim": 16, "image_size": [16, 24],
                              "patch_size": 4, "num_position_embeddings": 24},
            "adapter_config": {"vision_feature_layer": [-1, -2], "hidden_size": 32, "num_attention_heads": 2,
                               "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 48,
                               "text_hidden_size": 32},
            "image_patch_id": 5, **PICTURE_MARKS,
        },
        _molmo_pixels,
    ),
    "Nemotron-H Omni": Kind(
        "NemotronH_Omni_Reasoning_V3",
        {
            "text_config": {
                **TEXT, "model_type": "nemotron_h", "layers_block_type": ["mamba", "attention", "mlp", "mamba"],
                "num_hidden_layers": 4, "mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 2,
                "chunk_size": 8,
            },
            "vision_config": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 4,
                              "image_size": 32, "max_img_size": 64, "model_type": "radio", "video_temporal_patch_size": 2},
            "audio_config": None, "projector_hidden_size": 48, "vision_hidden_size": 32, "image_token_id": 5,
            "video_token_id": 6,
        },
        _nemotron_pixels,
        suffix="",
    ),
    "Ministral 3": Kind(
        "Mistral3", _pixtral({**TEXT, "model_type": "mistral"}),
        ("PixtralImageProcessorPil", {"size": {"longest_edge": 32}, "patch_size": 8}), cols=4,
    ),
    "Aya Vision": Kind(
        "AyaVision",
        {
            "text_config": {**TEXT, "model_type": "cohere2", "sliding_window": 256},
            "vision_config": {**VISION, "model_type": "siglip_vision_model", "image_size": 32, "patch_size": 4},
            "image_token_index": 5, "vision_feature_layer": -1, "downsample_factor": 2,
        },
        ("GotOcr2ImageProcessorPil", {"size": {"height": 32, "width": 32}}),
    ),
    "PaliGemma": Kind(
        "PaliGemma",
        {
            "text_config": {**TEXT, "model_type": "gemma"},
            "vision_config": {**VISION, "model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8},
            "image_token_index": 5, "projection_dim": 32, "hidden_size": 32,
        },
        ("SiglipImageProcessorPil", {"size": {"height": 32, "width": 32}}),
    ),
    "Cosmos 3 Omni": Kind(
        "Cosmos3Omni",
        {"text_config": {**TEXT, **MROPE}, **IDS, **MARKS,
         "vision_config": _tower(num_position_embeddings=36, deepstack_visual_indexes=[0])},
        ("Qwen2VLImageProcessorPil", NATIVE),
    ),
    "PerceptionLM": Kind(
        "PerceptionLM",
        {
            "text_config": {**TEXT, "model_type": "llama"}, "projector_pooling_ratio": 2, **IDS,
            "vision_config": {
                "model_type": "timm_wrapper", "architecture": "vit_pe_core_large_patch14_336",
                "model_args": {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": [32, 32], "patch_size": 4,
                               "use_post_transformer_norm": False, "global_pool": "", "mlp_ratio": 2.0,
                               "ref_feat_shape": [8, 8]},
            },
        },
        _thumb_pixels, needs="timm",
    ),
    "Gemma 3n": Kind(
        "Gemma3n",
        {
            "text_config": {
                **TEXT, "vocab_size": 434, "vocab_size_per_layer_input": 430, "hidden_size_per_layer_input": 8,
                "num_hidden_layers": 5, "intermediate_size": [48] * 5, "activation_sparsity_pattern": [0.5] + [0.0] * 4,
                "layer_types": ["sliding_attention"] * 2 + ["full_attention", "sliding_attention", "full_attention"],
                "sliding_window": 256, "num_kv_shared_layers": 2, "laurel_rank": 4, "altup_num_inputs": 2,
            },
            # (its own tower, mobilenetv5_300m_enc, is of one size only)
            "vision_config": {"architecture": "test_efficientnet", "hidden_size": 256, "vocab_size": 2,
                              "vocab_offset": 430},
            "audio_config": {"hidden_size": 32, "vocab_size": 2, "vocab_offset": 432, "conf_num_hidden_layers": 1,
                             "conf_num_attention_heads": 2, "sscp_conv_channel_size": [8, 8]},
            "vision_soft_tokens_per_image": 16, "boi_token_id": 3, "eoi_token_id": 430, "image_token_id": 431,
            "boa_token_id": 4, "eoa_token_id": 432, "audio_token_id": 433,
        },
        _square_pixels, needs="timm", marks=("<|after|>", "<|soft|>"),
    ),
    "Exaone 4.5": Kind(
        "Exaone4_5_",
        {"text_config": {**TEXT, "model_type": "exaone4", "sliding_window": 256}, **IDS, **MARKS,
         "vision_config": _tower(num_key_value_heads=2, window_size=16, fullatt_block_indexes=[1])},
        ("Qwen2VLImageProcessorPil", NATIVE),
    ),
}  # fmt: skip
"""Families without an adapter of their own."""
