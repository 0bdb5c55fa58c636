"""Placement of weights: device or devices, precision, attention kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

import torch

from dyto.errors import ConfigError, MissingExtraError, unknown
from dyto.models.facts import LARGE
from dyto.models.loading.devices import find_device, half_of
from dyto.models.loading.naming import ATTENTION, DTYPES, SPREADS
from dyto.models.loading.quantizing import check_reach, quantization_config, quantizer
from dyto.models.stock import StockModel

DeviceMap: TypeAlias = "str | Mapping[str, int | str | torch.device]"
"""A strategy of accelerate, or a device for each part of the model; "cpu" and "disk" hold the parts that do not fit."""


@dataclass(frozen=True)
class Placement:
    """The way to load weights.

    Attributes:
        revision: Branch, tag or commit of a Hub name.
        device: Device of the model; with a device map, the device that would be used without one.
        dtype: Dtype of the weights; None to choose by device and size.
        attention: Attention implementation of transformers; None for its default (SDPA).
        device_map: Distribution of the model over several devices; None for one device.
        quantization: "8bit" or "4bit" weights of the language model; None for none.
    """

    revision: str | None
    device: torch.device
    dtype: torch.dtype | None
    attention: str | None
    device_map: DeviceMap | None = None
    quantization: str | None = None

    @classmethod
    def of(
        cls,
        *,
        revision: str | None,
        device: str | None,
        dtype: str | torch.dtype | None,
        attention: str | None,
        device_map: DeviceMap | None,
        quantization: str | None,
    ) -> Placement:
        """Check the options before anything is downloaded.

        Raises:
            ConfigError: A name is unknown, or options do not work together or on this machine.
            MissingExtraError: The package accelerate or bitsandbytes is needed.
        """
        device = None if device == "auto" else device
        if device is not None and device_map is not None:
            raise ConfigError(f"device {device!r} and device_map were both given, expected one of them: leave one out")
        found = find_device(device)
        spread = _device_map(device_map)
        if quantization is not None:
            quantizer(quantization, found)
        placement = cls(revision, found, find_dtype(dtype), attention, spread, quantization)
        _check_attention(attention, placement)
        return placement

    def pick_dtype(self, parameters: int) -> torch.dtype:
        """Choose float32 for a small model on a CPU, otherwise bfloat16, or float16 if a device lacks it.

        With 8 bit weights, bitsandbytes computes in float16, the only dtype that it does not convert.
        """
        if self.dtype is not None:
            return self.dtype
        if self.quantization == "8bit" and not self._uses_torchao:
            return torch.float16
        if self.device.type != "cpu":
            return half_of(self.device.type)
        return torch.float32 if 4 * parameters <= LARGE else torch.bfloat16

    def options(self, model: StockModel) -> dict[str, Any]:
        """Return the options for `from_pretrained`.

        Args:
            model: A model of the same shape, on the meta device.
        """
        dtype = self.pick_dtype(sum(weight.numel() for weight in model.parameters()))
        told: dict[str, Any] = {"dtype": dtype, "attn_implementation": self.attention}
        if self.device_map is not None:
            told["device_map"] = self.device_map if isinstance(self.device_map, str) else dict(self.device_map)
        elif self.quantization is not None:
            told["device_map"] = {"": self.device}
        if self.quantization is not None:
            told["quantization_config"] = quantization_config(self.quantization, self.device, dtype, model)
        return told

    def refuse_for(self, name: str, rope_factor: float) -> None:
        """Refuse options that only a language model in memory has.

        Args:
            name: A model without one.
            rope_factor: Factor of RoPE scaling; 1 for none.

        Raises:
            ConfigError: An option was given.
        """
        for given, what in (
            (self.device_map, "device_map"),
            (self.quantization, "quantization"),
            (self.attention, "attn_implementation"),
            (self.revision, "revision"),
            (rope_factor != 1.0, "rope_scaling_factor"),
        ):
            if given:
                raise ConfigError(f"{what} was given, but model {name} has none: leave it out")

    def check_parts(self, model: StockModel) -> None:
        """Check that a device map names parts of a model, and all of them, and that quantization reaches most of it.

        Args:
            model: A model of the same shape, on the meta device.

        Raises:
            ConfigError: A name that no part has, a part without a device, or weights that no quantization reaches.
        """
        if self.quantization is not None:
            check_reach(self.quantization, model)
        if self.device_map is None or isinstance(self.device_map, str):
            return
        parts = [name for name, _ in model.named_modules()] + [name for name, _ in model.named_parameters()]
        for name in self.device_map:
            if name not in parts:
                raise unknown("part in device_map", name, [part for part in parts if part and part.count(".") < 2])
        for name, _ in model.named_parameters():
            if not any(not key or name == key or name.startswith(f"{key}.") for key in self.device_map):
                raise ConfigError(
                    f"device_map gives no device to {name!r}, expected one for every part: add it, or '' for the rest"
                )

    @property
    def _uses_torchao(self) -> bool:
        try:
            return self.quantization is not None and quantizer(self.quantization, self.device) == "torchao"
        except MissingExtraError:
            return False

    @property
    def is_settled(self) -> bool:
        """Whether `from_pretrained` puts the weights in their final place, so that nothing may move them later."""
        return self.device_map is not None or self.quantization is not None


def device_of(module: Any) -> torch.device:
    """Return the device on which a part of a model computes; with a device map, its weights may be elsewhere before.

    Args:
        module: A part of a model that was loaded with or without a device map.

    Example:
        >>> device_of(torch.nn.Linear(2, 2))
        device(type='cpu')
    """
    for part in module.modules():
        device = getattr(getattr(part, "_hf_hook", None), "execution_device", None)
        if device is not None:
            return torch.device(device)
    weight: torch.Tensor = next(module.parameters())
    return weight.device


def find_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Return the dtype of a name; raise a `ConfigError` for an unknown name."""
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    found: torch.dtype = getattr(torch, dtype)
    return found


def _device_map(spread: DeviceMap | None) -> DeviceMap | None:
    if spread is None:
        return None
    if isinstance(spread, str) and spread not in SPREADS:
        raise unknown("device map", spread, SPREADS)
    if not isinstance(spread, str):
        if not spread:
            raise ConfigError("device_map is empty, expected a device for every part: use 'auto'")
        for part, place in spread.items():
            if place not in ("cpu", "disk"):
                try:
                    find_device(f"cuda:{place}" if isinstance(place, int) else str(place))
                except ConfigError as err:
                    raise ConfigError(f"device_map puts {part or 'everything'!r} on {place!r}: {err}") from err
    if find_spec("accelerate") is None:
        raise MissingExtraError("a device map", "accelerate", "large")
    return spread


def _check_attention(name: str | None, placement: Placement) -> None:
    if name is not None and name not in ATTENTION:
        raise unknown("attention implementation", name, ATTENTION)
    if name != "flash_attention_2":
        return
    from transformers.utils import is_flash_attn_2_available

    rest = "leave attn_implementation out: SDPA, the default, has similar kernels"
    if placement.device.type != "cuda":
        raise ConfigError(f"found flash_attention_2 on {placement.device}, expected a CUDA device: {rest}")
    if not is_flash_attn_2_available():
        raise ConfigError(
            "flash_attention_2 needs the package flash-attn, which is not installed or too old: "
            f"pip install flash-attn --no-build-isolation, or {rest}"
        )
    if placement.dtype == torch.float32:
        raise ConfigError(f"found flash_attention_2 with float32, expected bfloat16 or float16: set dtype, or {rest}")
