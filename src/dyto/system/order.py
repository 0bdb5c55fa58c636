"""Names in the order in which people count."""

from __future__ import annotations

import re


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts names by the numbers in them.

    Example:
        >>> sorted(["frame10", "frame2", "600 s", "20 s"], key=natural)
        ['20 s', '600 s', 'frame2', 'frame10']
    """
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name
