"""Pictures for a paper: the timeline, the key frames, and the merged patches of each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dyto.errors import ConfigError
from dyto.finch import IntArray
from dyto.inspecting.colors import cluster_colors
from dyto.inspecting.look import Inspection, View
from dyto.inspecting.regions import Pixels, borders, mean_colors, regions, tokens_per_keyframe
from dyto.inspecting.sheet import contact_sheet, save_picture
from dyto.inspecting.times import clock
from dyto.video import Frames

MAP_SIDE, MANY, MANY_SIDE = 640, 16, 400
"""Longest side of a frame in the pictures, in pixels; and the side used above a number of key frames."""

WIDTH, STRIP, BAND, GAP, MARGIN = 2000, 110, 44, 8, 24
INK, MARK = (24, 24, 28), (214, 40, 40)


def save_pictures(seen: Inspection, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the timeline, the contact sheet of key frames and the merge maps as PNG files.

    Args:
        seen: The results to show.
        folder: Folder for the files; created if missing.

    Returns:
        The files: for each strategy `timeline`, `keyframes`, `merges` (all maps on one sheet) and one `merge-NN` per
        key frame; names of a second strategy begin with "2-", and so on.

    Raises:
        ConfigError: The folder or a file cannot be written.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(f"folder {place} cannot be made ({err}): give another one") from err
    written = []
    for number, view in enumerate(seen.views, start=1):
        start = "" if number == 1 else f"{number}-"
        for name, picture in _pictures(seen.frames, view).items():
            path = place / f"{start}{name}.png"
            save_picture(picture, path)
            written.append(path)
    return written


def _pictures(frames: Frames, view: View) -> dict[str, Image.Image]:
    positions = view.tokens.keyframes.positions
    side = MAP_SIDE if len(positions) <= MANY else MANY_SIDE
    shown = [np.asarray(resized(frames.data[position], side)) for position in positions]
    times = [clock(second) for second in view.tokens.keyframes.seconds]
    counts = tokens_per_keyframe(view.tokens)
    patches = view.tokens.grid[0] * view.tokens.grid[1]
    maps = [merge_map(picture, label) for picture, label in zip(shown, regions(view.tokens), strict=True)]
    numbered = [f"{number}: {time}" for number, time in enumerate(times, start=1)]
    merged = [f"{caption}, {patches} to {count} tokens" for caption, count in zip(numbered, counts, strict=True)]
    return {
        "timeline": timeline(frames, view.partitions, positions, view.level),
        "keyframes": contact_sheet([Image.fromarray(picture) for picture in shown], numbered, font_size=24),
        "merges": contact_sheet(maps, merged, font_size=24),
        **{f"merge-{number:02d}": picture for number, picture in enumerate(maps, start=1)},
    }


def resized(picture: Pixels, side: int) -> Image.Image:
    """Resize a picture to this longest side, enlarging it if necessary."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)


def merge_map(picture: Pixels, label: IntArray) -> Image.Image:
    """Draw a frame with the borders of its merged regions, and beside it each region in its mean colour.

    Args:
        picture: (H, W, 3) uint8.
        label: (rows, cols) regions, as returned by `dyto.inspecting.regions.regions`.

    Returns:
        Both side by side.
    """
    height, width = picture.shape[:2]
    flat = Image.fromarray(mean_colors(picture, label)).resize((width, height), Image.Resampling.NEAREST)
    under = Image.fromarray(picture).convert("RGBA")
    mean = Image.alpha_composite(under, flat)
    dropped = np.where((label < 0)[..., None], np.array([12, 12, 14, 185], np.uint8), np.uint8(0)).astype(np.uint8)
    veil = Image.fromarray(dropped).resize((width, height), Image.Resampling.NEAREST)
    outlined = Image.alpha_composite(under, veil)
    both = Image.new("RGB", (2 * width + GAP, height), "white")
    for place, layer in enumerate((outlined, mean)):
        _draw_borders(layer, label)
        both.paste(layer.convert("RGB"), (place * (width + GAP), 0))
    return both


def _draw_borders(layer: Image.Image, label: IntArray) -> None:
    rows, cols = label.shape
    across, down = layer.width / cols, layer.height / rows
    draw = ImageDraw.Draw(layer)
    for color, wide in (((0, 0, 0, 255), 3), ((255, 255, 255, 255), 1)):
        for x0, y0, x1, y1 in borders(label):
            line = (round(x0 * across), round(y0 * down), round(x1 * across), round(y1 * down))
            draw.line(line, fill=color, width=wide)


def timeline(
    frames: Frames, partitions: Sequence[IntArray], positions: IntArray, used: int | None = None
) -> Image.Image:
    """Draw the sampled frames as slices, the clusters of every level as bands, and the key frames with times.

    Args:
        frames: The T sampled frames.
        partitions: The hierarchy, finest first; may be empty.
        positions: (K,) positions of the key frames.
        used: Index of the partition that they come from, marked at its left end; None for no mark.

    Returns:
        A picture 2000 pixels wide.
    """
    font = ImageFont.load_default(size=22)
    edges = np.linspace(MARGIN, WIDTH - MARGIN, len(frames) + 1).round().astype(int)
    middles = (edges[:-1] + edges[1:]) // 2
    labels = [(int(middles[p]), clock(frames.seconds[p])) for p in positions]
    rows = stagger([(x, font.getlength(text)) for x, text in labels], MARGIN, WIDTH - MARGIN)
    top = MARGIN + 30 * (1 + max(row for row, _ in rows))
    height = top + GAP + STRIP + len(partitions) * (BAND + GAP) + MARGIN
    picture = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(picture)
    for (x, text), (row, left) in zip(labels, rows, strict=True):
        y = top - 30 * (1 + row)
        draw.line((x, y + 24, x, top + GAP + STRIP), fill=MARK, width=3)
        draw.text((left, y), text, fill=INK, font=font)
    for place in range(len(frames)):
        lo, hi = int(edges[place]), int(edges[place + 1])
        picture.paste(cover(frames.data[place], hi - lo, STRIP), (lo, top + GAP))
    for x, _ in labels:
        draw.line((x, top, x, top + GAP + STRIP), fill=MARK, width=3)
    for level, (clusters, colors) in enumerate(zip(partitions, cluster_colors(partitions), strict=True)):
        y = top + 2 * GAP + STRIP + level * (BAND + GAP)
        if level == used:
            draw.polygon([(4, y + 8), (4, y + BAND - 8), (MARGIN - 6, y + BAND // 2)], fill=MARK)
        for place, label in enumerate(clusters):
            last = place + 1 == len(clusters) or clusters[place + 1] != label
            draw.rectangle((edges[place], y, edges[place + 1] - (3 if last else 0), y + BAND), fill=colors[label])
    return picture


def stagger(labels: Sequence[tuple[float, float]], left: float, right: float) -> list[tuple[int, float]]:
    """Place labels so that none covers another.

    Args:
        labels: (middle, width) of each label, from left to right.
        left: Smallest left end.
        right: Largest right end.

    Returns:
        (row, left end) of each label; row 0 is the lowest.

    Example:
        >>> stagger([(50, 60), (60, 60), (200, 60)], 0, 220)
        [(0, 20.0), (1, 30.0), (0, 160.0)]
    """
    ends: list[float] = []
    placed = []
    for middle, width in labels:
        start = max(left, min(middle - width / 2, right - width))
        row = next((row for row, end in enumerate(ends) if end + 10 <= start), len(ends))
        ends[row:] = [start + width, *ends[row + 1 :]]
        placed.append((row, float(start)))
    return placed


def cover(picture: Pixels, width: int, height: int) -> Image.Image:
    """Crop the middle of a picture to fill a box without stretching."""
    image = Image.fromarray(picture)
    if not width:
        return Image.new("RGB", (0, height))
    scale = max(width / image.width, height / image.height)
    wide, high = width / scale, height / scale
    left, upper = (image.width - wide) / 2, (image.height - high) / 2
    return image.resize((width, height), Image.Resampling.BICUBIC, box=(left, upper, left + wide, upper + high))
