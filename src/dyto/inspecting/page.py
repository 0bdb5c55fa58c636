"""One page that shows it all: self-contained, without scripts, opened from disk."""

from __future__ import annotations

import os
from pathlib import Path

from dyto.errors import ConfigError
from dyto.files import replacing
from dyto.inspecting import sections
from dyto.inspecting.look import Inspection
from dyto.inspecting.markup import text
from dyto.inspecting.style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What the page may load: nothing but what it holds."""


def check_page(path: str | os.PathLike[str]) -> Path:
    """Fail on a path that no page can be saved to, before the work for it is done.

    Args:
        path: Where the page is to be saved.

    Returns:
        The path.

    Raises:
        ConfigError: It ends in something else than .html, or its folder is not there.
    """
    place = Path(path)
    if place.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"page {place} ends in {place.suffix!r}, expected .html: change the ending")
    if not place.parent.is_dir() or place.is_dir():
        raise ConfigError(f"page {place} cannot be written there, expected a file in a folder that exists: make it")
    return place


def save_page(seen: Inspection, path: str | os.PathLike[str]) -> Path:
    """Write the page; what is there under this name stays until the new page is whole.

    Args:
        seen: What there is to see.
        path: Where to, ending in .html.

    Returns:
        The path.

    Raises:
        ConfigError: It cannot be written there.
    """
    place = check_page(path)
    page = render(seen)
    try:
        with replacing(place) as half:
            half.write_text(page, encoding="utf-8", errors="replace")
    except OSError as err:
        raise ConfigError(f"page {place} cannot be written ({err}): give another path, in a folder of yours") from err
    return place


def render(seen: Inspection) -> str:
    """The page as text.

    Args:
        seen: What there is to see.

    Returns:
        HTML that needs nothing else.
    """
    body = (
        sections.head(seen),
        sections.answers(seen),
        sections.timeline(seen),
        sections.spending(seen),
        sections.merging(seen),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(seen.source)} – dyto</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}{sections.foot()}</main></body></html>\n"
    )
