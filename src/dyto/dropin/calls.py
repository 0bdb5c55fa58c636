"""One call of a model made shorter: the arguments that the language model gets instead of pixels."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from dyto.dropin.family import Family
from dyto.dropin.inputs import PIXELS, read_samples
from dyto.dropin.qwen import positions_of_batch
from dyto.dropin.splice import Row, splice, stack
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.models.mrope import QwenVL
from dyto.strategies import Strategy

LAYOUT = (
    "image_sizes", "image_grid_thw", "video_grid_thw", "second_per_grid_ts", "pixel_attention_mask",
    "batch_num_images", "image_sizes_videos", "token_type_ids", "mm_token_type_ids",
)  # fmt: skip
"""What processors say about pixels; it goes where the pixels go."""

REFUSED = {
    "labels": "training is not supported",
    "position_ids": "they are those of the longer input: leave them to the model",
    "inputs_embeds": "the placeholders are found in input_ids: pass those",
    "vision_feature_layer": "features are taken where the checkpoint says: leave it out",
    "vision_feature_select_strategy": "features are taken as the checkpoint says: leave it out",
    "assistant_model": "speculation reads the ids again without the video: leave it out",
    "prompt_lookup_num_tokens": "speculation reads the ids again without the video: leave it out",
}
"""Arguments that have no meaning for a shortened input, and why."""


WHOLE_LENGTHS = {"max_length": "max_new_tokens", "min_length": "min_new_tokens"}
"""Limits of `generate` that count prompt and answer, and those of the answer alone, which go before them."""

SEEN_BOTH_WAYS = ("gemma3",)
"""Model types whose image tokens see each other both ways, and are told apart by `token_type_ids`."""


@dataclass(frozen=True)
class Shortened:
    """A call ready for the original function.

    Attributes:
        call: Its arguments.
        length: Of the shortened prompt, L'.
        tokens: The visual tokens of every sample.
        visual: (B, L') bool, where they stand.
    """

    call: dict[str, Any]
    length: int
    tokens: list[VisualTokens | None]
    visual: Tensor


def shorten(family: Family, strategy: Strategy, call: Mapping[str, Any], *, generating: bool) -> Shortened:
    """Compress the visual input of a call.

    Args:
        family: Of the model that is called.
        strategy: What compresses.
        call: All arguments by name.
        generating: Whether `generate` is called, not `forward`.

    Raises:
        ConfigError: Arguments that do not go together with compression.
    """
    _check(call, generating)
    ids: Tensor = call["input_ids"]
    mask = call.get("attention_mask")
    mask = torch.ones_like(ids) if mask is None else mask
    samples = read_samples(call, family.read(call), family.placeholders, mask)
    tokens = [family.compress(strategy, sample) for sample in samples]
    rows = [splice(sample, own) for sample, own in zip(samples, tokens, strict=True)]
    length = max(len(row.ids) for row in rows)
    left = generating or not bool((mask[:, -1] == 0).any())
    kept = {key: value for key, value in call.items() if key not in (*PIXELS, *LAYOUT)}
    arguments = {**kept, **_text(family, rows, tokens, length, left)}
    if not generating:
        del arguments["input_ids"]  # forward takes one of both; generate wants the ids for its logits processors
    if generating:
        arguments |= _limits(call, length - ids.shape[1])
    visual = stack([row.visual for row in rows], length, left)
    return Shortened(arguments, length, tokens, visual)


def _limits(call: Mapping[str, Any], change: int) -> dict[str, Any]:
    """The limits of a call that count the prompt, too, and so change with its length."""
    limits = {name: max(0, call[name] + change) for name in WHOLE_LENGTHS if call.get(name) is not None}
    config, usual = call.get("generation_config"), GenerationConfig()
    for name, new in WHOLE_LENGTHS.items() if config is not None else ():
        given = getattr(config, name)
        if given not in (None, getattr(usual, name)) and getattr(config, new) is None and call.get(new) is None:
            config = copy.deepcopy(config)
            setattr(config, name, max(0, given + change))
            limits["generation_config"] = config
    return limits


def check_going_on(call: Mapping[str, Any]) -> None:
    """Check a call that goes on from a cache: a mask made for the longer input does not fit a shortened one.

    Raises:
        ConfigError: The mask is longer or shorter than what is in the cache and what comes now.
    """
    cache, mask = call.get("past_key_values"), call.get("attention_mask")
    now = call.get("input_ids") if call.get("input_ids") is not None else call.get("inputs_embeds")
    if cache is None or now is None or not isinstance(mask, Tensor) or mask.ndim != 2 or not cache.get_seq_length():
        return
    expected = int(cache.get_seq_length()) + now.shape[1]
    if mask.shape[1] != expected:
        raise ConfigError(
            f"attention_mask is {mask.shape[1]} long, expected {expected}: the input was shortened in a block that "
            "compresses; lengthen the mask from past_key_values.get_seq_length()"
        )


def _check(call: Mapping[str, Any], generating: bool) -> None:
    for name, reason in REFUSED.items():
        if call.get(name) is not None:
            raise ConfigError(f"{name} was given together with pixels in a block that compresses: {reason}")
    ids, mask, cache = (call.get(name) for name in ("input_ids", "attention_mask", "past_key_values"))
    if ids is None or ids.ndim != 2:
        raise ConfigError("pixels were given without input_ids of shape (B, L): pass what the processor made")
    if mask is not None and mask.shape != ids.shape:
        raise ConfigError(f"attention_mask has shape {tuple(mask.shape)}, expected that of input_ids")
    if cache is not None and cache.get_seq_length():
        raise ConfigError("pixels were given with a cache that holds text already: begin a conversation with them")
    config = call.get("generation_config")
    if generating and (call.get("use_cache") is False or getattr(config, "use_cache", None) is False):
        raise ConfigError("use_cache is False, but without a cache every step would read the ids again: leave it out")


@torch.no_grad()
def _text(
    family: Family, rows: list[Row], tokens: list[VisualTokens | None], length: int, left: bool
) -> dict[str, Tensor]:
    """Ids, embeddings, mask and positions, all of length L'."""
    ids = stack([row.ids for row in rows], length, left, fill=family.pad)  # (B, L')
    visual = stack([row.visual for row in rows], length, left)  # (B, L') bool
    mask = stack([torch.ones_like(row.ids) for row in rows], length, left)
    ends = torch.isin(ids, torch.tensor(sorted(family.placeholders), device=ids.device)) & ~visual & mask.bool()
    embed, device = family.model.get_input_embeddings(), family.adapter.device
    embeds = embed(ids.masked_fill(visual | ends, family.pad).to(device))  # (B, L', D)
    found = [own.data.to(embeds) for own in tokens if own is not None]
    embeds[visual.to(device)] = torch.cat(found) if found else embeds[:0, 0]
    end = family.adapter._video_end()
    if end is not None:
        embeds[ends.to(device)] = end.to(embeds).repeat(int(ends.sum()) // len(end), 1)
    positions = mask.cumsum(-1).sub(1).clamp(min=0)
    if isinstance(family.adapter, QwenVL):
        positions = positions_of_batch(family.adapter, rows, tokens, mask, left)
    text = {"input_ids": ids, "inputs_embeds": embeds, "attention_mask": mask, "position_ids": positions}
    if family.model.config.model_type in SEEN_BOTH_WAYS:
        text["token_type_ids"] = visual.long()
    return text
