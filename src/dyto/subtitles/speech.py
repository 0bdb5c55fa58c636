"""Transcripts: what is said in a video without subtitles, by `faster-whisper` from the extra `speech`."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dyto.errors import ConfigError, MissingExtraError, ModelError, VideoError, unknown
from dyto.subtitles.finding import Subtitles, tidy
from dyto.subtitles.parsing import Subtitle
from dyto.subtitles.reading import read_lines
from dyto.system.files import replacing
from dyto.video.container import opened
from dyto.video.fingerprint import fingerprint
from dyto.video.limits import Limits

log = logging.getLogger(__name__)

SIZES = {
    "tiny": 75, "tiny.en": 75, "base": 145, "base.en": 145, "small": 484, "small.en": 484, "medium": 1530,
    "medium.en": 1530, "large-v2": 3090, "large-v3": 3090, "large-v3-turbo": 1620,
}  # fmt: skip
"""Megabytes of the models that a name stands for, rounded, as their repositories on the Hub list them."""


def check_speech(model: str) -> None:
    """Check that speech can be turned into text by a model, before the work is done.

    Args:
        model: A key of `SIZES`, or a folder with a model for CTranslate2.

    Raises:
        ConfigError: The name is unknown.
        MissingExtraError: `faster-whisper` is not installed.
    """
    if model not in SIZES and not Path(model).expanduser().is_dir():
        raise unknown("model of speech", model, SIZES)
    if find_spec("faster_whisper") is None:
        raise MissingExtraError("A transcript", "faster-whisper", "speech")


def transcribe(
    video: str | os.PathLike[str],
    model: str,
    *,
    limits: Any = None,
    on_download: Callable[[str], None] | None = None,
) -> Subtitles:
    """Write down what is said in a video, or read what was written down before.

    The transcript is kept as `NAME.whisper-MODEL.srt` beside the video, or in the cache of this user where the folder
    is not writable; a newer video is transcribed again.

    Args:
        video: A video file with sound.
        model: A key of `SIZES`, or a folder with a model for CTranslate2.
        limits: As for `dyto.sample_frames`.
        on_download: Called with a text before a model is downloaded.

    Returns:
        The transcript.

    Raises:
        VideoError: The video has no sound, or nothing is said.
        ModelError: The model cannot be loaded.
        MissingExtraError: `faster-whisper` is not installed.
    """
    path = Path(video).expanduser()
    check_sound(path, Limits.of(limits))
    for place in places_for(path, model):
        if place.is_file() and place.stat().st_mtime >= path.stat().st_mtime:
            return _subtitles(read_lines(place), path, model)
    check_speech(model)
    found = _subtitles(heard(load_speech(model, on_download), path), path, model)
    keep(found.lines, places_for(path, model))
    return found


def _subtitles(lines: Iterable[Subtitle], path: Path, model: str) -> Subtitles:
    found = tidy(lines)
    if not found:
        raise VideoError(f"{path.name}: model {model} of speech hears no words, expected some: leave out --speech")
    return Subtitles(found, f"the transcript of {path.name} by {Path(model).name}")


def check_sound(path: Path, limits: Limits) -> None:
    """Check that a video has sound.

    Raises:
        VideoError: It has none, or is no video file.
    """
    if not path.is_file():
        raise VideoError(f"{path} is no file, expected a video file with sound: leave out --speech")
    with opened(path, limits=limits) as (container, _):
        if not container.streams.audio:
            raise VideoError(
                f"{path.name} has no sound, expected a video in which something is said: leave out --speech"
            )


def places_for(path: Path, model: str) -> list[Path]:
    """Return where a transcript may lie: beside the video, and in the cache of this user."""
    name = re.sub(r"[^\w.-]", "_", Path(model).name)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dyto" / "speech"
    digest = hashlib.sha256(fingerprint(path).encode()).hexdigest()[:32]
    return [path.with_name(f"{path.stem}.whisper-{name}.srt"), cache / f"{digest}.{name}.srt"]


def load_speech(model: str, on_download: Callable[[str], None] | None = None) -> Any:
    """Load a model of speech, from this machine if it is there; a download is told of first.

    Raises:
        ModelError: It cannot be loaded.
    """
    from faster_whisper import WhisperModel

    name = str(Path(model).expanduser()) if Path(model).expanduser().is_dir() else model
    try:
        return WhisperModel(name, device="auto", compute_type="default", local_files_only=True)
    except Exception as err:
        if name != model or model not in SIZES:
            raise ModelError(
                f"model {model} of speech cannot be loaded ({err}): give a folder for CTranslate2"
            ) from err
        log.info("model %s of speech is not here: %s", model, err)
    if on_download is not None:
        on_download(f"downloading the model {model} of speech, about {SIZES[model]} MB")
    try:
        return WhisperModel(name, device="auto", compute_type="default")
    except Exception as err:
        raise ModelError(f"model {model} of speech cannot be downloaded or loaded ({err}): check the network") from err


def heard(whisper: Any, path: Path) -> list[Subtitle]:
    """Return what a loaded model of speech hears in a file.

    Raises:
        VideoError: The sound cannot be decoded.
    """
    try:
        segments, _ = whisper.transcribe(str(path.absolute()), vad_filter=True)
        return [Subtitle(float(one.start), float(one.end), str(one.text).strip()) for one in segments]
    except Exception as err:
        raise VideoError(f"the sound of {path.name} cannot be written down ({err}): check the file") from err


def keep(lines: Iterable[Subtitle], places: Iterable[Path]) -> None:
    """Write lines as `.srt` to the first place that can be written."""
    text = "".join(
        f"{number}\n{_stamp(line.start)} --> {_stamp(line.end)}\n{line.text}\n\n"
        for number, line in enumerate(lines, start=1)
    )
    for place in places:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place) as half:
                half.write_text(text, encoding="utf-8")
            return
        except OSError as err:
            log.info("a transcript cannot be kept in %s: %s", place, err)


def _stamp(second: float) -> str:
    minutes, rest = divmod(max(0, round(second * 1000)), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"


def check_choice(subtitles: str, speech: str | None) -> None:
    """Check that subtitles and a transcript are not both asked for.

    Raises:
        ConfigError: They are.
    """
    if speech is not None and subtitles != "auto":
        raise ConfigError(f"found --subtitles {subtitles} and --speech {speech}, expected one of them: leave one out")
