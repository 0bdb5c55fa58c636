"""The small files next to the weights of a checkpoint, and their download."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import GenerationConfig
from transformers.utils import cached_file
from transformers.utils import logging as hf_logging

from dyto.errors import ModelError
from dyto.models.loading.complaints import in_one_line
from dyto.models.pixels import Normalization

MOST_BYTES = {"tokenizer.json": 256 << 20, "tokenizer.model": 64 << 20, "model.safetensors.index.json": 64 << 20}
"""Size limits of some files of a checkpoint, in bytes. (The largest known tokenizer.json, Gemma's, has 33 MB.)"""

MOST_OTHER_BYTES = 16 << 20
"""Size limit of any other file that does not hold weights, in bytes."""

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Silence the progress bars of transformers, such as for loading weights; download bars stay."""
    shown, downloads = hf_logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    hf_logging.disable_progress_bar()
    if downloads:
        enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()
        if not downloads:
            disable_progress_bars()


def read_ends(source: str, revision: str | None) -> GenerationConfig:
    """Read the ids for the beginning, end and padding of texts from a checkpoint's generation_config.json.

    Nothing else is read from it: the caller decides how to decode, see `dyto.models.generation.decoding`.
    """
    said = read_json(source, "generation_config.json", revision) or {}
    ends = {name: said.get(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    for name, value in ends.items():
        for number in value if isinstance(value, list) else [value]:
            if number is not None and (type(number) is not int or not -1 <= number < 1 << 31):
                raise ModelError(
                    f"generation_config.json of model {source} says {name} = {str(value)[:40]!r}, expected the number "
                    "of a token, or a list of them: download it again"
                )
    return GenerationConfig(**ends)


def find_file(source: str, name: str, revision: str | None) -> str | None:
    """Return the path of a checkpoint's file, downloaded if necessary; None if there is no such file.

    Raises:
        ModelError: The file is larger than its limit, or its download ends early.
    """
    found: str | None = in_one_line(
        source,
        cached_file,
        source,
        name,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is not None and not name.endswith(".safetensors"):
        check_bytes(source, Path(found))
    return found


def check_bytes(source: str, file: Path) -> None:
    """Check the size of a file before it is read.

    Raises:
        ModelError: The file is larger than its limit.
    """
    size, most = file.stat().st_size, MOST_BYTES.get(file.name, MOST_OTHER_BYTES)
    if size > most:
        raise ModelError(
            f"{file.name} of model {source} has {size / 2**20:.0f} MiB, expected {most >> 20} MiB at most: "
            "download it again, or use another checkpoint"
        )


def read_normalization(
    source: str, revision: str | None, usual: tuple[tuple[float, ...], tuple[float, ...]] | None = None
) -> Normalization:
    """Mean and standard deviation of the image processor; the usual ones, or CLIP's, if a checkpoint has none."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        settings = read_json(source, name, revision) or {}
        settings = settings.get("image_processor", settings)
        try:
            if not isinstance(settings, dict):
                raise ValueError(f"image_processor is a {type(settings).__name__}")
            if "image_mean" in settings and "image_std" in settings:
                (r, g, b), (dr, dg, db) = (map(float, settings[key]) for key in ("image_mean", "image_std"))
                if not all(map(math.isfinite, (r, g, b, dr, dg, db))) or min(dr, dg, db) <= 0:
                    raise ValueError(f"mean {r}, {g}, {b}, deviation {dr}, {dg}, {db}")
                return Normalization((r, g, b), (dr, dg, db))
        except (ValueError, TypeError) as err:
            raise ModelError(
                f"{name} of model {source} cannot be read ({err}), expected image_mean and image_std of three numbers "
                "each: download it again"
            ) from err
    return Normalization(*usual) if usual else Normalization()


def read_json(source: str, name: str, revision: str | None) -> dict[str, Any] | None:
    """Read the object in a JSON file of a checkpoint; None if there is no such file."""
    path = find_file(source, name, revision)
    return None if path is None else parse_json(source, Path(path))


def parse_json(source: str, path: Path) -> dict[str, Any]:
    """Parse the object in a JSON file of a checkpoint.

    Raises:
        ModelError: The file is not a JSON object, or too large.
    """
    check_bytes(source, path)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError(f"it holds a {type(settings).__name__}")
    except (OSError, ValueError, RecursionError) as err:
        raise ModelError(
            f"{path.name} of model {source} cannot be read ({err}), expected a JSON object: download it again"
        ) from err
    return settings


def is_original(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json has the original layout."""
    return "mm_vision_tower" in config or "mm_hidden_size" in config
