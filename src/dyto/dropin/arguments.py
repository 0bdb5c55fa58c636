"""The arguments of a call: which of them work with a shortened input, and how their limits change."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from dyto.dropin.kept import cache_in, kept_in, length_of
from dyto.errors import ConfigError

LAYOUT = (
    "image_sizes", "image_grid_thw", "video_grid_thw", "second_per_grid_ts", "pixel_attention_mask",
    "batch_num_images", "image_sizes_videos", "token_type_ids", "mm_token_type_ids",
    "image_position_ids", "video_position_ids", "num_frames_per_video",
)  # fmt: skip
"""Arguments that describe pixels; they are removed together with the pixels."""

REFUSED = {
    "labels": "training is not supported",
    "position_ids": "they belong to the longer input: leave them to the model",
    "cache_position": "it belongs to the longer input: leave it to the model",
    "inputs_embeds": "the placeholders are in input_ids: pass input_ids instead",
    "vision_feature_layer": "features are taken where the checkpoint says: leave it out",
    "vision_feature_select_strategy": "features are taken as the checkpoint says: leave it out",
    "assistant_model": "speculation reads the ids again without the video: leave it out",
    "prompt_lookup_num_tokens": "speculation reads the ids again without the video: leave it out",
    "assistant_early_exit": "speculation reads the ids again without the video: leave it out",
    "prefill_chunk_size": "a shortened prompt is read at once: leave it out",
}
"""Arguments that do not work with a shortened input, and why."""

WHOLE_LENGTHS = {"max_length": "max_new_tokens", "min_length": "min_new_tokens"}
"""Limits of `generate` that count prompt and answer, with the limits on the answer alone, which take precedence."""


def check(call: Mapping[str, Any], generating: bool) -> None:
    """Check the arguments of a call that will be shortened, or that continues a shortened one.

    Raises:
        ConfigError: The arguments do not work with compression.
    """
    config = call.get("generation_config") if generating else None
    for name, reason in REFUSED.items():
        if call.get(name) is not None or getattr(config, name, None) is not None:
            raise ConfigError(f"{name} was given together with pixels in a block that compresses: {reason}")
    ids, mask, cache = call.get("input_ids"), call.get("attention_mask"), cache_in(call)
    if ids is None or ids.ndim != 2:
        raise ConfigError(
            "found pixels without input_ids, expected input_ids of shape (B, L): pass everything that the processor "
            "made"
        )
    if mask is not None and mask.ndim != 2:
        raise ConfigError(f"attention_mask has shape {tuple(mask.shape)}, expected (B, L): pass the processor's mask")
    if kept_in(cache) is None:
        if mask is not None and mask.shape != ids.shape:
            raise ConfigError(f"attention_mask has shape {tuple(mask.shape)}, expected that of input_ids")
        if length_of(cache):
            raise ConfigError(
                "found pixels with a cache that was filled outside a block, expected one from a block: begin the "
                "conversation in the block"
            )
    if generating and (call.get("use_cache") is False or getattr(config, "use_cache", None) is False):
        raise ConfigError("use_cache is False, but without a cache every step would read the ids again: leave it out")


def check_pictures(ids: Tensor, mask: Tensor, placeholders: frozenset[int]) -> None:
    """Check that ids without pixels have no placeholders for pictures.

    Args:
        ids: (B, n) ids of a call without pixels that are not in its cache.
        mask: (B, n) attention mask of these ids.
        placeholders: Placeholder ids of images or videos.

    Raises:
        ConfigError: There are adjacent placeholders.
    """
    marks = torch.isin(ids, torch.tensor(sorted(placeholders), device=ids.device)) & mask.bool().to(ids.device)
    if bool((marks[:, 1:] & marks[:, :-1]).any()):
        raise ConfigError(
            f"input_ids has {int(marks.sum())} placeholders of pictures, but there are no pixels and no cache that "
            "holds them: pass what the processor made, or the cache of the previous call"
        )


def limits(call: Mapping[str, Any], change: int) -> dict[str, Any]:
    """Return the limits of a call that also count the prompt, adjusted to its new length."""
    changed = {name: max(0, call[name] + change) for name in WHOLE_LENGTHS if call.get(name) is not None}
    config, usual = call.get("generation_config"), GenerationConfig()
    for name, new in WHOLE_LENGTHS.items() if config is not None else ():
        given = getattr(config, name)
        if given not in (None, getattr(usual, name)) and getattr(config, new) is None and call.get(new) is None:
            config = copy.deepcopy(config)
            setattr(config, name, max(0, given + change))
            changed["generation_config"] = config
    return changed
