"""The state of a training run in one safetensors file: weights, moments, the step, the history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dyto.errors import ConfigError, ModelError
from dyto.system.files import replacing


def save_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the state, whole or not at all.

    Args:
        path: The file; its folder is made if missing.
        tensors: All weights and moments by name.
        facts: What else must be known to go on; anything JSON can hold.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as half:
        save_file(whole, half, metadata={"facts": json.dumps(dict(facts))})


def load_facts(path: Path) -> dict[str, Any]:
    """What `save_state` was told beside the tensors.

    Args:
        path: The file.

    Returns:
        The facts.

    Raises:
        ModelError: The file is not a state of this recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts: dict[str, Any] = json.loads((file.metadata() or {})["facts"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as err:
        raise ModelError(
            f"{path} is not a training state ({err}), expected a file that this recipe wrote: name another "
            "with --state, or remove it to start anew"
        ) from err
    return facts


def load_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into existing ones.

    Args:
        path: The file.
        tensors: Where to; names and shapes must be those of the file.

    Raises:
        ConfigError: Names or shapes differ.
    """
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        if names != set(tensors):
            odd = sorted(names ^ set(tensors))[:3]
            raise ConfigError(
                f"{path} holds {len(names)} tensors where {len(tensors)} are expected (first differences: "
                f"{', '.join(odd)}): it belongs to another version of the model or the recipe; start anew"
            )
        with torch.no_grad():
            for name, tensor in tensors.items():
                saved = file.get_tensor(name)
                if saved.shape != tensor.shape:
                    raise ConfigError(
                        f"{path}: {name} has shape {tuple(saved.shape)}, expected {tuple(tensor.shape)}: "
                        "it belongs to another version of the model; start anew"
                    )
                tensor.copy_(saved)


def check_settings(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than the run began with.

    Args:
        path: The state file, for the message.
        saved: The settings it was written with.
        wanted: The settings asked for now.

    Raises:
        ConfigError: They differ; the message names each difference.
    """
    keys = sorted(set(saved) | set(wanted))
    odd = [f"{k} was {saved.get(k)!r}, now {wanted.get(k)!r}" for k in keys if saved.get(k) != wanted.get(k)]
    if odd:
        raise ConfigError(
            f"{path} belongs to a run with other settings ({'; '.join(odd)}): give the same ones, or another --state"
        )
