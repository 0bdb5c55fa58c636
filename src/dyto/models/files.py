"""What lies beside the weights of a checkpoint: its small files, and how they are fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers import GenerationConfig
from transformers.utils import cached_file
from transformers.utils import logging as hf_logging

from dyto.errors import ModelError
from dyto.models.pixels import Normalization


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Silence the bars of transformers, such as that of loading weights; those of downloads stay."""
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
    """The ids with which texts begin, end and are filled up, of a checkpoint's generation_config.json.

    Nothing else of it is read: how an answer is written is for the caller to say, see `dyto.models.decoding`.
    """
    said = _read_json(source, "generation_config.json", revision) or {}
    return GenerationConfig(**{name: said.get(name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")})


def find_file(source: str, name: str, revision: str | None) -> str | None:
    """The path of a checkpoint's file, downloaded where need be; None if it has no such file."""
    found: str | None = cached_file(
        source,
        name,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return found


def read_normalization(source: str, revision: str | None) -> Normalization:
    """Mean and standard deviation of the image processor; CLIP's where a checkpoint has none."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        settings = _read_json(source, name, revision) or {}
        settings = settings.get("image_processor", settings)
        try:
            if "image_mean" in settings and "image_std" in settings:
                (r, g, b), (dr, dg, db) = (map(float, settings[key]) for key in ("image_mean", "image_std"))
                return Normalization((r, g, b), (dr, dg, db))
        except (ValueError, TypeError) as err:
            raise ModelError(
                f"{name} of model {source} cannot be read ({err}), expected image_mean and image_std of three numbers "
                "each: download it again"
            ) from err
    return Normalization()


def _read_json(source: str, name: str, revision: str | None) -> dict[str, Any] | None:
    """The object in a JSON file of a checkpoint; None if it has no such file."""
    path = find_file(source, name, revision)
    if path is None:
        return None
    try:
        settings = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError(f"it holds a {type(settings).__name__}")
    except (OSError, ValueError, RecursionError) as err:
        raise ModelError(
            f"{name} of model {source} cannot be read ({err}), expected a JSON object: download it again"
        ) from err
    return settings
