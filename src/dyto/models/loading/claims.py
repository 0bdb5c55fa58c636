"""Checks of a config.json before anything is built from it, and removal of keys that it must not set.

A few bytes can claim a model of any size, and name programs, places and kernels. Here one table limits the sizes, and
the rest is removed: a checkpoint describes its model, but does not choose what is run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dyto.errors import ModelError


@dataclass(frozen=True)
class Bound:
    """Limits on the numbers of some config keys.

    Attributes:
        what: The quantity that they count.
        least: The smallest allowed number.
        most: The largest allowed number.
        exact: Keys that hold only whole numbers, or lists of them; a trailing "?" also allows None.
        like: A pattern of further keys with the same limits.
    """

    what: str
    least: float
    most: float
    exact: tuple[str, ...] = ()
    like: str = "(?!)"

    def names(self, key: str) -> bool:
        """Return whether the limits apply to this key."""
        return key in self.exact or f"{key}?" in self.exact or re.search(self.like, key) is not None


BOUNDS = (
    Bound("layers", 1, 1000, ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth", "num_blocks")),
    Bound("heads", 1, 1024, ("num_attention_heads", "num_heads", "n_head", "num_key_value_heads?"), "heads$"),
    Bound("numbers a head", 1, 8192, ("head_dim?",)),
    Bound("numbers a token", 1, 1 << 20, ("hidden_size", "intermediate_size?", "embed_dim", "out_hidden_size"),
          r"(hidden_size|intermediate_size|_dim|d_model|d_ff|width)$"),
    Bound("tokens of a vocabulary", 1, 1 << 23, ("vocab_size",), "vocab_size$"),
    Bound("pixels a side", 1, 8192, ("image_size",), "(image_size|crop_size|resolution|pinpoints)$"),
    Bound("pixels a patch", 1, 1024, ("patch_size", "temporal_patch_size", "spatial_merge_size"), "patch_size$"),
    Bound("channels", 1, 64, ("num_channels", "in_channels", "in_chans")),
    Bound("experts", 0, 4096, (), "experts"),
    Bound("tokens of a picture", 1, 1 << 20, ("image_seq_length", "mm_tokens_per_image", "num_position_embeddings")),
    Bound("places of a text", 1, 1 << 27, ("max_position_embeddings",), "max_position_embeddings$"),
    Bound("layers", -1000, 1000, (), "layers?$|_indexes$"),
    Bound("times", 1e-6, 1e6, (), "(ratio|factor|stride)$"),
)  # fmt: skip
"""The limits; the first that applies to a key counts. The largest models are far below: Llama 3.1 405B has 126 layers
of 16,384 numbers a token, Gemma 3 has 262,208 words, Llama 4 reads 10,485,760 places, Kimi K2 has 384 experts."""

REST = Bound("", -(1 << 31), 1 << 31)
"""Limits on whole numbers of all other keys."""

ENDLESS = ("time_step_limit", "time_step_max")
"""Keys of state space models that may be infinite."""

WRITTEN = ("Infinity", "-Infinity", "NaN")
"""Numbers that transformers writes as {"__float__": "Infinity"}, because JSON has none of them."""

MOST_DEPTH = 32
"""Largest nesting depth of objects and lists."""

NOT_ITS_OWN = frozenset({
    "auto_map", "custom_pipelines", "custom_generate", "configuration_files", "transformers_weights",
    "name_or_path", "_name_or_path", "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
    "experts_implementation", "_experts_implementation", "_experts_implementation_internal", "kernel_config",
    "use_kernels", "fusion_config", "distributed_config",
})  # fmt: skip
"""Keys that a config.json must not set: programs, their places and those of weights, and kernels."""

QUANTIZED = ("awq", "bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit", "compressed-tensors", "fp8", "gptq")
"""Allowed quantization methods of a checkpoint's weights."""


def checked_claims(name: str, config: Mapping[str, Any], file: str = "config.json") -> dict[str, Any]:
    """Check a config.json, or a file like it, and remove keys that it must not set.

    Args:
        name: Name of the model, for errors.
        config: Content of the file.
        file: Name of the file, for errors.

    Returns:
        A copy without the keys in `NOT_ITS_OWN`, at any depth.

    Raises:
        ModelError: A size exceeds its limit, or a value has the wrong type; the message names it.

    Example:
        >>> checked_claims("m", {"hidden_size": 64, "auto_map": {"AutoModel": "evil.Model"}})
        {'hidden_size': 64}
        >>> checked_claims("m", {"text_config": {"hidden_size": 10**9}})
        Traceback (most recent call last):
        dyto.errors.ModelError: config.json of model m says text_config.hidden_size = 1000000000, expected 1 to \
1048576 numbers a token: download it again, or use another checkpoint
    """
    where = f"{file} of model {name}"
    found: dict[str, Any] = _checked(where, (), dict(config))
    _check_quantization(where, found.get("quantization_config"))
    return found


def _checked(where: str, path: tuple[str, ...], value: Any) -> Any:
    if len(path) > MOST_DEPTH:
        raise _refused(where, path[:3], "...", f"{MOST_DEPTH} objects inside one another at most")
    key = next((part for part in reversed(path) if not part.isdigit()), "")
    bound = next((bound for bound in BOUNDS if bound.names(key)), REST)
    if isinstance(value, dict) and value.keys() == {"__float__"} and value["__float__"] in WRITTEN:
        value = float(value["__float__"])
    if isinstance(value, dict):
        if key in bound.exact:
            raise _refused(where, path, value, _expected(bound))
        if not path or path[-1].endswith("_config"):
            _check_heads(where, path, value)
        return {k: _checked(where, (*path, str(k)), v) for k, v in value.items() if k not in NOT_ITS_OWN}
    if key.endswith("_config") and not isinstance(value, (bool, type(None))) and path[-1] == key:  # (is_llama_config)
        raise _refused(where, path, value, "an object")
    if isinstance(value, list):
        return [_checked(where, (*path, str(place)), one) for place, one in enumerate(value)]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    strict = key in bound.exact or f"{key}?" in bound.exact
    if strict and not isinstance(value, int) | (value is None and key not in bound.exact):
        raise _refused(where, path, value, _expected(bound))
    if strict and isinstance(value, bool):
        raise _refused(where, path, value, _expected(bound))
    if number and not math.isfinite(value) and (key not in ENDLESS or math.isnan(value)):
        raise _refused(where, path, value, "a finite number")
    if number and not bound.least <= value <= bound.most and (bound is not REST or isinstance(value, int)):
        raise _refused(where, path, value, _expected(bound))
    return value


def _check_heads(where: str, path: tuple[str, ...], config: Mapping[str, Any]) -> None:
    """Check that the numbers of heads divide evenly."""

    def whole(key: str) -> int:
        value = config.get(key)
        return value if isinstance(value, int) and value > 0 else 0

    heads = whole("num_attention_heads") or whole("num_heads")
    width, groups = whole("hidden_size"), whole("num_key_value_heads")
    if heads and width % heads and not config.get("head_dim"):
        raise _refused(where, (*path, "num_attention_heads"), heads, f"a divisor of hidden_size, {width}")
    if heads and groups and heads % groups:
        raise _refused(where, (*path, "num_key_value_heads"), groups, f"a divisor of num_attention_heads, {heads}")


def _check_quantization(where: str, said: Any) -> None:
    if said is None:
        return
    method = said.get("quant_method")
    if method is None and (said.get("load_in_4bit") or said.get("load_in_8bit")):
        return
    if method not in QUANTIZED:
        raise _refused(where, ("quantization_config", "quant_method"), method, f"one of {', '.join(QUANTIZED)}")


def _expected(bound: Bound) -> str:
    text = f"{bound.least:.10g} to {bound.most:.10g}"
    return f"{text} {bound.what}" if bound.what else f"a number from {text}"


def _refused(where: str, path: tuple[str, ...], value: Any, expected: str) -> ModelError:
    shown = repr(value) if not isinstance(value, (dict, list)) else f"a {type(value).__name__}"
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    return ModelError(
        f"{where} says {'.'.join(path)[:100]} = {shown}, expected {expected}: "
        "download it again, or use another checkpoint"
    )
