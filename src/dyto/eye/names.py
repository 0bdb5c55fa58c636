"""Names of eyes, checked before torch is imported."""

from __future__ import annotations

import re
from pathlib import Path

from dyto.errors import unknown

BUNDLED = ("nouns", "pixels")
"""Eyes that need no download."""

HUB = {
    "siglip2-base": "google/siglip2-base-patch16-224",
    "clip-base": "openai/clip-vit-base-patch32",
    "dinov2-small": "facebook/dinov2-small",
}
"""Eyes on the hub by short name."""


def check_eye(name: str) -> None:
    """Check that a text can name an eye: a key of `BUNDLED` or `HUB`, or a folder or hub name.

    Args:
        name: The text.

    Raises:
        ConfigError: It cannot.

    Example:
        >>> check_eye("pixels")
    """
    known = name in BUNDLED or name in HUB or Path(name).expanduser().is_dir()
    if not known and not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        raise unknown("eye", name, [*BUNDLED, *HUB])
