"""The weight files of a checkpoint, and checks that they match its config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from transformers.utils.hub import cached_files

from dyto.errors import ModelError
from dyto.models.loading.complaints import in_one_line
from dyto.models.loading.devices import memory_of
from dyto.models.loading.files import find_file, read_json
from dyto.models.loading.placement import Placement

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"

MOST_HEADER = 32 << 20
"""Size limit of the list of tensors at the head of a file, in bytes; the largest checkpoints need 1 MB."""

LEAST_BYTES = {False: 1.0, True: 0.25}
"""Smallest number of bytes per weight that files must hold, without and with quantization."""


def weight_files(source: str, revision: str | None) -> list[Path]:
    """Find the weight files of a checkpoint, downloaded if necessary, and check their headers.

    Args:
        source: A folder or a Hub name.
        revision: Revision of a Hub name.

    Returns:
        The safetensors files.

    Raises:
        ModelError: There are no files, some are missing, an index names a file outside this checkpoint, or a file has
            an invalid header.
    """
    whole = find_file(source, WHOLE, revision)
    if whole is not None:
        files = [Path(whole)]
    else:
        index = read_json(source, INDEX, revision)
        if index is None:
            _check_reached(source, revision)
            raise ModelError(
                f"model {source} cannot be loaded: it has neither {WHOLE} nor {INDEX}, expected weights as "
                "*.safetensors (pickled weights are never read): convert them, or use another checkpoint"
            )
        files = _shards(source, revision, _named(source, index))
    for file in files:
        check_head(source, file)
    return files


def _check_reached(source: str, revision: str | None) -> None:
    """Tell a hub that cannot be reached from one that does not have the weights."""
    if Path(source).is_dir():
        return
    try:
        hf_hub_download(source, WHOLE, revision=revision)
    except LocalEntryNotFoundError as err:
        raise ModelError(
            f"model {source} cannot be loaded: its weights are not on this disk, and the hub cannot be reached, "
            "expected one of the two: check the network, and whether HF_HUB_OFFLINE is set"
        ) from err
    except EntryNotFoundError:
        pass


def _named(source: str, index: dict[str, Any]) -> list[str]:
    """Return the file names in an index; paths are refused."""
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ModelError(f"{INDEX} of model {source} names no files, expected a weight_map: download it again")
    for weight, file in places.items():
        if not isinstance(file, str) or not re.fullmatch(r"[\w.-]+\.safetensors", file) or file.startswith("."):
            raise ModelError(
                f"{INDEX} of model {source} says that {str(weight)[:80]} lies in {str(file)[:80]!r}, expected the name "
                "of a *.safetensors file of the same folder: do not use this checkpoint"
            )
    return sorted(set(places.values()))


def _shards(source: str, revision: str | None, names: list[str]) -> list[Path]:
    if Path(source).is_dir():
        missing = [name for name in names if not (Path(source) / name).is_file()]
        if missing:
            raise ModelError(
                f"model {source} cannot be loaded: {len(missing)} of {len(names)} files of weights are missing (first: "
                f"{missing[0]}), expected all of them: download it again"
            )
        return [Path(source) / name for name in names]
    return [Path(path) for path in in_one_line(source, cached_files, source, names, revision=revision) or []]


def check_head(source: str, file: Path) -> None:
    """Check the size of a file's list of tensors.

    Raises:
        ModelError: The list is larger than its limit.
    """
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
    if length > MOST_HEADER or length + 8 > file.stat().st_size:
        raise ModelError(
            f"model {source} cannot be loaded: {file.name} claims a list of tensors of {length} bytes, expected at "
            f"most {min(MOST_HEADER, max(0, file.stat().st_size - 8))}: download it again"
        )


def untied_unless_said(shape: Any, config: Mapping[str, Any]) -> Any:
    """Leave the head of a model its own weights unless a config says that it shares those of the embeddings.

    Some classes of transformers tie them if a config says nothing, even if its language model is of a kind that
    does not: a head that is missing from the files would then be made up.

    Args:
        shape: The config of the stock class; it is changed.
        config: The config.json that it was made from.

    Returns:
        `shape`.

    Example:
        >>> from transformers import InternVLConfig
        >>> untied_unless_said(InternVLConfig(), {}).tie_word_embeddings
        False
    """
    said = "tie_word_embeddings" in config
    if not said and not getattr(shape.get_text_config(), "tie_word_embeddings", False):
        shape.tie_word_embeddings = False
    return shape


def check_sizes(source: str, skeleton: Any, files: Iterable[Path], placement: Placement, quantized: bool) -> None:
    """Compare the model in a config with the size of the files and the memory.

    Args:
        source: The checkpoint.
        skeleton: The model described by the config, on the meta device.
        files: The weight files.
        placement: The placement of the model.
        quantized: Whether the files hold quantized weights.

    Raises:
        ModelError: The files or the memory are too small for this model.
    """
    count = sum(weight.numel() for weight in skeleton.parameters())
    held = sum(file.stat().st_size for file in files)
    if count * LEAST_BYTES[quantized] > held:
        raise ModelError(
            f"config.json of model {source} describes {_giga(count)} weights, but its files hold {_giga(held)} "
            "bytes, expected a byte for each at least: download it again, or use another checkpoint"
        )
    if placement.is_settled:  # spread over devices and the disk, or smaller than computed here
        return
    needed, there = count * placement.pick_dtype(count).itemsize, memory_of(placement.device)
    if there is not None and needed > there:
        raise ModelError(
            f"model {source} takes {_giga(needed)} bytes on {placement.device}, expected no more than the "
            f"{_giga(there)} that are there: take a smaller model, device_map='auto', or quantization"
        )


def _giga(number: float) -> str:
    return f"{number / 1e9:.3g} billion"
