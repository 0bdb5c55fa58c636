"""Pictures of key frames: a contact sheet with times."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dyto.errors import ConfigError
from dyto.features import KeyFrames
from dyto.video import sample_frames

TILE = 320
"""Longest side of a frame on the sheet, pixels."""

_GAP, _CAPTION = 8, 24


def save_keyframe_sheet(path: Path, video: Any, keyframes: KeyFrames, **sampling: Any) -> None:
    """Save the key frames as one picture, each with its number and time.

    Args:
        path: Where to; the ending says the format.
        video: The video they were chosen from.
        keyframes: Which frames.
        **sampling: The options they were sampled with.

    Raises:
        ConfigError: The file cannot be written, or its ending is no format of pictures.
    """
    frames = sample_frames(video, max_side=TILE, **sampling)[keyframes.positions]
    sheet = contact_sheet(
        [Image.fromarray(pixels) for pixels in frames.data],
        [f"{second:.1f} s  (frame {index})" for index, second in zip(frames.indices, frames.seconds, strict=True)],
    )
    try:
        sheet.save(path)
    except (OSError, ValueError) as err:
        raise ConfigError(f"picture {path} cannot be written ({err}): give a path that ends in .png") from err


def contact_sheet(pictures: list[Image.Image], captions: list[str]) -> Image.Image:
    """Pictures of one size in rows, each with a caption below it."""
    width, height = pictures[0].size
    columns = min(len(pictures), max(1, round(math.sqrt(len(pictures) * 1.6 * height / width))), 6)
    rows = math.ceil(len(pictures) / columns)
    cell = (max(width, 150) + _GAP, height + _CAPTION + _GAP)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    for position, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(position, columns)
        x, y = _GAP + column * cell[0], _GAP + row * cell[1]
        sheet.paste(picture, (x, y))
        draw.text((x, y + height + 3), caption, fill="black", font=font)
    return sheet
