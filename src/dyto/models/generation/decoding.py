"""Decoding of answers: the allowed generation options, and the config for stock transformers."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from dyto.errors import ConfigError, unknown
from dyto.models.stock import StockModel, Tokenizer

SET_OTHERWISE = ("max_new_tokens", "batch_size", "streamer", "stop")
"""Options that have their own argument."""

UNSUPPORTED = (
    "num_beams", "num_beam_groups", "num_return_sequences", "return_dict_in_generate", "stop_strings", "guidance_scale",
    "diversity_penalty", "penalty_alpha", "dola_layers", "constraints", "force_words_ids", "token_healing", "use_mtp",
    "max_length", "min_length", "use_cache", "cache_implementation", "cache_config", "max_cache_len",
    "prompt_lookup_num_tokens", "assistant_early_exit", "is_assistant",
)  # fmt: skip
"""Unsupported options: they need several continuations of a kept prefix, another cache, the ids of the prompt, or a
result other than a text; or they are lengths that count the prompt."""

GREEDY: dict[str, Any] = {
    "do_sample": False, "num_beams": 1, "num_return_sequences": 1, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
    "typical_p": 1.0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0, "early_stopping": False, "renormalize_logits": False,
    "remove_invalid_values": False, "use_cache": True, "min_length": 0, "output_scores": False,
    "output_logits": False, "output_attentions": False, "output_hidden_states": False,
    "return_dict_in_generate": False,
}  # fmt: skip
"""Defaults: the likeliest token at every step. Sampler options take effect when `do_sample` is True. Every other option
of transformers is off, see `without_options`."""


LEAST_TEMPERATURE = 1e-6
"""Temperatures below count as this one, at which the likeliest token is as good as certain: logits divided by less are
infinite in float32."""


def check_generation(max_new_tokens: int, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check generation options before anything runs.

    Args:
        max_new_tokens: Largest number of tokens in an answer.
        options: Generation options of transformers, such as `do_sample`; None for none.

    Returns:
        The options.

    Raises:
        ConfigError: No token is allowed, or an option is unknown, unsupported or has its own argument.

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
            raise ConfigError(f"generation option {key!r} given, expected a separate argument: move it there")
        if key in UNSUPPORTED:
            raise ConfigError(
                f"generation option {key!r} is not supported, because each question gets one answer: leave it out"
            )
        if key not in known:
            raise unknown("generation option", key, known)
    return dict(options or {})


def generation_config(
    model: StockModel, tokenizer: Tokenizer, max_new_tokens: int, options: Mapping[str, Any]
) -> GenerationConfig:
    """Return the config for one call of `generate`: greedy unless `options` differ, whatever the checkpoint says.

    Args:
        model: The stock model; only the end ids of its own config count.
        tokenizer: Source of the end ids if the model has none.
        max_new_tokens: Largest number of tokens in an answer.
        options: Generation options of transformers.
    """
    told = {
        **GREEDY,
        "max_new_tokens": max_new_tokens,
        "eos_token_id": end_ids(model, tokenizer) or None,
        "pad_token_id": pad_id(model, tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
    }
    config = GenerationConfig(**{**told, **options})
    if isinstance(config.temperature, float) and 0 < config.temperature < LEAST_TEMPERATURE:
        config.temperature = LEAST_TEMPERATURE
    return config


def stated_options(model: StockModel, tokenizer: Tokenizer, max_new_tokens: int) -> dict[str, Any]:
    """Return the default options of `generate`, for a record; every other option is off.

    Args:
        model: The stock model.
        tokenizer: The model's tokenizer.
        max_new_tokens: Largest number of tokens in an answer.
    """
    told = vars(generation_config(model, tokenizer, max_new_tokens, {}))
    return {
        name: value
        for name, value in told.items()
        if value is not None and not name.startswith("_") and name != "transformers_version"
    }


def end_ids(model: StockModel, tokenizer: Tokenizer) -> list[int]:
    """Return the ids that end an answer: from generation_config.json, or else from config.json and the tokenizer.

    Args:
        model: The stock model.
        tokenizer: The model's tokenizer.

    Returns:
        The ids; empty if none are named.
    """
    config = model.config
    own = _ids(model.generation_config.eos_token_id)
    return (
        own
        or _ids([getattr(config, "eos_token_id", None), tokenizer.eos_token_id])
        or _ids(getattr(config.get_text_config(), "eos_token_id", None))
    )


def pad_id(model: StockModel, tokenizer: Tokenizer) -> int:
    """Return the id that follows in a row that has ended, while others of its batch go on.

    Args:
        model: The stock model.
        tokenizer: The model's tokenizer.
    """
    size = model.get_input_embeddings().weight.shape[0]
    pads = _ids([model.generation_config.pad_token_id, tokenizer.pad_token_id, *end_ids(model, tokenizer), 0])
    return next(pad for pad in pads if pad < size)  # an id above the vocabulary cannot be embedded


def _ids(said: Any) -> list[int]:
    """Return the ids in a file's value: one, a list, or nested lists; each once."""
    if isinstance(said, Iterable) and not isinstance(said, (str, bytes, Mapping)):
        return list(dict.fromkeys(number for one in said for number in _ids(one)))
    return [said] if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else []


def without_options(model: StockModel) -> Any:
    """Return the same stock model without its own generation config.

    Stock `generate` fills missing options from `model.generation_config`, in which a checkpoint may have put penalties,
    beams and lengths. The weights are shared, and the original model is unchanged.

    Args:
        model: A stock model.
    """
    bare: Any = copy.copy(model)
    bare.generation_config = GenerationConfig()
    bare.prepare_inputs_for_generation = for_first_step(taking_embeds(bare.prepare_inputs_for_generation))
    return bare


def for_first_step(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """Keep embeddings of layers from steps that read ids, because the model computes them from these.

    Gemma 4 drops them by itself; Gemma 3n passes them on and then refuses them.

    Args:
        prepare: `prepare_inputs_for_generation` of a stock model.
    """

    @functools.wraps(prepare)
    def preparing(*args: Any, **kwargs: Any) -> Any:
        inputs = prepare(*args, **kwargs)
        if inputs.get("input_ids") is not None:
            inputs.pop("per_layer_inputs", None)
        return inputs

    return preparing


def taking_embeds(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """Declare in a function's signature that it takes embeddings, which stock `generate` looks for.

    Some families name there only what they add, and hand on all else.

    Args:
        prepare: `prepare_inputs_for_generation` of a stock model.
    """
    signature = inspect.signature(prepare)
    if "inputs_embeds" in signature.parameters:
        return prepare

    def taking(*args: Any, **kwargs: Any) -> Any:
        return prepare(*args, **kwargs)

    named = dict(signature.parameters)
    rest = named.popitem()
    named["inputs_embeds"] = inspect.Parameter("inputs_embeds", inspect.Parameter.KEYWORD_ONLY, default=None)
    taking.__signature__ = signature.replace(parameters=[*named.values(), rest[1]])  # type: ignore[attr-defined]
    return taking


def through_end(ids: Tensor, ends: int | Sequence[int] | None) -> list[Tensor]:
    """Cut the answers of one batch after their end tokens; the rest is padding.

    Args:
        ids: (Q, n) ids.
        ends: The ids that end an answer.

    Example:
        >>> [row.tolist() for row in through_end(torch.tensor([[5, 2, 0, 0], [5, 6, 7, 2]]), [2])]
        [[5, 2], [5, 6, 7, 2]]
    """
    stops = torch.isin(ids, torch.as_tensor(_ids(ends), dtype=ids.dtype, device=ids.device))  # (Q, n)
    lengths = [int(row.nonzero()[0]) + 1 if row.any() else len(row) for row in stops]
    return [row[:length] for row, length in zip(ids, lengths, strict=True)]


def stopping(stop: Callable[[], bool]) -> list[Callable[..., Tensor]]:
    """Return stopping criteria that end all answers of a batch when `stop` returns True.

    Args:
        stop: Function called after each token.
    """

    def criterion(ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return torch.full((len(ids),), stop(), dtype=torch.bool, device=ids.device)

    return [criterion]


def check_time_text(text: str) -> str:
    """Check a format for the time of a frame.

    Args:
        text: Text with `{seconds}`, optionally with a format; "" for none.

    Returns:
        The format.

    Raises:
        ConfigError: The format cannot be filled.

    Example:
        >>> check_time_text("second {seconds:.1f}: ").format(seconds=12.25)
        'second 12.2: '
    """
    try:
        text.format(seconds=1.5)
    except (KeyError, IndexError, ValueError, AttributeError) as err:
        raise ConfigError(f"time_text {text!r} cannot be filled ({err}), expected e.g. '{{seconds:.1f}} s: '") from err
    return text
