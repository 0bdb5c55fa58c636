"""Key frames as picture files and segments as clips, in one folder with a table."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dyto.errors import ConfigError
from dyto.inspecting.sheet import contact_sheet, save_picture
from dyto.inspecting.times import clock
from dyto.moments.finding import FORMAT, VideoTimeline
from dyto.moments.options import check_clips, check_folder, check_picture
from dyto.video import sample_frames
from dyto.video.cutting import VideoClip, cut_clips
from dyto.video.limits import Limits

QUALITY = 95
"""Of JPEG files."""

AT_ONCE = 1 << 28
"""Bytes of pictures that are held at once."""

TABLE, SHEET = "frames.json", "sheet.jpg"
COLUMNS = ("file", "index", "second", "segment", "start", "end")
OURS = re.compile(
    r"frame-\d+(-\d+\.\d\ds)?\.(jpg|png)|segment-\d+\.(mp4|m4v|mov|mkv|webm)|frames\.(csv|json)|sheet\.jpg"
)
"""Names of the files that are written here, and of no others."""


@dataclass(frozen=True)
class SavedFrames:
    """The files that were written.

    Attributes:
        folder: The folder.
        pictures: One for each key frame, in order.
        table: The table as JSON; the same with the ending .csv lies beside it.
        clips: One for each segment, if they were wanted.
        sheet: The contact sheet, if it was wanted.

    Example:
        >>> saved = SavedFrames(Path("out"), (Path("out/frame-1-0.50s.jpg"),), Path("out/frames.json"))
        >>> len(saved.pictures), saved.clips
        (1, ())
    """

    folder: Path
    pictures: tuple[Path, ...]
    table: Path
    clips: tuple[VideoClip, ...] = ()
    sheet: Path | None = None


def save_frames(
    timeline: VideoTimeline,
    folder: str | os.PathLike[str],
    *,
    clips: bool = False,
    sheet: bool = False,
    picture: str = "jpg",
    max_side: int | None = None,
    overwrite: bool = False,
) -> SavedFrames:
    """Save the key frames of a video as pictures, with a table as CSV and as JSON.

    The pictures are read again in the size of the video. Until all files are complete, the folder stays as it was.

    Args:
        timeline: The key frames and segments.
        folder: A new or empty folder.
        clips: Also cut the segments out of the file, with `dyto.video.cutting`.
        sheet: Also draw all key frames on one sheet.
        picture: "jpg" or "png".
        max_side: Shrink the pictures so that neither side is longer; None for the size of the video.
        overwrite: Allow a folder with files: key frames and clips of an earlier run are replaced, others stay.

    Returns:
        What was written.

    Raises:
        VideoError: The video cannot be read again, or is no file that clips can be cut from.
        ConfigError: The folder cannot be used, or an option is impossible.

    Example:
        >>> import tempfile, numpy as np, dyto
        >>> film = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)
        >>> timeline = dyto.find_timeline(dyto.VideoQA.from_pretrained("tiny"), film)
        >>> saved = save_frames(timeline, Path(tempfile.mkdtemp(), "frames"), picture="png")
        >>> len(saved.pictures) == len(timeline.keyframes), saved.table.name
        (True, 'frames.json')
    """
    place = check_folder(folder, overwrite)
    check_picture(picture, max_side)
    if clips:
        check_clips(timeline.source)
    half = (place if place.is_dir() else place.absolute().parent) / f".{place.absolute().name}.{secrets.token_hex(8)}"
    try:
        half.mkdir()
        names = _save_pictures(timeline, half, picture, max_side)
        cut = _save_clips(timeline, half) if clips else []
        if sheet:
            save_picture(_sheet(timeline), half / SHEET)
        _save_tables(timeline, half, names, cut, sheet)
        _move(half, place)
    except OSError as err:
        raise ConfigError(
            f"folder {place} cannot be written ({err.strerror or err}): make room, or give another"
        ) from err
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return SavedFrames(
        folder=place,
        pictures=tuple(place / name for name in names),
        table=place / TABLE,
        clips=tuple(VideoClip(**{**vars(clip), "path": place / clip.path.name}) for clip in cut),
        sheet=place / SHEET if sheet else None,
    )


def _save_pictures(timeline: VideoTimeline, folder: Path, picture: str, max_side: int | None) -> list[str]:
    names = []
    digits = len(str(len(timeline.keyframes)))
    seconds = timeline.keyframes.seconds.tolist()
    for number, pixels in enumerate(_pictures(timeline, max_side)):
        name = f"frame-{number + 1:0{digits}d}-{seconds[number]:.2f}s.{picture}"
        quality: dict[str, Any] = {"quality": QUALITY, "subsampling": 0} if picture == "jpg" else {"compress_level": 3}
        Image.fromarray(pixels).save(folder / name, "JPEG" if picture == "jpg" else "PNG", **quality)
        names.append(name)
    return names


def _pictures(timeline: VideoTimeline, max_side: int | None) -> Iterator[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Read the key frames in their full size, some at a time."""
    keyframes, frames = timeline.keyframes, timeline.frames
    if timeline.source is None:  # pictures in memory: what is left of them is the preview
        assert frames.preview is not None
        shown = frames.preview[keyframes.positions]
        yield from sample_frames(shown, num_frames=len(shown), max_side=max_side).data
        return
    kept = ("allow_partial", "limits", "source_fps", "guarded")
    options = {name: value for name, value in timeline.sampling.items() if name in kept}
    numbers: list[int] = keyframes.indices.tolist()
    height, width = frames.source_size
    step = 1 if Path(timeline.source).is_dir() else max(1, AT_ONCE // max(1, height * width * 3))
    order = sorted(set(numbers))
    place = 0
    for start in range(0, len(order), step):
        some = sample_frames(timeline.source, numbers=order[start : start + step], max_side=max_side, **options)
        at = {int(index): row for row, index in enumerate(some.indices)}
        while place < len(numbers) and numbers[place] in at:
            yield some.data[at[numbers[place]]]
            place += 1


def _save_clips(timeline: VideoTimeline, folder: Path) -> list[VideoClip]:
    assert timeline.source is not None
    digits = len(str(len(timeline.segments)))
    places = [folder / f"segment-{number:0{digits}d}" for number in range(1, len(timeline.segments) + 1)]
    given = timeline.sampling
    return cut_clips(
        Path(timeline.source),
        [(segment.start, segment.end) for segment in timeline.segments],
        places,
        allow_partial=bool(given.get("allow_partial")),
        limits=Limits.of(given.get("limits")),
    )


def _sheet(timeline: VideoTimeline) -> Image.Image:
    assert timeline.frames.preview is not None
    keyframes = timeline.keyframes
    return contact_sheet(
        [Image.fromarray(timeline.frames.preview[position]) for position in keyframes.positions],
        [f"{number}: {clock(second)}" for number, second in enumerate(keyframes.seconds, start=1)],
    )


def _save_tables(
    timeline: VideoTimeline, folder: Path, names: Sequence[str], cut: Sequence[VideoClip], sheet: bool
) -> None:
    rows = []
    for keyframe, name in enumerate(names):
        place = timeline.segment_of(keyframe)
        segment = timeline.segments[place]
        told = timeline.frame_dict(keyframe)
        rows.append({"file": name, **told, "segment": place + 1, "start": round(segment.start, 3),
                     "end": round(segment.end, 3)})  # fmt: skip
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    (folder / "frames.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    clips = [
        {"file": clip.path.name, "segment": number, "start": round(clip.start, 3), "end": round(clip.end, 3),
         "frames": clip.frames, "copied": clip.copied, "sound": clip.sound}
        for number, clip in enumerate(cut, start=1)
    ]  # fmt: skip
    told = timeline.to_dict()
    document = {**told, "format": FORMAT, "keyframes": rows, "clips": clips, "sheet": SHEET if sheet else None}
    (folder / TABLE).write_text(
        json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n", encoding="utf-8", errors="replace"
    )


def _move(half: Path, place: Path) -> None:
    """Put the finished files in their place: a new folder at once, else file by file, the table last."""
    if not place.is_dir():
        os.replace(half, place)
        return
    made = sorted(half.iterdir(), key=lambda path: path.name == TABLE)
    for path in made:
        os.replace(path, place / path.name)
    new = {path.name for path in made}
    for path in place.iterdir():
        if OURS.fullmatch(path.name) and path.name not in new and path.is_file():
            path.unlink()
