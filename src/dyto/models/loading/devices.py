"""The devices of a machine: which exist, which to choose, and how their kinds differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dyto.errors import ConfigError
from dyto.system.memory import machine_memory

ACCELERATORS = ("cuda", "xpu", "mps")
"""Kinds other than the CPU, in the order in which one is chosen by default: for NVIDIA and AMD, for Intel, for
Apple."""

EXPECTED = "cpu, cuda, cuda:N, xpu, xpu:N, mps or auto"


def is_there(kind: str) -> bool:
    """Return whether torch can use a device of a kind of `ACCELERATORS` on this machine.

    Example:
        >>> is_there("cuda") in (True, False)
        True
    """
    there: Any = torch.backends.mps if kind == "mps" else getattr(torch, kind)
    return bool(there.is_available())


def count(kind: str) -> int:
    """Count the devices of a kind of `ACCELERATORS` that torch can use on this machine."""
    return int(is_there(kind) if kind == "mps" else getattr(torch, kind).device_count())


def best_kind() -> str:
    """Return the default kind of device: the first available accelerator, or "cpu"."""
    return next((kind for kind in ACCELERATORS if is_there(kind)), "cpu")


def numbered_devices() -> list[str]:
    """Return the names of all cards of the first available kind, ["cuda:0", ...]; empty without a card."""
    kind = next((kind for kind in ("cuda", "xpu") if count(kind)), "cpu")
    return [f"{kind}:{number}" for number in range(0 if kind == "cpu" else count(kind))]


def find_device(device: str | None) -> torch.device:
    """Return the device with a name; the best available one for None or "auto".

    Args:
        device: "auto", "cpu", "cuda", "cuda:N", "xpu", "xpu:N" or "mps".

    Raises:
        ConfigError: The name is unknown, or the device cannot be used on this machine.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    if device in (None, "auto"):
        return torch.device(best_kind())
    try:
        found = torch.device(str(device))
    except RuntimeError as err:
        raise ConfigError(f"device {device!r} is unknown, expected {EXPECTED}") from err
    if found.type in ACCELERATORS and (found.index or 0) >= (there := count(found.type)):
        raise ConfigError(
            f"found device {device!r}, but this machine has {there} {found.type.upper()} devices: use {best_kind()}"
        )
    try:
        torch.zeros(1, device=found).item()
    except (RuntimeError, NotImplementedError, AssertionError) as err:
        raise ConfigError(f"device {device!r} cannot be used on this machine, expected {EXPECTED}: use cpu") from err
    return found


def half_of(kind: str) -> torch.dtype:
    """Return the 16 bit dtype of a kind of device: bfloat16, or float16 if it lacks bfloat16."""
    has_bfloat16: dict[str, Callable[[], Any]] = {
        "cuda": lambda: torch.cuda.is_bf16_supported(),
        "xpu": lambda: torch.xpu.is_bf16_supported(),
        "mps": lambda: torch.backends.mps.is_macos_or_newer(14, 0),
    }
    return torch.bfloat16 if has_bfloat16.get(kind, lambda: True)() else torch.float16


def memory_of(device: torch.device) -> int | None:
    """Return the total bytes of memory of a device, including swap on a CPU; None if unknown."""
    if device.type in ("cuda", "xpu"):
        return int(getattr(torch, device.type).get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return machine_memory()
