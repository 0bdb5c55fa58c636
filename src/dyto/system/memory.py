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


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; TypeError: Windows
        return None
    return trim
