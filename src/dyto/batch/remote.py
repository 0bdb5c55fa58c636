"""Videos at addresses: downloaded to a temporary file and deleted after decoding. Decoders never see an address."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dyto.errors import MissingExtraError, UnsafeNameError, VideoError
from dyto.video.paths import ADDRESS

CHUNK = 1 << 20
MOST_BYTES = 8 << 30
"""Most bytes of a video to download."""


def protocol_of(name: str) -> str | None:
    """Return the protocol of an address; None for a path.

    Example:
        >>> protocol_of("s3://bucket/a.mp4"), protocol_of("C:/a.mp4"), protocol_of("a.mp4")
        ('s3', None, None)
    """
    return name.partition(":")[0].lower() if ADDRESS.match(name) else None


def check_protocol(name: str, allowed: Sequence[str]) -> None:
    """Check that the protocol of an address is allowed.

    Raises:
        UnsafeNameError: The protocol is not allowed.
    """
    protocol = protocol_of(name)
    if protocol not in allowed:
        raise UnsafeNameError(f"{name!r} is an address, expected a path: allow this protocol with --remote {protocol}")


@contextmanager
def fetched(address: str, most: int = MOST_BYTES) -> Iterator[Path]:
    """Copy a remote file to a temporary one, which is deleted after the block.

    Args:
        address: An address for fsspec, such as "s3://bucket/a.mp4".
        most: Largest size of the file, in bytes.

    Raises:
        VideoError: The file is missing, unreadable or too large.
        MissingExtraError: The protocol needs a package that is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="dyto-") as folder:
        path = Path(folder, "video" + Path(address).suffix[:8])
        try:
            with _opened(address) as source, path.open("xb") as target:
                while chunk := source.read(CHUNK):
                    if target.tell() + len(chunk) > most:
                        raise VideoError(
                            f"{address} has more than {most} bytes, expected less: cut it, or copy it here"
                        )
                    target.write(chunk)
        except (VideoError, MissingExtraError):
            raise
        except Exception as err:  # every protocol has its own errors
            raise VideoError(f"{address} cannot be fetched: {type(err).__name__}: {err}") from err
        yield path


def _opened(address: str) -> Any:
    try:
        import fsspec

        return fsspec.open(address, "rb")
    except ImportError as err:
        raise MissingExtraError(
            f"Fetching {protocol_of(address)} addresses", "fsspec with that protocol", "remote"
        ) from err
