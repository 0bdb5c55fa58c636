"""One self-contained page without scripts, which opens from disk."""

from __future__ import annotations

import os
from pathlib import Path

from dyto.errors import ConfigError
from dyto.inspecting import sections
from dyto.inspecting.look import Inspection
from dyto.inspecting.markup import text
from dyto.inspecting.style import STYLE
from dyto.system.files import replacing

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy of the page: it loads nothing from outside."""


def check_page(path: str | os.PathLike[str]) -> Path:
    """Check that a page can be saved to a path, before the work is done.

    Args:
        path: Path of the page.

    Returns:
        The path.

    Raises:
        ConfigError: The path does not end in .html, or its folder does not exist.
    """
    place = Path(path)
    if place.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"page {place} ends in {place.suffix!r}, expected .html: change the ending")
    if not place.parent.is_dir() or place.is_dir():
        raise ConfigError(f"page {place} cannot be written there, expected a file in a folder that exists: make it")
    return place


def save_page(seen: Inspection, path: str | os.PathLike[str]) -> Path:
    """Write the page; an existing file stays until the new page is complete.

    Args:
        seen: The results to show.
        path: Path of the page, ending in .html.

    Returns:
        The path.

    Raises:
        ConfigError: The page cannot be written there.
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
    """Return the page as text.

    Args:
        seen: The results to show.

    Returns:
        Self-contained HTML.
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
