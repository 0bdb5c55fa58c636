"""Reading files that were damaged by chance, in a process that may die of it.

    python tests/fuzzing.py KIND FIRST LAST FOLDER [SOURCE]

damages a file of a kind ("all" for each) once for every seed from FIRST to LAST and reads it in every way. It prints
what is wrong, a line each, and ends with status 1 if anything is; a crash or a hang ends it where it happens. The file
of a seed that went wrong stays in the folder. With SOURCE that file, or folder, is damaged instead.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import hashlib
import random
import shutil
import struct
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from dyto.errors import DytoError
from dyto.savings import Savings
from dyto.video import sample_frames
from dyto.video import stretches as _stretches
from dyto.video.arrival import FramesChanged

from video_files import picture, write_video

SECONDS, MEGABYTES = 10, 300
"""What reading a file may take, beyond what the process holds anyway."""

say = partial(print, flush=True)

CORES = (1, 2, 3, 8)
"""The machine is said to have so many."""

SIZE = (96, 128)
QUICK = {"deadline": "realtime", "cpu-used": "8"}
QUIET = {"x265-params": "log-level=none:keyint=12:pools=none:frame-threads=1"}
EXACT = {"fflags": "bitexact"}
SVT = {"preset": "12", "svtav1-params": "lp=1"}

VIDEOS: dict[str, tuple[str, dict[str, Any]]] = {
    "mp4": ("a.mp4", {}),
    "mkv": ("a.mkv", {"gop": 7}),
    "webm": ("a.webm", {"codec": "libvpx", "options": QUICK}),
    "avi": ("a.avi", {"codec": "mpeg4"}),
    "ts": ("a.ts", {"codec": "mpeg2video"}),
    "gif": ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    "flv": ("a.flv", {"codec": "flv", "size": (272, 304)}),
    "mpg": ("a.mpg", {"codec": "mpeg2video"}),
    "mov": ("a.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "hevc": ("a.mp4", {"codec": "libx265", "options": QUIET}),
    "vp9": ("a.webm", {"codec": "libvpx-vp9", "options": QUICK}),
    "av1": ("a.mkv", {"codec": "libsvtav1", "options": SVT}),
    "prores": ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "h264-ts": ("a.ts", {"sound_seconds": 4}),
    "sound": ("a.mp4", {"sound_seconds": 4, "container_options": {"movflags": "faststart"}}),
    "fragments": ("a.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "interlaced": ("a.mkv", {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1"}}),
    "open": ("a.mkv", {"options": {"bf": "3", "x264-params": "open-gop=1:keyint=8:min-keyint=8:slices=3"}}),
    "long": ("a.mp4", {"gop": 250, "count": 120}),
    "wmv": ("a.wmv", {"codec": "wmv2"}),
    "ogv": ("a.ogv", {"codec": "libvpx", "container_format": "ogg", "options": QUICK, "container_options": EXACT}),
    "ivf": ("a.ivf", {"codec": "libvpx", "options": QUICK}),
    "mjpeg": ("a.mjpeg", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
}
"""Name and how it is written, by kind."""

ANIMATIONS = {"apng": "a.png", "webp": "a.webp", "tiff": "a.tiff"}
PLAIN = dataclasses.replace(Savings.none(), quick_resize=True)
"""Every frame decoded by one decoder; what resizes them is that of the other ways."""

KINDS = (*VIDEOS, *ANIMATIONS, "folder", "several")
EVERYDAY = ("mp4", "mkv", "webm", "avi", "ts", "gif", "flv", "mpg", "mov", "apng", "webp", "folder")

CLAIMS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
"""Numbers that a header might claim."""


def source_of(kind: str, folder: Path) -> Path:
    """Write a whole file, or folder, of a kind."""
    if kind in VIDEOS:
        name, options = VIDEOS[kind]
        options = {"count": 40, "noise": 30, "size": SIZE, **options}
        return write_video(folder / name, options.pop("count"), **options)
    if kind == "several":
        return _several_streams(folder / "a.mkv")
    grain = np.random.default_rng(0)
    noisy = [picture(n, *SIZE).astype(int) + grain.integers(-30, 30, (*SIZE, 3)) for n in range(12)]
    images = [Image.fromarray(pixels.clip(0, 255).astype(np.uint8)) for pixels in noisy]
    if kind in ANIMATIONS:
        images[0].save(folder / ANIMATIONS[kind], save_all=True, append_images=images[1:], duration=100)
        return folder / ANIMATIONS[kind]
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        image.save(pictures / f"{number}.{('png', 'jpg', 'webp', 'bmp', 'tif', 'ppm')[number % 6]}")
    return pictures


def _several_streams(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=10) for codec in ("libx264", "mpeg4", "mjpeg")]
        for stream in streams:
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuvj420p" if stream.codec_context.name == "mjpeg" else "yuv420p"
            stream.codec_context.gop_size = 9
        for number in range(30):
            for stream in streams:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, *SIZE), format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes of a file with a few things wrong, most of them in its head or its tail, where lengths stand."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8, 30))):
        if not out:
            break
        zone = chance.choice((len(out), len(out), min(512, len(out)), -min(2048, len(out))))
        at = chance.randrange(zone) if zone > 0 else len(out) + chance.randrange(zone, 0)
        length = min(chance.choice((1, 2, 4, 16, 100, 2000)), len(out) - at)
        chance.choice(WAYS)(out, at, length, chance)
    return bytes(out)


def _flip(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    out[at] ^= 1 << chance.randrange(8)


def _noise(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    out[at : at + length] = chance.randbytes(length)


def _fill(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    out[at : at + length] = bytes([chance.choice((0, 0xFF))]) * length


def _claim(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    width = chance.choice((1, 2, 4, 8))
    out[at : at + width] = struct.pack(chance.choice("<>") + "Q", chance.choice(CLAIMS))[:width]


def _lose(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    del out[at : at + length]


def _repeat(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    out[at:at] = out[at : at + length]


def _move(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    to = chance.randrange(len(out))
    out[to : to + length] = out[at : at + length]


def _end(out: bytearray, at: int, length: int, chance: random.Random) -> None:
    del out[max(at, 1) :]


WAYS: tuple[Callable[[bytearray, int, int, random.Random], None], ...] = (
    _flip, _flip, _flip, _noise, _fill, _claim, _claim, _lose, _repeat, _move, _end,
)  # fmt: skip


def damage(source: Path, out: Path, seed: int) -> None:
    """Copy a file, or a folder with one or two of its files, damaged."""
    chance = random.Random(seed)
    if source.is_file():
        out.write_bytes(damaged(source.read_bytes(), chance))
        return
    shutil.copytree(source, out)
    for path in chance.sample(sorted(out.iterdir()), chance.choice((1, 2))):
        path.write_bytes(damaged(path.read_bytes(), chance))


def asked(seed: int) -> dict[str, Any]:
    """What is asked of the file of a seed."""
    chance = random.Random(-seed - 1)
    frames = ({}, {"num_frames": 12}, {"num_frames": 3}, {"fps": 3}, {"sampling": "iframes"})
    clip = ({}, {}, {"start": 1}, {"start": 0.5, "end": 2.25})
    size = ({"size": (48, 64)}, {"size": 32}, {"max_side": 64})
    more = ({}, {"allow_partial": True}, {"preview": 32, "allow_partial": True}, {"source_fps": 5})
    return {key: value for part in (frames, clip, size, more) for key, value in chance.choice(part).items()}


def read(path: Path, **options: Any) -> tuple[Any, ...]:
    """What comes of reading: all that the frames are, or the error."""
    try:
        frames = sample_frames(path, **options)
        pixels = [hashlib.sha256(part).hexdigest() for part in (frames.data, frames.preview) if part is not None]
        told = frames.indices.tolist(), frames.seconds.tolist(), frames.source_size, frames.total, frames.warnings
        return (*pixels, frames.data.shape, *told)
    except FramesChanged:  # whoever gets this reads again, plainly
        return read(path, **{**options, "savings": Savings(overlap=False)})
    except DytoError as err:
        return type(err).__name__, str(err)


def readings(path: Path, options: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What comes of reading a file in every way that promises the same."""
    real = _stretches.cores
    yield "plainly", read(path, savings=PLAIN, **options)
    try:
        for count in CORES:
            _stretches.cores = lambda count=count: count  # type: ignore[misc]
            yield f"with {count} cores", read(path, savings=Savings(overlap=False), **options)
        yield "while they arrive", read(path, savings=Savings(overlap=True), **options)
        # Which frames are still is for the packets to say: here it may change pixels, and must come to an end.
        read(path, savings=Savings(overlap=False, still=True), **options)
    finally:
        _stretches.cores = real
    yield "guarded", read(path, guarded=True, **options)
    yield "again", read(path, savings=PLAIN, **options)


def _peak() -> float:
    """Most megabytes that this process held since the last `_forget`."""
    status = Path("/proc/self/status").read_text()
    return int(status[status.index("VmHWM:") + 6 :].split()[0]) / 1024


def _forget() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def faults(path: Path, seed: int, idle: float, seconds: float) -> Iterator[str]:
    """What is wrong with how a damaged file is read."""
    options, first = asked(seed), None
    _forget()
    ways = readings(path, options)
    while True:
        faulthandler.dump_traceback_later(seconds, exit=True)
        way, found = next(ways, ("", ()))
        faulthandler.cancel_dump_traceback_later()
        if not way:
            return
        first = first or (way, found)
        if found != first[1]:
            yield f"{options} {first[0]}: {_short(first[1])}, {way}: {_short(found)}"
            return
        if _peak() - idle > MEGABYTES:
            yield f"{options} {way}: {_peak() - idle:.0f} MB above {idle:.0f} MB: {_short(found)}"
            return


def _short(found: tuple[Any, ...]) -> str:
    return " ".join(part if " " in part else part[:12] for part in map(str, found))[:400]


def run(kind: str, seeds: range, folder: Path, source: Path | None = None) -> int:
    """Damage and read the files of some seeds.

    Returns:
        How many of them went wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = source or source_of(kind, folder)
    begun = time.monotonic()
    first = read(source, size=32)
    seconds = SECONDS + 10 * (time.monotonic() - begun)  # where much else runs, or the file is large
    if len(first) < 3:
        say(f"{kind}: the whole file cannot be read: {first}")
        return 1
    list(readings(source, asked(0)))
    _forget()
    idle, wrong = _peak(), 0
    for seed in seeds:
        path = folder / f"{kind}-{seed}{source.suffix}"
        damage(source, path, seed)
        say(f"{kind} {seed}", file=sys.stderr)
        try:
            found = [*faults(path, seed, idle, seconds)]
        except Exception as err:  # noqa: BLE001 - told like everything else that is wrong
            faulthandler.cancel_dump_traceback_later()
            found = [f"{asked(seed)} {type(err).__name__}: {err}"]
        for fault in found:
            say(f"{kind} {seed}: {fault}")
        wrong += bool(found)
        if not found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return wrong


def main() -> None:
    """Do as the head of this file says."""
    kind, first, last, folder, *source = sys.argv[1:]
    warnings.simplefilter("ignore")
    faulthandler.enable()
    kinds = {"all": KINDS, "everyday": EVERYDAY}.get(kind, (kind,))
    given = Path(source[0]) if source else None
    wrong = sum(run(name, range(int(first), int(last)), Path(folder) / name, given) for name in kinds)
    say(f"{wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
