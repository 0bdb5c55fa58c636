"""Pictures of key frames: a contact sheet with times."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dyto.errors import ConfigError, VideoError
from dyto.features import KeyFrames
from dyto.system.files import replacing
from dyto.video import Frames, sample_frames

TILE = 320
"""Longest side of a frame on the sheet, in pixels."""

_GAP = 8


def check_sheet(path: Path) -> None:
    """Check that a picture can be saved to a path, before the work is done.

    Args:
        path: Path of the picture.

    Raises:
        ConfigError: The extension is not a supported picture format, or the folder does not exist.
    """
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise ConfigError(f"picture {path} ends in {path.suffix!r}, expected .png, .jpg or .webp: change the ending")
    if not path.parent.is_dir() or path.is_dir():
        raise ConfigError(f"picture {path} cannot be written there, expected a file in a folder that exists: make it")


def save_keyframe_sheet(path: Path, video: Any, keyframes: KeyFrames, **sampling: Any) -> None:
    """Save the key frames as one picture, each with its number and time.

    Args:
        path: Path of the picture; the extension sets the format.
        video: The video of the key frames, or the `Frames` sampled from it.
        keyframes: The key frames.
        **sampling: The options used for sampling; none for `Frames`.

    Raises:
        ConfigError: As for `check_sheet`, or the file cannot be written.
    """
    check_sheet(path)
    frames = small_frames(video, sampling)[keyframes.positions]
    sheet = contact_sheet(
        [Image.fromarray(pixels) for pixels in frames.data],
        [f"{second:.1f} s  (frame {index})" for index, second in zip(frames.indices, frames.seconds, strict=True)],
    )
    save_picture(sheet, path)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Save a picture; an existing file stays until the new one is complete.

    Args:
        picture: The picture.
        path: Path of the picture; the extension sets the format.

    Raises:
        ConfigError: The file cannot be written.
    """
    memory = io.BytesIO()
    try:
        # A lower PNG compression level takes half the time for slightly larger files.
        picture.save(memory, Image.registered_extensions()[path.suffix.lower()], compress_level=3)
        with replacing(path) as half:
            half.write_bytes(memory.getvalue())
    except (OSError, ValueError) as err:
        raise ConfigError(f"picture {path} cannot be written ({err}): give another path, in a folder of yours") from err


def small_frames(video: Any, sampling: dict[str, Any], side: int = TILE) -> Frames:
    """Return the sampled frames, small and in their own proportions; if sizes differ, all get the first frame's size.

    Args:
        video: The video, or the `Frames` sampled from it; if they hold a preview, no file is read again.
        sampling: The options used for sampling.
        side: Longest side, in pixels.
    """
    if isinstance(video, Frames) and video.preview is not None and not sampling:
        kept = video.indices, video.seconds, video.source_size, video.total, video.source, video.warnings
        return sample_frames(Frames(video.preview, *kept), num_frames=len(video), max_side=side)
    try:
        return sample_frames(video, max_side=side, **sampling)
    except VideoError:
        first = sample_frames(video, max_side=side, **{**sampling, "num_frames": 1, "fps": None})
        return sample_frames(video, size=first.data.shape[1:3], **sampling)


def contact_sheet(pictures: list[Image.Image], captions: list[str], font_size: int = 14) -> Image.Image:
    """Arrange pictures of one size in rows, each with a caption below.

    Args:
        pictures: One or more pictures.
        captions: One caption per picture.
        font_size: Font size of the captions, in pixels.

    Returns:
        The sheet, about 1.5 times as wide as high if there are enough pictures.
    """
    font = ImageFont.load_default(size=font_size)
    width, height = pictures[0].size
    columns = min(len(pictures), max(1, round(math.sqrt(len(pictures) * 1.6 * height / width))), 6)
    rows = math.ceil(len(pictures) / columns)
    widest = math.ceil(max(font.getlength(caption) for caption in captions))
    cell = (max(width, widest) + _GAP, height + font_size + 10 + _GAP)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, rows * cell[1] + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for position, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(position, columns)
        x, y = _GAP + column * cell[0], _GAP + row * cell[1]
        sheet.paste(picture, (x, y))
        draw.text((x, y + height + 3), caption, fill="black", font=font)
    return sheet
