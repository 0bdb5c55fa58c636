"""Damage is told, and what is made of it does not depend on how the work is shared."""

from __future__ import annotations

import gc
import hashlib

import av
import numpy as np
import pytest

from dyto.errors import VideoError
from dyto.video import sample_frames
from dyto.video import stretches as _stretches
from dyto.video.rgb import FrameContent, matrix_of
from dyto.video.whole import missing_bytes

from video_files import KINDS_OF_READING, write_video

KINDS = {
    "a.mpg": {"codec": "mpeg2video"},
    "a.vob": {"codec": "mpeg2video", "container_format": "vob"},
    "a.flv": {"codec": "flv"},
    "b.flv": {"sound_seconds": 0},
    "a.ogv": {"codec": "libvpx", "container_format": "ogg", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "a.wmv": {"codec": "wmv2"},
    "a.ivf": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "a.avi": {"codec": "mpeg4"},
    "a.mkv": {},
    "a.mov": {"container_options": {"movflags": "faststart"}},
    "a.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "a.3gp": {"codec": "mpeg4"},
    "a.y4m": {"codec": "wrapped_avframe"},
    "a.mjpeg": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    files = {}

    def get(name):
        if name not in files:
            files[name] = write_video(
                tmp_path_factory.mktemp("made") / name, 40, noise=30, size=(96, 128), **KINDS[name]
            )
        return files[name]

    return get


def read(path, reading="plainly", **options):
    """What comes of reading: the warnings, or the error, and the pictures."""
    try:
        frames = sample_frames(path, num_frames=12, savings=KINDS_OF_READING[reading], **options)
        return hashlib.sha256(frames.data.tobytes()).hexdigest(), frames.warnings
    except VideoError as err:
        return "", (str(err),)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_breaks_off_anywhere_is_told(made, tmp_path, name):
    data = made(name).read_bytes()
    assert missing_bytes(made(name)) == 0
    assert read(made(name))[1] == ()
    random = np.random.default_rng(0)
    for end in random.integers(len(data) // 3, len(data) - 1, 14).tolist():
        (tmp_path / name).write_bytes(data[:end])
        assert read(tmp_path / name)[1], f"silence after {end} of {len(data)} bytes"


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "libx265", "libvpx", "mjpeg", "mpeg2video"])
def test_bits_that_flipped_are_read_alike_by_any_number_of_decoders(tmp_path, monkeypatch, codec):
    ending = {"mpeg4": "avi", "mjpeg": "avi", "mpeg2video": "ts", "libvpx": "webm"}.get(codec, "mkv")
    options = {
        "libvpx": {"deadline": "realtime", "cpu-used": "8"},
        "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
    }.get(codec, {})
    path = write_video(
        tmp_path / f"whole.{ending}", 50, gop=10, noise=30, size=(96, 128), codec=codec, options=options,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
    )  # fmt: skip
    data, random, told = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(4):
        broken = bytearray(data)
        for at in random.integers(len(data) // 8, len(data) * 9 // 10, 4):
            broken[at] ^= 1 << int(random.integers(8))
        flipped = tmp_path / f"flipped.{ending}"
        flipped.write_bytes(broken)
        found = {read(flipped, reading) for reading in ("plainly", "by several decoders")}
        for decoders in (2, 3):
            monkeypatch.setattr(_stretches, "decoders_for", lambda stretches, area, n=decoders: (n, 1))
            found |= {read(flipped, "by several decoders"), read(flipped, "by several decoders")}
        assert len(found) == 1
        told += bool(next(iter(found))[1])
    if codec in ("mpeg4", "libx264", "mpeg2video"):  # the others cannot tell
        assert told >= 2


def living_frames():
    # `isinstance` would ask each object for its class, to which some of other libraries answer with a warning.
    return {id(thing) for thing in gc.get_objects() if issubclass(type(thing), av.VideoFrame)}


def test_a_frame_gives_its_memory_back_at_once(made):
    """What a decoder leaves out of a damaged picture is what its memory held before: that must not be up to chance."""
    with av.open(str(made("a.mkv"))) as container:
        frame = next(container.decode(video=0))
        pixels = np.frombuffer(memoryview(frame.planes[0]), np.uint8)
        kept = FrameContent.of(frame).kept(None)
        assert not any(np.shares_memory(plane, pixels) for plane in kept.planes)
        assert kept.kept(kept.kept(None)).equals(kept)
        del pixels
        matrix_of(frame)
        gc.collect()
        gc.disable()
        address = id(frame)
        assert address in living_frames()
        del frame
        try:
            assert address not in living_frames()  # without the collector's help, whose time nobody knows
        finally:
            gc.enable()


def test_the_cases(shared):
    for name in ("flipped.avi", "flipped.ts"):
        path = shared / "cases" / "media" / name
        found = [read(path, reading) for reading in KINDS_OF_READING for _ in range(2)]
        assert len(set(found)) == 1
        assert "damaged" in found[0][1][0]
