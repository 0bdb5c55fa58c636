"""The arguments of a call: which have a meaning for a shortened input, and what their limits become."""

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
"""What processors say about pixels; it goes where the pixels go."""

REFUSED = {
    "labels": "training is not supported",
    "position_ids": "they are those of the longer input: leave them to the model",
    "cache_position": "it is that of the longer input: leave it to the model",
    "inputs_embeds": "the placeholders are found in input_ids: pass those",
    "vision_feature_layer": "features are taken where the checkpoint says: leave it out",
    "vision_feature_select_strategy": "features are taken as the checkpoint says: leave it out",
    "assistant_model": "speculation reads the ids again without the video: leave it out",
    "prompt_lookup_num_tokens": "speculation reads the ids again without the video: leave it out",
    "assistant_early_exit": "speculation reads the ids again without the video: leave it out",
    "prefill_chunk_size": "a shortened prompt is read at once: leave it out",
}
"""Arguments that have no meaning for a shortened input, and why."""

WHOLE_LENGTHS = {"max_length": "max_new_tokens", "min_length": "min_new_tokens"}
"""Limits of `generate` that count prompt and answer, and those of the answer alone, which go before them."""


def check(call: Mapping[str, Any], generating: bool) -> None:
    """Check the arguments of a call that is to be shortened, or that goes on from a shortened one.

    Raises:
        ConfigError: They do not go together with compression.
    """
    config = call.get("generation_config") if generating else None
    for name, reason in REFUSED.items():
        if call.get(name) is not None or getattr(config, name, None) is not None:
            raise ConfigError(f"{name} was given together with pixels in a block that compresses: {reason}")
    ids, mask, cache = call.get("input_ids"), call.get("attention_mask"), cache_in(call)
    if ids is None or ids.ndim != 2:
        raise ConfigError("pixels were given without input_ids of shape (B, L): pass what the processor made")
    if mask is not None and mask.ndim != 2:
        raise ConfigError(f"attention_mask has shape {tuple(mask.shape)}, expected (B, L): pass that of the processor")
    if kept_in(cache) is None:
        if mask is not None and mask.shape != ids.shape:
            raise ConfigError(f"attention_mask has shape {tuple(mask.shape)}, expected that of input_ids")
        if length_of(cache):
            raise ConfigError(
                "pixels were given with a cache that was filled outside of a block: begin a conversation in the block"
            )
    if generating and (call.get("use_cache") is False or getattr(config, "use_cache", None) is False):
        raise ConfigError("use_cache is False, but without a cache every step would read the ids again: leave it out")


def check_pictures(ids: Tensor, mask: Tensor, placeholders: frozenset[int]) -> None:
    """Check that no pictures are asked about that are not there: ids with placeholders, but no pixels.

    Args:
        ids: (B, n) of a call without pixels that are not in its cache.
        mask: (B, n) of them.
        placeholders: Ids that stand for images or videos.

    Raises:
        ConfigError: There are placeholders side by side.
    """
    marks = torch.isin(ids, torch.tensor(sorted(placeholders), device=ids.device)) & mask.bool().to(ids.device)
    if bool((marks[:, 1:] & marks[:, :-1]).any()):
        raise ConfigError(
            f"input_ids has {int(marks.sum())} placeholders of pictures, but there are no pixels and no cache that "
            "holds them: pass what the processor made, or the cache of the call before"
        )


def limits(call: Mapping[str, Any], change: int) -> dict[str, Any]:
    """The limits of a call that count the prompt, too, and so change with its length."""
    changed = {name: max(0, call[name] + change) for name in WHOLE_LENGTHS if call.get(name) is not None}
    config, usual = call.get("generation_config"), GenerationConfig()
    for name, new in WHOLE_LENGTHS.items() if config is not None else ():
        given = getattr(config, name)
        if given not in (None, getattr(usual, name)) and getattr(config, new) is None and call.get(new) is None:
            config = copy.deepcopy(config)
            setattr(config, name, max(0, given + change))
            changed["generation_config"] = config
    return changed
