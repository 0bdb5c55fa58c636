"""Display matrices: all eight ways to hold a camera or a mirror, whichever way the frames are read."""

from __future__ import annotations

import gc
import math
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import Image

from dyto import Savings
from dyto.video import sample_frames

from video_files import KINDS_OF_READING, picture, set_matrix, write_video

WAYS = {
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (0, -1, 1, 0): lambda p: np.rot90(p),
    (0, 1, 1, 0): lambda p: p.swapaxes(0, 1),
    (0, -1, -1, 0): lambda p: np.rot90(p, 2).swapaxes(0, 1),
}
"""What the ffmpeg program shows for each matrix: tried with ffmpeg 5.1."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("plain") / "plain.mp4", 30, gop=10)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reading", KINDS_OF_READING)
def test_every_way_of_reading_shows_frames_upright(plain, tmp_path, way, reading):
    turned = set_matrix(plain, tmp_path / "turned.mp4", *(value << 16 for value in way))
    options = {"num_frames": 7, "savings": KINDS_OF_READING[reading], "preview": 40}
    stored, shown = sample_frames(plain, **options), sample_frames(turned, **options)
    expected = np.stack([WAYS[way](frame) for frame in stored.data])
    np.testing.assert_array_equal(shown.data, expected)
    assert shown.source_size == expected.shape[1:3]
    assert shown.warnings == ()
    assert shown.preview.shape[1:3] == tuple(side // 2 for side in expected.shape[1:3])


def mirrored_by_its_pictures(source: Path, path: Path) -> Path:
    """A copy of a video whose first picture says that it is to be shown mirrored."""
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream)
        insert = BitStreamFilterContext("h264_metadata=display_orientation=insert:flip=horizontal", stream, copy)
        for packet in before.demux(stream):
            for changed in insert.filter(packet if packet.size else None):
                changed.stream = copy
                after.mux(changed)
    return path


@pytest.mark.parametrize("gop", [30, 10])
@pytest.mark.parametrize("reading", KINDS_OF_READING)
def test_what_the_first_picture_says_holds_for_the_film(tmp_path, reading, gop):
    options = {"num_frames": 7, "savings": KINDS_OF_READING[reading]}
    plain = write_video(tmp_path / "plain.mp4", 30, gop=gop)
    shown = sample_frames(mirrored_by_its_pictures(plain, tmp_path / "told.mp4"), **options)
    np.testing.assert_array_equal(shown.data, sample_frames(plain, **options).data[:, :, ::-1])


@pytest.mark.parametrize("reading", KINDS_OF_READING)
def test_no_decoded_frame_lives_on_until_the_collector_comes_round(plain, tmp_path, reading):
    turned = set_matrix(plain, tmp_path / "turned.mp4", 0, 65536, -65536, 0)
    gc.collect()
    gc.disable()
    try:
        np.array(sample_frames(turned, savings=KINDS_OF_READING[reading]).data)
        assert sum(issubclass(type(thing), av.VideoFrame) for thing in gc.get_objects()) <= 1, (
            "one may have been looked at"
        )
    finally:
        gc.enable()


@pytest.mark.parametrize("scale", [1, 2, 0.5])
def test_a_matrix_that_scales_only_turns(plain, tmp_path, scale):
    turned = set_matrix(plain, tmp_path / "turned.mp4", 0, int(scale * 65536), int(-scale * 65536), 0)
    assert sample_frames(turned, num_frames=1).data.shape == (1, 80, 64, 3)


def test_a_matrix_of_nothing_is_none(plain, tmp_path):
    turned = set_matrix(plain, tmp_path / "turned.mp4", 0, 0, 0, 0)
    np.testing.assert_array_equal(sample_frames(turned).data, sample_frames(plain).data)


@pytest.mark.parametrize(("degrees", "shape"), [(30, (64, 80)), (60, (80, 64)), (200, (64, 80)), (-80, (80, 64))])
@pytest.mark.parametrize("overlap", [False, True])
def test_a_slanted_video_is_turned_to_the_nearest_quarter_and_says_so(plain, tmp_path, degrees, shape, overlap):
    cos, sin = (int(65536 * f(math.radians(degrees))) for f in (math.cos, math.sin))
    frames = sample_frames(
        set_matrix(plain, tmp_path / "turned.mp4", cos, sin, -sin, cos), savings=Savings(overlap=overlap)
    )
    assert frames.data.shape[1:3] == shape
    assert f"{degrees % 360} degrees" in frames.warnings[0]


def test_photographs_held_in_any_way_are_upright(tmp_path):
    undo = [None, lambda p: p, lambda p: p[:, ::-1], lambda p: p[::-1, ::-1], lambda p: p[::-1]]
    undo += [lambda p: p.swapaxes(0, 1), lambda p: np.rot90(p), lambda p: np.rot90(p, 2).swapaxes(0, 1)]
    undo += [lambda p: np.rot90(p, -1)]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels = np.ascontiguousarray(undo[orientation](picture(5)))
        Image.fromarray(pixels).save(tmp_path / f"{orientation}.png", exif=exif)
    np.testing.assert_array_equal(sample_frames(tmp_path).data, np.stack([picture(5)] * 8))


def test_the_cases(shared):
    media = shared / "cases" / "media"
    base = sample_frames(media / "base.mp4").data
    np.testing.assert_array_equal(sample_frames(media / "hflip.mp4").data, base[:, :, ::-1])
    np.testing.assert_array_equal(sample_frames(media / "vflip.mp4").data, base[:, ::-1])


def test_the_matrix_is_written_where_it_belongs(plain, tmp_path):
    data = set_matrix(plain, tmp_path / "turned.mp4", 1, 2, 3, 4).read_bytes()
    assert struct.unpack_from(">5i", data, data.index(b"tkhd") + 44) == (1, 2, 0, 3, 4)
