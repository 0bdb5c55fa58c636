"""FFmpeg's scaler beside PIL's filter, and planes beside packed pixels."""

from dataclasses import replace

import av
import numpy as np
import pytest

from dyto import Savings, sample_frames
from dyto.video.planes import FORMATS, PlanarConverter, samples
from dyto.video.sampling import resized
from dyto.video.scaling import Scaler, _suits

from video_files import write_video

EXACT = Savings(quick_resize=False)


def noise(height, width, most=256):
    return np.random.default_rng(0).integers(0, most, (height, width, 3), dtype=np.uint8)


def hard(height, width):
    """Black and white pixels, at which every filter overshoots most."""
    return noise(height, width, 2) * np.uint8(255)


@pytest.mark.parametrize(
    ("full", "kept"),
    [
        ((180, 320), (84, 84)), ((93, 124), (96, 112)), ((100, 37), (20, 240)), ((64, 64), (200, 150)),
        ((270, 480), (336, 336)), ((300, 17), (19, 16)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("drawn", [noise, hard])
def test_no_level_is_more_than_two_from_that_of_pil(full, kept, drawn):
    assert _suits(*full, *kept)
    picture = drawn(*full)
    for shown in (picture, np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0), picture[::-1, ::-1]):
        difference = abs(Scaler()(shown, *kept).astype(int) - resized(shown, *kept))
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.25
        assert (difference > 1).mean() < 0.003


def test_a_scaler_takes_pictures_of_changing_sizes_and_leaves_what_it_cannot_scale_to_pil():
    scaler = Scaler()
    for full, kept in (((60, 80), (40, 40)), ((80, 60), (40, 40)), ((60, 80), (40, 40))):
        assert abs(scaler(noise(*full), *kept).astype(int) - resized(noise(*full), *kept)).max() <= 2
    for full, kept in (((60, 80), (4, 4)), ((8, 8), (40, 40)), ((18, 600), (18, 30)), ((40, 40), (40, 40))):
        np.testing.assert_array_equal(scaler(noise(*full), *kept), resized(noise(*full), *kept))


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("width", [64, 70, 33])
def test_planes_hold_the_pixels_that_ffmpeg_packs(layout, width):
    frame = av.VideoFrame(width, 36, layout)
    for plane in frame.planes:
        samples(plane)[...] = np.random.default_rng(1).integers(0, 256, (plane.height, plane.line_size))
    frame.colorspace = 1
    pixels = PlanarConverter()(frame)
    if pixels is not None:  # this build of FFmpeg converts both in the same way
        np.testing.assert_array_equal(pixels, frame.to_ndarray(format="rgb24"))
    assert PlanarConverter()(frame.reformat(format="yuv444p")) is None
    assert PlanarConverter()(frame.reformat(height=35)) is None


def test_a_build_that_converts_planes_in_another_way_is_noticed(monkeypatch):
    class Other:
        def reformat(self, frame, format):
            return av.VideoFrame.from_ndarray(noise(36, 64), format="rgb24").reformat(format=format)

    frame = av.VideoFrame.from_ndarray(noise(36, 64, 99), format="rgb24").reformat(format="yuv420p")
    monkeypatch.setattr("dyto.video.planes.VideoReformatter", Other)
    converter = PlanarConverter()
    assert converter(frame) is None
    assert converter(frame) is None


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_the_frames_of_a_file_are_those_of_pil_to_two_levels_or_bit_for_bit(tmp_path, pix_fmt):
    video = write_video(tmp_path / "v.mkv", 12, size=(120, 168), noise=200, pix_fmt=pix_fmt)
    full = sample_frames(video).data
    exact = np.stack([resized(picture, 48, 64) for picture in full])
    np.testing.assert_array_equal(sample_frames(video, size=(48, 64), savings=EXACT).data, exact)
    quick = sample_frames(video, size=(48, 64), preview=32)
    assert 0 < abs(quick.data.astype(int) - exact).max() <= 2
    for savings in (Savings(parallel=False), Savings(overlap=True), replace(Savings.none(), quick_resize=True)):
        np.testing.assert_array_equal(sample_frames(video, size=(48, 64), savings=savings).data, quick.data)
    small = np.stack([resized(picture, *quick.preview.shape[1:3]) for picture in full])
    assert abs(quick.preview.astype(int) - small).max() <= 2


def test_real_clips(shared):
    for path in sorted((shared / "videos").glob("*.mp4"))[:1]:
        quick, exact = (sample_frames(path, num_frames=3, size=336, savings=s).data for s in (Savings(), EXACT))
        difference = abs(quick.astype(int) - exact)
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.02
