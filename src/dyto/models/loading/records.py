"""What came of the trials of checkpoints, kept on disk."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Mapping
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from dyto.models.loading.files import TOKENIZER_FILES, find_file
from dyto.models.loading.placement import Placement
from dyto.models.loading.weights import weight_files
from dyto.system.files import replacing

logger = logging.getLogger(__name__)

SMALL = ("config.json", "preprocessor_config.json", "processor_config.json", *TOKENIZER_FILES)
"""Files that are compared by their content; weights are compared by size, time and both ends."""

EDGE = 1 << 16
"""Bytes of each end of a file of weights that are compared."""

PACKAGES = ("dyto", "transformers", "torch", "torchvision", "timm", "pillow")
"""Packages whose version can change what comes of a trial."""


class Record:
    """One trial, in a file of its own that is replaced as a whole.

    Args:
        path: The file.

    Example:
        >>> import tempfile
        >>> record = Record(Path(tempfile.mkdtemp(), "trials", "a.json"))
        >>> record.read() is None, record.write({"difference": 0.5}), record.read()
        (True, None, {'difference': 0.5})
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any] | None:
        """Return what was kept; None if there is nothing, or nothing that can be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as err:
            logger.warning("%s is damaged (%s): the trial is done again", self.path, err)
            return None
        return found if isinstance(found, dict) else None

    def write(self, values: Mapping[str, Any]) -> None:
        """Keep something; a full disk, or one that cannot be written, costs only the next trial."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as half:
                half.write_text(json.dumps(values), encoding="utf-8")
        except OSError as err:
            logger.warning("the trial is not kept: %s", err)


def folder() -> Path:
    """Return the folder of all records, next to the hub's downloads: HF_HOME moves it, too."""
    return Path(constants.HF_HOME) / "dyto" / "trials"


def record_of(source: str, placement: Placement) -> Record:
    """Return the record of a checkpoint's trial with these packages and this placement.

    Args:
        source: Its folder or hub name.
        placement: The way in which it is loaded.
    """
    digest = sha256()
    for name in PACKAGES:
        digest.update(f"{name} {_version(name)}\n".encode())
    digest.update(f"{platform.machine()} {placement!r}\n".encode())
    for name in SMALL:
        path = find_file(source, name, placement.revision)
        content = b"" if path is None else Path(path).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    for weights in weight_files(source, placement.revision):
        info = weights.stat()
        digest.update(f"{weights.name} {info.st_size} {info.st_mtime_ns}\n".encode())
        with weights.open("rb") as stream:
            digest.update(stream.read(EDGE))
            stream.seek(max(0, info.st_size - EDGE))
            digest.update(stream.read(EDGE))
    return Record(folder() / f"{digest.hexdigest()}.json")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
