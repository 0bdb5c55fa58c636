"""How an answer is written: the generation options that may be set, and what stock transformers is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from dyto.errors import ConfigError, unknown

SET_OTHERWISE = ("max_new_tokens", "batch_size", "streamer", "stop")
"""Options that have an argument of their own."""

UNSUPPORTED = (
    "num_beams", "num_beam_groups", "num_return_sequences", "return_dict_in_generate", "stop_strings", "guidance_scale",
)  # fmt: skip
"""Options that want more than one continuation of a kept prefix, or another result than a text."""


def check_generation(max_new_tokens: int, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check what was asked of the generation before anything runs.

    Args:
        max_new_tokens: Most tokens of an answer.
        options: Generation options of transformers, such as `do_sample`; None for none.

    Returns:
        The options.

    Raises:
        ConfigError: No token allowed, or an option that is unknown, unsupported or set by another argument.

    Example:
        >>> check_generation(10, {"do_sample": True, "temperature": 0.7})
        {'do_sample': True, 'temperature': 0.7}
    """
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens is {max_new_tokens}, expected at least 1")
    elsewhere = (*SET_OTHERWISE, *UNSUPPORTED, "transformers_version")
    known = [key for key in vars(GenerationConfig()) if key not in elsewhere and not key.startswith("_")]
    for key in options or {}:
        if key in SET_OTHERWISE:
            raise ConfigError(f"generation option {key!r} given, expected it as an argument of its own: move it there")
        if key in UNSUPPORTED:
            raise ConfigError(f"generation option {key!r} is not supported, expected one text an answer: leave it out")
        if key not in known:
            raise unknown("generation option", key, known)
    return dict(options or {})


def generation_config(model: Any, tokenizer: Any, max_new_tokens: int, options: Mapping[str, Any]) -> GenerationConfig:
    """The config for one call of `generate`: greedy unless the options say otherwise.

    Args:
        model: The stock model, whose own config says where an answer ends.
        tokenizer: Asked where the model says nothing.
        max_new_tokens: Most tokens of an answer.
        options: Generation options of transformers.
    """
    own = model.generation_config
    eos = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    first_eos = eos[0] if isinstance(eos, list) else eos
    pad = own.pad_token_id if own.pad_token_id is not None else tokenizer.pad_token_id
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        **{
            "do_sample": False,
            "eos_token_id": eos,
            "pad_token_id": first_eos if pad is None else pad,
            "bos_token_id": own.bos_token_id,
            **options,
        },
    )


def stopping(stop: Callable[[], bool]) -> list[Callable[..., Tensor]]:
    """Stopping criteria that end all answers of a batch as soon as `stop` says so.

    Args:
        stop: Asked after each token.
    """

    def criterion(ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return torch.full((len(ids),), stop(), dtype=torch.bool, device=ids.device)

    return [criterion]


def check_time_text(text: str) -> str:
    """Check a format for the time of a frame.

    Args:
        text: With `{seconds}`, which may say how it is written; "" for none.

    Returns:
        The format.

    Raises:
        ConfigError: It cannot be filled.

    Example:
        >>> check_time_text("second {seconds:.1f}: ").format(seconds=12.25)
        'second 12.2: '
    """
    try:
        text.format(seconds=1.5)
    except (KeyError, IndexError, ValueError, AttributeError) as err:
        raise ConfigError(f"time_text {text!r} cannot be filled ({err}), expected e.g. '{{seconds:.1f}} s: '") from err
    return text
