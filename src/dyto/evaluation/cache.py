"""A cache of encoded videos on disk: limited in size, shared by any number of runs, and never half written."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

from dyto.errors import ConfigError, DatasetError, DytoError
from dyto.evaluation.entries import MARK, read_entry, to_entry
from dyto.evaluation.files import write_atomic
from dyto.features import VisualTokens
from dyto.video.fingerprint import fingerprint

_ABANDONED_SECONDS = 24 * 3600
_SUFFIX = ".safetensors"
_HALF_WRITTEN = re.compile(r"\.[\w-]+\.safetensors\.\w+")
"""Pattern of the temporary names that `write_atomic` uses."""

_ENTRY = re.compile(r"[0-9a-f]{64}\.safetensors")

logger = logging.getLogger(__name__)


class TokenCache:
    """A folder of encoded videos, keyed by the content of the video and everything that determines its tokens.

    Only files with the cache's own names and mark are ever deleted.

    Args:
        folder: The folder; several runs and machines may share it.
        max_bytes: Size limit; above it, the least recently used entries are deleted.
        identity: Everything besides the video that determines the tokens: model, weights, strategy.
        width: Width of the model's tokens; None for any.
        mixed: Whether the folder may hold other files.

    Raises:
        ConfigError: The folder holds other files, and `mixed` is False.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_bytes: int,
        identity: Mapping[str, Any],
        width: int | None = None,
        mixed: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self._max_bytes = max_bytes
        self._width = width
        self._known: set[str] = set()
        self._identity = json.dumps(dict(identity), sort_keys=True, default=str)
        if not mixed:
            check_cache_folder(self.folder)

    def key(self, path: Path, start: float | None, end: float | None, sampling: Mapping[str, Any]) -> str:
        """Return the key of a clip's tokens."""
        what = json.dumps([fingerprint(path), start, end, dict(sampling)], sort_keys=True, default=str)
        return sha256(f"{self._identity}\n{what}".encode()).hexdigest()

    def load(self, key: str) -> VisualTokens | None:
        """Load the tokens of a key; None if there are none, or the file is damaged."""
        path = self._path(key)
        if not os.path.lexists(path):
            return None
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {})[MARK])
                tokens = read_entry({name: file.get_tensor(name) for name in file.keys()}, header, self._width)  # noqa: SIM118
        except (DytoError, OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as err:
            logger.warning("%s is damaged (%s): the video is encoded again", path, err)
            return None
        with contextlib.suppress(OSError):  # a read-only cache can still be read
            os.utime(path)
        return tokens

    def save(self, key: str, tokens: VisualTokens) -> None:
        """Save tokens; a full disk costs only this cache entry."""
        tensors, header = to_entry(tokens)
        try:
            write_atomic(self._path(key), save_tensors(tensors, metadata={MARK: json.dumps(header)}))
            self._shrink()
        except (DatasetError, OSError) as err:
            logger.warning("the encoded video is not cached: %s", err)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _shrink(self) -> None:
        """Delete the least recently used entries, and old half-written files from crashes."""
        entries = []
        for entry in os.scandir(self.folder):
            try:
                info = entry.stat(follow_symlinks=False)
                if not entry.is_file(follow_symlinks=False):
                    continue
                if _HALF_WRITTEN.fullmatch(entry.name):
                    if time.time() - info.st_mtime > _ABANDONED_SECONDS:
                        os.unlink(entry.path)
                elif entry.name in self._known or is_ours(entry.path):
                    self._known.add(entry.name)
                    entries.append((info.st_mtime, info.st_size, entry.path))
            except FileNotFoundError:  # another run deleted it first
                continue
        excess = sum(size for _, size, _ in entries) - self._max_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            if is_ours(path):
                with contextlib.suppress(PermissionError):  # Windows keeps a file while another run reads it
                    Path(path).unlink(missing_ok=True)
            excess -= size


def is_ours(path: str | Path) -> bool:
    """Return whether a file is an entry of such a cache, by its name and its mark."""
    if not str(path).endswith(_SUFFIX):
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return MARK in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def check_cache_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but encoded videos.

    Raises:
        ConfigError: It does, or it cannot be listed.
    """
    try:
        others = sorted(_others(folder)) if folder.is_dir() else []
    except OSError as err:
        raise ConfigError(
            f"the cache folder {folder} cannot be listed ({err.strerror or err}), expected one of yours: name "
            "another with --cache, or leave it out"
        ) from err
    if others:
        named = ", ".join(repr(name) for name in others[:3]) + (", ..." if len(others) > 3 else "")
        raise ConfigError(
            f"the cache folder {folder} holds {named}, expected encoded videos and nothing else: name an empty "
            "folder, or pass --cache-mixed, which leaves other files alone"
        )


def _others(folder: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        plain = entry.is_file(follow_symlinks=False)
        ours = _HALF_WRITTEN.fullmatch(entry.name) or _ENTRY.fullmatch(entry.name) or is_ours(entry.path)
        if not (plain and ours):
            yield entry.name
