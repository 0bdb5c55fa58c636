"""What a file may hold, told before it is decoded."""

from __future__ import annotations

import time
import tracemalloc

import av
import numpy as np
import pytest
from PIL import Image

import dyto
from dyto.errors import ConfigError, VideoError
from dyto.video import sample_frames
from dyto.video.limits import Limits, limits_given

from video_files import picture, write_sound, write_video


def error_of(source, **options) -> str:
    with pytest.raises(VideoError) as caught:
        sample_frames(source, **options)
    return str(caught.value)


@pytest.mark.parametrize(("ending", "mode", "size"), [("png", "1", (13_000, 13_000)), ("webp", "L", (8_000, 8_100))])
def test_a_picture_that_is_too_large_is_refused_by_its_size(tmp_path, ending, mode, size):
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.new(mode, size).save(folder / f"large.{ending}")
    start = time.perf_counter()
    tracemalloc.start()
    for source in (folder / f"large.{ending}", folder):
        message = error_of(source)
        assert f"{size[0]} x {size[1]} pixels" in message
        assert "limits={'megapixels': " in message
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert time.perf_counter() - start < 1


def test_a_limit_can_be_raised_and_lowered(tmp_path):
    video = write_video(tmp_path / "small.mp4")
    message = error_of(video, limits={"megapixels": 0.005})
    assert "80 x 64 pixels" in message
    assert "--raise-limit megapixels=1" in message
    assert sample_frames(video, limits={"megapixels": 0.00512}).total == 30
    Image.fromarray(picture(3)).save(tmp_path / "a.png")
    assert "80 x 64" in error_of(tmp_path / "a.png", limits=Limits(megapixels=0.005))


def test_a_video_of_days_is_refused(tmp_path):
    video = write_video(tmp_path / "days.mkv", 3, times=[0, 100, 30 * 3600 * 1000], options={"bf": "0"})
    assert "30 hours" in error_of(video)
    assert sample_frames(video, limits={"hours": 31}).total == 3


def test_a_file_of_many_streams_is_refused(tmp_path):
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        sounds = [container.add_stream("aac", rate=8000, layout="mono") for _ in range(33)]
        for number in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode(None))
        for sound in sounds:
            write_sound(container, sound, 0.2)
    assert "34 streams" in error_of(path)
    assert sample_frames(path, limits={"streams": 34}).total == 5


def test_frames_that_grow_in_the_middle_are_refused(tmp_path):
    raw = {"container_format": "h264", "options": {"bf": "0"}}
    small = write_video(tmp_path / "a.h264", 20, **raw)
    large = write_video(tmp_path / "b.h264", 20, size=(640, 800), **raw)
    joined = tmp_path / "joined.h264"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    assert "800 x 640" in error_of(joined, size=32, limits={"megapixels": 0.3})
    assert sample_frames(joined, size=32).total == 40


@pytest.mark.parametrize("codec", ["gif", "mjpeg"])
def test_a_file_of_frames_that_are_far_too_large_is_refused_before_it_takes_memory(tmp_path, codec):
    name, pix_fmt = {"gif": ("a.gif", "rgb8"), "mjpeg": ("a.avi", "yuvj420p")}[codec]
    path = write_video(tmp_path / name, 2, codec=codec, pix_fmt=pix_fmt, size=(640, 800))
    assert "megapixels" in error_of(path, limits={"megapixels": 0.1})
    assert "megapixels" in error_of(path, limits={"megapixels": 0.4})
    assert sample_frames(path, limits={"megapixels": 0.6}).total == 2


def test_limits_are_set_by_name():
    assert limits_given([]) == {}
    assert limits_given(["hours=48", "megapixels=100"]) == {"hours": 48, "megapixels": 100}
    with pytest.raises(ConfigError, match="did you mean 'megapixels'"):
        limits_given(["megapixel=1"])
    for text in ("hours", "hours=", "hours=x", "hours=0", "hours=-1", "hours=nan"):
        with pytest.raises(ConfigError, match="hours"):
            limits_given([text])
    with pytest.raises(ConfigError, match="streams"):
        dyto.sample_frames(np.zeros((1, 4, 4, 3), np.uint8), limits={"streams": True})


def with_claims(path, out, height, width, frames):
    """Copy a video in Sorenson's codec whose frames claim a size of 16 bits a side; some claim another."""
    data = bytearray(path.read_bytes())
    at = 13
    for number in range(max(frames) + 2):  # the first tag is about the file
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        head = int.from_bytes(data[at + 12 : at + 24], "big")
        if data[at] == 9 and number - 1 in frames:
            assert head >> 63 & 7 == 1
            head = head & ~(0xFFFFFFFF << 31) | (width << 47 | height << 31)
            data[at + 12 : at + 24] = head.to_bytes(12, "big")
        at += 11 + size + 4
    out.write_bytes(data)
    return out


def test_a_frame_that_claims_more_than_its_file_is_refused(tmp_path):
    whole = write_video(tmp_path / "a.flv", 12, codec="flv", size=(272, 304), gop=4)
    large = with_claims(whole, tmp_path / "large.flv", 7000, 7000, {5})
    message = error_of(large)
    assert "frame 5 has 7000 x 7000 pixels, expected 4 times the 82688" in message or "more than the" in message
    with pytest.raises(VideoError, match="--raise-limit growth=") as caught:
        sample_frames(with_claims(whole, tmp_path / "larger.flv", 3100, 3100, {5}))
    assert "frame 5 has 3100 x 3100 pixels" in str(caught.value)
    fine = with_claims(whole, tmp_path / "fine.flv", 2000, 3000, {5})
    assert sample_frames(fine, size=32, allow_partial=True).total == 12


def test_pictures_that_cannot_be_in_so_few_bytes_are_refused(tmp_path):
    whole = write_video(tmp_path / "a.flv", 6, codec="flv", size=(272, 304), gop=4)
    claims = with_claims(whole, tmp_path / "all.flv", 7000, 7000, set(range(6)))
    start = time.perf_counter()
    assert "claims pictures of 49 megapixels" in error_of(claims)
    assert time.perf_counter() - start < 5
