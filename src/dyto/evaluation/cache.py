"""Encoded videos on disk: bounded, shared by any number of runs, and never half written."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

from dyto.errors import DatasetError
from dyto.evaluation.files import write_atomic
from dyto.features import KeyFrames, Sources, VisualTokens

_EDGE_BYTES = 1 << 16
_ABANDONED_SECONDS = 24 * 3600

logger = logging.getLogger(__name__)


class TokenCache:
    """A folder of encoded videos, by the content of the video and everything that decides its tokens.

    Args:
        folder: The folder; several runs and machines may share it.
        max_bytes: Above this, those not used for longest are deleted.
        identity: What decides the tokens besides the video: model, weights, strategy.
    """

    def __init__(self, folder: str | Path, *, max_bytes: int, identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self._max_bytes = max_bytes
        self._identity = json.dumps(dict(identity), sort_keys=True, default=str)

    def key(self, path: Path, start: float | None, end: float | None, sampling: Mapping[str, Any]) -> str:
        """The name under which the tokens of a clip are kept."""
        what = json.dumps([_fingerprint(path), start, end, dict(sampling)], sort_keys=True, default=str)
        return sha256(f"{self._identity}\n{what}".encode()).hexdigest()

    def load(self, key: str) -> VisualTokens | None:
        """Tokens kept under a key; None if there are none, or the file is damaged."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                data = file.get_tensor("data")
                names = set(file.keys())
                deep = file.get_tensor("deep") if "deep" in names else None
                arrays = {name: file.get_tensor(name).numpy() for name in names - {"data", "deep"}}
                header = json.loads(file.metadata()["dyto"])
            os.utime(path)
        except (OSError, SafetensorError, KeyError, ValueError) as err:
            if path.exists():
                logger.warning("%s is damaged (%s): the video is encoded again", path, err)
            return None
        return VisualTokens(
            data=data,
            keyframes=KeyFrames(arrays["indices"], arrays["seconds"], arrays["positions"]),
            keyframe=arrays["keyframe"],
            sources=Sources(arrays["source_token"], arrays["source_keyframe"], arrays["source_patch"]),
            grid=(header["grid"][0], header["grid"][1]),
            budget=header["budget"],
            uncompressed=header["uncompressed"],
            summary_source=header["summary_source"],
            warnings=tuple(header["warnings"]),
            deep=deep,
        )

    def save(self, key: str, tokens: VisualTokens) -> None:
        """Keep tokens; a disk that is full costs the cache entry and nothing else."""
        arrays = {
            "indices": tokens.keyframes.indices,
            "seconds": tokens.keyframes.seconds,
            "positions": tokens.keyframes.positions,
            "keyframe": tokens.keyframe,
            "source_token": tokens.sources.token,
            "source_keyframe": tokens.sources.keyframe,
            "source_patch": tokens.sources.patch,
        }
        header = {name: getattr(tokens, name) for name in ("grid", "budget", "uncompressed", "summary_source")}
        header["warnings"] = list(tokens.warnings)
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        tensors["data"] = tokens.data.detach().cpu().contiguous()
        if tokens.deep is not None:
            tensors["deep"] = tokens.deep.detach().cpu().contiguous()
        try:
            write_atomic(self._path(key), save_tensors(tensors, metadata={"dyto": json.dumps(header)}))
            self._shrink()
        except DatasetError as err:
            logger.warning("the encoded video is not kept: %s", err)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _shrink(self) -> None:
        """Delete what was not used for longest, and what a crash left half written long ago."""
        entries = []
        for entry in os.scandir(self.folder):
            try:
                info = entry.stat()
                if entry.name.endswith(".safetensors"):
                    entries.append((info.st_mtime, info.st_size, entry.path))
                elif time.time() - info.st_mtime > _ABANDONED_SECONDS:
                    os.unlink(entry.path)
            except FileNotFoundError:  # another run deleted it first
                continue
        excess = sum(size for _, size, _ in entries) - self._max_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                break
            Path(path).unlink(missing_ok=True)
            excess -= size


def _fingerprint(path: Path) -> str:
    """Size, time and both ends of a file; of a folder, the names, sizes and times in it."""
    digest = sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        try:
            info = file.stat()
        except OSError:  # a link to nowhere is no frame
            continue
        digest.update(f"{file.name if path.is_dir() else ''} {info.st_size} {info.st_mtime_ns}".encode())
    if path.is_file():
        with path.open("rb") as stream:
            digest.update(stream.read(_EDGE_BYTES))
            stream.seek(max(0, path.stat().st_size - _EDGE_BYTES))
            digest.update(stream.read(_EDGE_BYTES))
    return digest.hexdigest()
