"""Names of models and of ways to load them, checked before torch or transformers is imported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dyto.errors import ModelError, unknown
from dyto.eye.package import can_see
from dyto.models.catalog import CATALOG
from dyto.models.loading.chosen import chosen_model

DTYPES = ("float32", "bfloat16", "float16")
ATTENTION = ("sdpa", "eager", "flash_attention_2")
QUANTIZATIONS = ("8bit", "4bit")
SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Strategies of accelerate for spreading a model over the available devices."""

BUNDLED = ("tiny", "nouns")
AUTO = "auto"
"""The name that stands for the first model of `dyto.models.ranking`."""
ENDPOINT = "endpoint:"
"""What begins the name of a model behind an endpoint."""


def usual_model(name: str | None) -> str:
    """Return the model for `dyto ask`: the named one, the chosen one, or the best bundled one.

    Args:
        name: The given name; None for none.

    Returns:
        `name`, or that of `chosen_model`, or "nouns" if the extra `see` is installed, or "tiny".
    """
    chosen = None if name else chosen_model()
    return name or (chosen.model if chosen else "nouns" if can_see() else "tiny")


def locate(text: str) -> str:
    """Return the folder or Hub name of a model that is not bundled.

    Args:
        text: A short name, a folder or a Hub name.

    Raises:
        ConfigError: The name is unknown.
        ModelError: The folder does not exist, or is a file.

    Example:
        >>> locate("qwen3-vl-2b")
        'Qwen/Qwen3-VL-2B-Instruct'
    """
    if text in CATALOG:
        return CATALOG[text].source
    path = Path(text).expanduser()
    if path.is_dir():
        return str(path)
    if path.exists():
        raise ModelError(f"model {text} is a file, expected a folder with config.json and *.safetensors")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", text) and not text.startswith((".", "~")):
        return text
    if os.sep in text or text.startswith((".", "~")):
        raise ModelError(
            f"model folder {text} does not exist: give a folder, a hub name or a name of `dyto list models`"
        )
    raise unknown("model", text, CATALOG)


def check_names(model: str, options: Mapping[str, Any]) -> None:
    """Check what can be told of a model and its options from their names; the rest is checked while it is loaded.

    Args:
        model: A short name, a folder or a Hub name.
        options: Options of `dyto.load_model`.

    Raises:
        ConfigError: A name is unknown.
        ModelError: The model's folder does not exist, or is a file.

    Example:
        >>> check_names("tiny", {"dtype": "float32"})
    """
    if model not in (*BUNDLED, AUTO) and not model.startswith(ENDPOINT):
        locate(model)
    named: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("dtype", "dtype", DTYPES),
        ("attention implementation", "attn_implementation", ATTENTION),
        ("quantization", "quantization", QUANTIZATIONS),
        ("device map", "device_map", SPREADS),
    )
    for kind, option, known in named:
        value = options.get(option)
        if isinstance(value, str) and value not in known:
            raise unknown(kind, value, known)
