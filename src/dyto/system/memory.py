"""The memory of this machine, and what this process gives back of it."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path


def machine_memory() -> int | None:
    """Return the total bytes of memory, swap included; None if unknown.

    Example:
        >>> (machine_memory() or 1) > 0
        True
    """
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return sum(int(lines[name].split()[0]) << 10 for name in ("MemTotal", "SwapTotal"))
    except (OSError, KeyError, ValueError):
        return None


def give_back() -> bool:
    """Give pages without content back to the system, where the C library can (glibc); takes some milliseconds.

    Large tensors that were freed between others leave such pages, which `free` alone does not give back.

    Returns:
        Whether the C library can.

    Example:
        >>> give_back() in (True, False)
        True
    """
    trim = _trim()
    if trim is not None:
        trim(0)
    return trim is not None


KEPT_AT_HAND = 31 << 20
"""Bytes of a block that is freed as a hint; glibc takes hints of up to 32 MiB."""


def keep_freed_at_hand() -> None:
    """Let the C library (glibc) keep freed memory for the next tensors, up to 62 MiB at the end of each of its heaps.

    It gives larger ends back to the system, which hands the same pages out again emptied: a batch of 16 questions to
    `tiny` took 60 instead of 40 ms of CPU. By itself it learns what it should keep from the largest block freed so far.
    """
    bytearray(KEPT_AT_HAND)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; TypeError: Windows
        return None
    return trim
