"""Small pieces of HTML. All outside text passes through `text`."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

from PIL import Image

from dyto.finch import IntArray
from dyto.inspecting.colors import Color
from dyto.inspecting.harmless import harmless
from dyto.inspecting.regions import DROPPED, borders


def text(value: object) -> str:
    """Escape a value as text of a page; the result holds no markup and can always be written.

    Example:
        >>> text("<b>'&'")
        '&lt;b&gt;&#x27;&amp;&#x27;'
    """
    return html.escape(harmless(value), quote=True)


def data_uri(picture: Image.Image, quality: int | None = None) -> str:
    """Return a picture as a data URI.

    Args:
        picture: The picture.
        quality: JPEG quality; None for PNG.
    """
    memory = io.BytesIO()
    if quality is None:
        picture.save(memory, "PNG", optimize=True)
    else:
        picture.convert("RGB").save(memory, "JPEG", quality=quality, optimize=True)
    kind = "png" if quality is None else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(memory.getvalue()).decode('ascii')}"


def bands(labels: IntArray, colors: Sequence[Color]) -> str:
    """Draw the clusters of one level as coloured runs over the sampled frames."""
    rects = []
    for first, last in runs(labels):
        shade = "#{:02x}{:02x}{:02x}".format(*colors[labels[first]])
        rects.append(f'<rect x="{first}" width="{last - first}" height="1" fill="{shade}"/>')
    lines = "".join(f"M{first} 0V1" for first, _ in runs(labels) if first)
    return (
        f'<svg class="band" viewBox="0 0 {len(labels)} 1" preserveAspectRatio="none" aria-hidden="true">'
        f'{"".join(rects)}<path d="{lines}" stroke="var(--card)" stroke-width="1.5" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )


def runs(labels: IntArray) -> list[tuple[int, int]]:
    """Return (first, past the last) of each run of equal labels.

    Example:
        >>> import numpy as np
        >>> runs(np.array([0, 0, 1, 0]))
        [(0, 2), (2, 3), (3, 4)]
    """
    starts = [0, *(place for place in range(1, len(labels)) if labels[place] != labels[place - 1])]
    return list(zip(starts, [*starts[1:], len(labels)], strict=True))


def marks(positions: Iterable[int], count: int, color: str) -> str:
    """Draw key frames as marks under the slices of the sampled frames."""
    rects = "".join(f'<rect x="{place}" width="1" height="1"/>' for place in positions)
    return (
        f'<svg class="marks" viewBox="0 0 {count} 1" preserveAspectRatio="none" fill="var({color})" '
        f'role="img" aria-label="key frames">{rects}</svg>'
    )


def outlines(label: IntArray) -> str:
    """Draw the regions of a frame as an overlay: borders, and a veil over dropped patches."""
    rows, cols = label.shape
    path = "".join(f"M{x0} {y0}H{x1}" if y0 == y1 else f"M{x0} {y0}V{y1}" for x0, y0, x1, y1 in borders(label))
    veil = "".join(
        f"M{first} {row}H{last}V{row + 1}H{first}z"
        for row in range(rows)
        for first, last in runs(label[row])
        if label[row, first] == DROPPED
    )
    return (
        f'<svg viewBox="0 0 {cols} {rows}" preserveAspectRatio="none" aria-hidden="true">'
        + (f'<path class="veil" d="{veil}"/>' if veil else "")
        + (f'<path class="dark" d="{path}"/><path class="light" d="{path}"/>' if path else "")
        + "</svg>"
    )


def bar(share: float) -> str:
    """Draw a bar filled to a fraction.

    Example:
        >>> bar(0.5)
        '<span class="bar"><i style="width:50.00%"></i></span>'
    """
    return f'<span class="bar"><i style="width:{100 * min(1.0, max(0.0, share)):.2f}%"></i></span>'


def rows(lines: Iterable[tuple[str, float, str]]) -> str:
    """Draw rows of a name, a bar and a number."""
    cells = "".join(
        f'<span>{text(name)}</span>{bar(share)}<span class="n">{text(number)}</span>' for name, share, number in lines
    )
    return f'<div class="rows">{cells}</div>'
