"""Fingerprints of files, to recognise a video without reading all of it."""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG

_EDGE_BYTES = 1 << 16

logger = logging.getLogger(__name__)


def fingerprint(path: Path) -> str:
    """Describe a file by size, time and both ends, or a folder by its names, sizes and times.

    Args:
        path: The file or folder.

    Returns:
        64 hexadecimal digits.
    """
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
