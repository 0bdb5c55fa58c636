"""The memory of this machine."""

from __future__ import annotations

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
