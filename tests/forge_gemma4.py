"""Small Gemma 4 checkpoints of every kind, and what the stock model is given of the same frames."""

from __future__ import annotations

import inspect

import numpy as np
import torch
import transformers as stock
from PIL import Image
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

from dyto.models.pixels import LargestWithin

from forge_families import build_tokenizer

SPECIALS = ("<|image>", "<image|>", "<|image|>", "<|video|>", "<|audio|>", "<|turn>", "<turn|>")
MOST = 12
"""Visual tokens of a frame: squares of 8 pixels."""

TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "global_head_dim": 16, "sliding_window": 24,
    "max_position_embeddings": 2048, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"] * 2,
}  # fmt: skip
TEXT["layer_types"][-1] = "full_attention"
VISION = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 16, "patch_size": 4, "pooling_kernel_size": 2, "position_embedding_size": 64,
}  # fmt: skip
KINDS = {
    "gemma4": {"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2},
    "gemma4-31b": {"hidden_size_per_layer_input": 0, "use_bidirectional_attention": "vision"},
    "gemma4-26b": {
        "hidden_size_per_layer_input": 0, "use_bidirectional_attention": "vision", "enable_moe_block": True,
        "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 16,
    },
    "gemma4_unified": {"use_bidirectional_attention": "vision"},
}  # fmt: skip
"""By what the language models differ: embeddings in every layer and shared keys, frames seen both ways, experts."""


def forge(kind, folder, seed=1):
    """Write a checkpoint whose weights are far larger than usual."""
    tokenizer = build_tokenizer(SPECIALS, bos=True)
    unified = kind == "gemma4_unified"
    name = "Gemma4Unified" if unified else "Gemma4"
    sizes = {"vocab_size": len(tokenizer), **TEXT, **KINDS[kind]}
    if not unified:
        sizes["vocab_size_per_layer_input"] = len(tokenizer)
    vision = VISION
    if unified:
        vision = {"patch_size": 4, "pooling_kernel_size": 2, "mm_embed_dim": 32, "mm_posemb_size": 64}
    ids = {
        f"{what}_token_id": tokenizer.convert_tokens_to_ids(token)
        for what, token in zip(("boi", "eoi", "image", "video", "audio"), SPECIALS, strict=False)
    }
    config = getattr(stock, f"{name}Config")(
        text_config=sizes,
        vision_config={**vision, "output_proj_dims": 32} if unified else vision,
        audio_config=None,
        **ids,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = getattr(stock, f"{name}ForConditionalGeneration")(config).eval()
        for path, weight in model.named_parameters():
            if "embed_tokens" in path:
                weight.normal_(std=0.3)
            elif weight.ndim > 1:
                weight.normal_(std=1.5 / weight.shape[-1] ** 0.5)
    model.generation_config = stock.GenerationConfig(eos_token_id=[2], pad_token_id=0, bos_token_id=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def patches_of(frames, unified, most=MOST):
    """What the stock image processor makes of frames: padded patches, and the places of each."""
    height, width = LargestWithin(8, most)(*frames[0].shape[:2])  # (its own numbers of tokens are 70 and more)
    data = [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC)) for f in frames]
    images = Gemma4ImageProcessorPil(patch_size=8 if unified else 4, pooling_kernel_size=1 if unified else 2)
    made = images(data, do_resize=False, return_tensors="pt")
    return made["pixel_values"][:, : most * 4], made["image_position_ids"][:, : most * 4]


def stock_inputs(model, frames, before, after, seconds=None, kind="video"):
    """A prompt with the frames as a video, or as images, as the stock processor writes it."""
    unified = model.model.config.model_type == "gemma4_unified"
    pixels, places = patches_of(frames, unified)
    if unified:
        pixels, places = pixels[:, :MOST], places[:, :MOST]
    real = int((places[0] != -1).all(-1).sum()) // (1 if unified else 4)
    seconds = range(len(frames)) if seconds is None else seconds
    shown = " ".join(f"{int(at // 60):02d}:{int(at % 60):02d} <|image>{f'<|{kind}|>' * real}<image|>" for at in seconds)
    ids = model.tokenizer(before + shown + after, return_tensors="pt").input_ids
    mark = model.tokenizer.convert_tokens_to_ids(f"<|{kind}|>")
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == mark).long() * (2 if kind == "video" else 1),
    }
    if kind == "image":
        return {**inputs, "pixel_values": pixels, "image_position_ids": places}
    if "num_frames_per_video" in inspect.signature(model.model.forward).parameters:
        more = {"num_frames_per_video": torch.tensor([len(frames)])}
        return {**inputs, **more, "pixel_values_videos": pixels, "video_position_ids": places}
    return {**inputs, "pixel_values_videos": pixels[None], "video_position_ids": places[None]}
