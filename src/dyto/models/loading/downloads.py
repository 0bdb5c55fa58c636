"""Which checkpoints are in the cache of downloads, and what is left to download; without torch or transformers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dyto.models.catalog import CATALOG
from dyto.models.loading.naming import BUNDLED, ENDPOINT, locate


def is_offline() -> bool:
    """Return whether the environment forbids downloads."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def on_disk(source: str) -> bool:
    """Return whether all weights of a Hub name are in the cache of downloads.

    Args:
        source: The Hub name.
    """
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{source.replace('/', '--')}" / "snapshots"
    try:
        return any(_is_complete(folder) for folder in snapshots.iterdir())
    except OSError:
        return False


def _is_complete(folder: Path) -> bool:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            return all((folder / name).is_file() for name in json.loads(index.read_bytes())["weight_map"].values())
        except (ValueError, LookupError, TypeError, AttributeError):
            return False
    return any(folder.glob("*.safetensors"))


def download_of(name: str) -> str:
    """Return what has to be downloaded before a model can be loaded, with its size if that is known; "" for nothing.

    Args:
        name: A short name, a folder or a Hub name.
    """
    if name in BUNDLED or name.startswith(ENDPOINT) or is_offline():
        return ""
    source = locate(name)
    if Path(source).is_dir() or on_disk(source):
        return ""
    return f"{source}, {CATALOG[name].size:.1f} GB" if name in CATALOG else source
