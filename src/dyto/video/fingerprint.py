"""Fingerprints of files, to recognise a video without reading all of it."""

from __future__ import annotations

import logging
import os
import time
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG

_EDGE_BYTES = 1 << 16
_SETTLED_NS = 10 * 10**9
"""A file that was changed less than 10 s ago may change again within one tick of its file system's clock."""

logger = logging.getLogger(__name__)


def fingerprint(path: Path) -> str:
    """Describe a file by size, time and both ends, or a folder by its names, sizes and times.

    Args:
        path: The file or folder.

    Returns:
        64 hexadecimal digits.
    """
    state = _settled(path)
    return _read(path) if state is None else _of_settled(path, state)


def _settled(path: Path) -> tuple[int, ...] | None:
    """Return what no change to a file leaves as it was; None for a folder, and for a file that changed just now.

    Its last part, the time of the last change of its content or of its other times, can be set by nobody.
    """
    try:
        info = path.stat()
    except OSError:
        return None  # told by who reads it
    if os.name != "posix" or not S_ISREG(info.st_mode) or time.time_ns() - info.st_ctime_ns < _SETTLED_NS:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


@lru_cache(1024)
def _of_settled(path: Path, state: tuple[int, ...]) -> str:
    return _read(path)


def _read(path: Path) -> str:
    digest = sha256()
    folder = path.is_dir()
    for file in sorted(path.iterdir()) if folder else [path]:
        try:
            info = file.stat()
        except OSError as err:
            logger.warning("%s cannot be read: %s", file, err.strerror)
            digest.update(f"{file.name} is not there".encode(errors="backslashreplace"))
            continue
        name = file.name if folder else ""
        digest.update(f"{name} {info.st_size} {info.st_mtime_ns}".encode(errors="backslashreplace"))
        if not folder and S_ISREG(info.st_mode):
            with path.open("rb") as stream:
                digest.update(stream.read(_EDGE_BYTES))
                stream.seek(max(0, info.st_size - _EDGE_BYTES))
                digest.update(stream.read(_EDGE_BYTES))
    return digest.hexdigest()
