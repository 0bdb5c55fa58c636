"""Quantizing the weights of the language model: by which package, on which device, and with which exceptions."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from dyto.errors import ConfigError, MissingExtraError, unknown
from dyto.models.loading.naming import QUANTIZATIONS
from dyto.models.stock import StockModel

LANGUAGE_PARTS = ("language_model", "text_model")
"""Names of the language model. Quantization leaves the other parts alone: they are small, and they affect
every answer."""

LEAST_SHARE = 0.5
"""Smallest share of a language model's weights, without embeddings, that quantization must reach."""


def quantizer(name: str, device: torch.device) -> str:
    """Choose the quantizing package: bitsandbytes, or on a CPU torchao for 8 bit if it is installed.

    Args:
        name: "8bit" or "4bit".
        device: Device of the model.

    Raises:
        ConfigError: The name is unknown.
        MissingExtraError: Neither package is installed, or accelerate is not.
    """
    if name not in QUANTIZATIONS:
        raise unknown("quantization", name, QUANTIZATIONS)
    usable = {"bitsandbytes": True, "torchao": name == "8bit"}
    order = ["torchao", "bitsandbytes"] if device.type == "cpu" else ["bitsandbytes", "torchao"]
    found = next((package for package in order if usable[package] and find_spec(package)), None)
    if found is None or find_spec("accelerate") is None:
        raise MissingExtraError(f"quantization {name}", "bitsandbytes and accelerate", "quantized")
    return found


def quantization_config(name: str, device: torch.device, dtype: torch.dtype, model: StockModel) -> Any:
    """Return the quantization config for `from_pretrained`.

    Args:
        name: "8bit" or "4bit".
        device: Device of the model.
        dtype: The dtype in which it computes.
        model: A model of the same shape, on the meta device.
    """
    parts = [name for name, _ in model.model.named_children()]
    kept = ["lm_head", *(f"model.{part}" for part in parts if part not in LANGUAGE_PARTS)]
    if quantizer(name, device) == "torchao":
        from transformers import TorchAoConfig

        way = import_module("torchao.quantization").Int8WeightOnlyConfig
        return TorchAoConfig(way(version=2), modules_to_not_convert=kept)
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_8bit=name == "8bit",
        load_in_4bit=name == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=kept,
    )


def check_reach(name: str, model: StockModel) -> None:
    """Check that most of a language model consists of linear layers, because only these are quantized.

    Args:
        name: "8bit" or "4bit".
        model: A model of the same shape, on the meta device.

    Raises:
        ConfigError: Most of it is experts, which stock transformers keeps in layers of another kind.
    """
    for part in LANGUAGE_PARTS:
        language = getattr(model.model, part, None)
        if language is None:
            continue
        modules = list(language.modules())
        words = sum(m.weight.numel() for m in modules if isinstance(m, nn.Embedding))
        linear = sum(m.weight.numel() for m in modules if isinstance(m, nn.Linear))
        every = sum(weight.numel() for weight in language.parameters()) - words
        if linear < LEAST_SHARE * every:
            raise ConfigError(
                f"found quantization {name}, which reaches only {linear / max(1, every):.0%} of this language model, "
                f"expected {LEAST_SHARE:.0%} or more: its experts are not linear layers; use device_map='auto', or a "
                "checkpoint that is already quantized"
            )
