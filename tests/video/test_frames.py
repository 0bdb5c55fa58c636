"""Every frame carries its number: what is sampled is proven to be what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dyto.savings import Savings
from dyto.video import decode as _decode
from dyto.video import index as _index
from dyto.video import sample_frames, uniform_indices
from dyto.video import stretches as _stretches

from video_files import (
    numbers_in,
    remux,
    stamped_in_decoding_order,
    turn_right,
    with_hidden_pictures,
    write_video,
)

SHARED = Path(__file__).parents[3] / "shared" / "videos"
QUICK = {"deadline": "realtime", "cpu-used": "8"}
OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:b-adapt=0"}
LAYERED = {"x265-params": "log-level=none:open-gop=1:keyint=8:temporal-layers=3:pools=none:frame-threads=1"}
IRREGULAR = [i * i * 7 + 40 for i in range(30)]
KINDS = {
    "plain.mp4": {},
    "long-group.mp4": {"gop": 250},
    "no-b-frames.mov": {"options": {"bf": "0"}},
    "open-groups.mkv": {"options": OPEN_GOP},
    "faststart.mp4": {"container_options": {"movflags": "faststart"}},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "irregular.mp4": {"times": IRREGULAR},
    "irregular.mkv": {"times": IRREGULAR},
    "odd-size.mp4": {"size": (67, 93), "pix_fmt": "yuv444p"},
    "ten-bit.mkv": {"pix_fmt": "yuv420p10le"},
    "layered-hevc.mp4": {"codec": "libx265", "options": LAYERED},
    "vp8.webm": {"codec": "libvpx", "options": QUICK},
    "vp9.webm": {"codec": "libvpx-vp9", "options": QUICK},
    "live.webm": {"codec": "libvpx-vp9", "options": QUICK, "container_options": {"live": "1"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "b-frames.avi": {},
    "motion-jpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "late-start.ts": {"container_format": "mpegts"},
    "bare.h264": {"container_format": "h264"},
    "colours.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "with-sound.mp4": {"sound_seconds": 6},
    "intra-refresh.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=8"}},
    "one-frame.mp4": {"count": 1},
    "two-frames.mkv": {"count": 2},
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = write_video(folder / name, **KINDS[name])
        return made[name]

    return get


def times_of(name: str) -> np.ndarray:
    count = KINDS[name].get("count", 30)  # type: ignore[attr-defined]
    times = KINDS[name].get("times", [100 * i for i in range(count)])  # type: ignore[attr-defined]
    return (np.array(times) - times[0]) / 1000


def test_uniform_indices_follow_the_released_arithmetic():
    for total, num in [(376, 100), (5400, 100), (101, 100), (10, 4), (7, 3), (12345, 17)]:
        segment = (total - 1) / num
        want = [(round(segment * i) + round(segment * (i + 1))) // 2 for i in range(num)]
        assert uniform_indices(total, num).tolist() == want
        assert (np.diff(want) > 0).all()
        assert want[-1] < total


@pytest.mark.parametrize(("total", "num"), [(1, 1), (1, 100), (2, 5), (100, 100)])
def test_few_frames_are_given_once_each(total, num):
    assert uniform_indices(total, num).tolist() == list(range(total))


@pytest.mark.parametrize("name", KINDS)
def test_frames_carry_their_number_and_time(videos, name):
    count = KINDS[name].get("count", 30)  # type: ignore[attr-defined]
    frames = sample_frames(videos(name), num_frames=7)
    assert frames.indices.tolist() == uniform_indices(count, 7).tolist() == numbers_in(frames.data)
    assert frames.total == count
    assert frames.seconds == pytest.approx(times_of(name)[frames.indices], abs=6e-3)
    assert frames.source_size == KINDS[name].get("size", (64, 80)) == frames.data.shape[1:3]  # type: ignore[attr-defined]
    assert frames.warnings == ()


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", KINDS)
def test_every_way_of_reading_gives_what_decoding_everything_gives(videos, name, monkeypatch):
    requests = [
        {}, {"num_frames": 3}, {"num_frames": 2, "start": 0.0, "end": 5}, {"fps": 3}, {"sampling": "iframes"},
        {"sampling": "iframes", "num_frames": 2}, {"num_frames": 5, "size": (32, 40)},
    ]  # fmt: skip
    quick = [sample_frames(videos(name), **request) for request in requests]
    monkeypatch.setattr(_stretches, "SEEK_BYTES", 0)
    sought = [sample_frames(videos(name), **request) for request in requests]
    monkeypatch.setattr(_stretches, "decoders_for", lambda stretches, area: (3, 1))
    shared = [sample_frames(videos(name), **request) for request in requests]
    alone = [sample_frames(videos(name), **request, savings=Savings(parallel=False)) for request in requests]
    monkeypatch.setattr(_index, "TRUSTED_CODECS", ())
    for request, *several in zip(requests, quick, sought, shared, alone, strict=True):
        plain = sample_frames(videos(name), **request)
        for frames in several:
            np.testing.assert_array_equal(frames.indices, plain.indices)
            np.testing.assert_array_equal(frames.seconds, plain.seconds)
            np.testing.assert_array_equal(frames.data, plain.data)
            assert (frames.total, frames.source_size) == (plain.total, plain.source_size)


@pytest.fixture
def decoded(monkeypatch):
    """The frames that came out of the decoder while reading by stretches; reading through is forbidden."""
    seen = []
    stretch = _stretches.decoded_stretch

    def counting(*args):
        for frame in stretch(*args):
            seen.append(frame.pts)
            yield frame

    monkeypatch.setattr(_stretches, "decoded_stretch", counting)
    monkeypatch.delattr(_decode, "read_through")
    return seen


def test_packets_that_show_nothing_are_not_counted(videos, tmp_path, decoded):
    video = remux(videos("vp8.webm"), tmp_path / "hidden.webm", with_hidden_pictures)
    assert len(_decode.Index.scan(video).pts) == 32
    frames = sample_frames(video)
    assert frames.total == len(decoded) == 30
    assert numbers_in(frames.data) == list(range(30))


def test_times_that_tell_of_decoding_do_not_mislead(videos, tmp_path):
    video = remux(videos("plain.mp4"), tmp_path / "stamped.mkv", stamped_in_decoding_order)
    for num_frames in (3, 7, 30):
        frames = sample_frames(video, num_frames=num_frames)
        assert numbers_in(frames.data) == frames.indices.tolist() == uniform_indices(30, num_frames).tolist()


@pytest.mark.parametrize(
    "name", [name for name in KINDS if name.endswith((".mp4", ".mov", ".mkv", ".webm")) and "refresh" not in name]
)
def test_files_with_a_sound_index_are_not_read_through(videos, name, decoded):
    frames = sample_frames(videos(name), num_frames=3)
    assert numbers_in(frames.data) == frames.indices.tolist()
    assert len(decoded) >= len(frames)


@pytest.mark.parametrize("seek_bytes", [0, 1 << 20])
@pytest.mark.parametrize("name", ["groups.mp4", "groups.mkv"])
def test_groups_without_a_wanted_frame_are_not_decoded(tmp_path, monkeypatch, decoded, name, seek_bytes):
    monkeypatch.setattr(_stretches, "SEEK_BYTES", seek_bytes)
    video = write_video(tmp_path / name, 400, gop=10, options={"bf": "0", "sc_threshold": "0"})
    frames = sample_frames(video, num_frames=4)
    assert numbers_in(frames.data) == [50, 150, 249, 349]
    assert len(decoded) == 1 + 1 + 10 + 10  # two begin a group, two end one


def test_pictures_nothing_leans_on_are_skipped(tmp_path, decoded):
    options = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0"}
    video = write_video(tmp_path / "b.mp4", 100, gop=100, options=options)
    assert numbers_in(sample_frames(video, num_frames=1, start=9).data) == [94]
    assert len(decoded) < 30


def test_intra_frames_are_reached_without_decoding_others(tmp_path, decoded):
    video = write_video(tmp_path / "intra.mp4", 200, gop=10, options={"sc_threshold": "0"})
    frames = sample_frames(video, sampling="iframes")
    assert frames.indices.tolist() == numbers_in(frames.data) == list(range(0, 200, 10))
    assert frames.seconds.tolist() == [float(second) for second in range(20)]
    assert frames.total == 200
    assert len(decoded) == 20
    few = sample_frames(video, sampling="iframes", num_frames=6)
    assert few.indices.tolist() == (10 * uniform_indices(20, 6)).tolist() == numbers_in(few.data)


def test_an_index_that_promises_the_wrong_frames_is_not_believed(videos, monkeypatch):
    scan = _decode.Index.scan

    def lying(path, limits):
        index = scan(path, limits)
        index.pts[5:] += 1
        return index

    monkeypatch.setattr(_decode.Index, "scan", lying)
    assert numbers_in(sample_frames(videos("plain.mp4"), num_frames=7).data) == uniform_indices(30, 7).tolist()


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotation_is_applied(tmp_path, turns):
    video = turn_right(write_video(tmp_path / "turned.mp4", 5, turns=turns), turns)
    frames = sample_frames(video)
    assert numbers_in(frames.data) == [0, 1, 2, 3, 4]
    assert frames.source_size == (64, 80)


@pytest.mark.parametrize("name", ["plain.mp4", "irregular.mkv", "vp8.webm", "mpeg4.avi", "colours.gif"])
def test_a_clip_is_half_open_and_keeps_the_numbers_of_the_file(videos, name):
    start, end = times_of(name)[[4, 20]]
    frames = sample_frames(videos(name), start=start, end=end)
    assert frames.indices.tolist() == list(range(4, 20)) == numbers_in(frames.data)
    assert frames.total == 16
    few = sample_frames(videos(name), num_frames=5, start=start, end=end)
    assert few.indices.tolist() == (4 + uniform_indices(16, 5)).tolist()


def test_a_clip_that_reaches_far_beyond_the_end_says_so(videos):
    assert sample_frames(videos("plain.mp4"), end=3.5).warnings == ()
    (warning,) = sample_frames(videos("plain.mp4"), end=60).warnings
    assert "3.00 s" in warning


def test_fps_takes_the_frame_on_screen_at_each_instant(videos):
    times = times_of("irregular.mp4")
    for fps, start, end in [(2, 0, 5.88), (0.5, 0, 5), (7, 1, 3), (3, 0.5, 2.2)]:
        frames = sample_frames(videos("irregular.mp4"), fps=fps, start=start, end=end)
        instants = np.arange(start, end, 1 / fps)
        shown = np.searchsorted(times, instants + 1e-9, side="right") - 1
        inside = np.flatnonzero(times >= start)[0]
        assert frames.indices.tolist() == sorted(set(np.maximum(shown, inside).tolist()))
        assert numbers_in(frames.data) == frames.indices.tolist()


@pytest.mark.parametrize("fps", [10, 25, 1e9])
def test_a_high_fps_gives_every_frame_once(videos, fps):
    assert len(sample_frames(videos("irregular.mkv"), fps=1000)) == 30
    assert sample_frames(videos("vp9.webm"), fps=fps).indices.tolist() == list(range(30))


def test_a_clock_that_rounds_loses_no_frame(tmp_path):
    video = write_video(tmp_path / "rounded.mkv", 90, times=[round(i * 1000 / 30) for i in range(90)])
    assert sample_frames(video, fps=30).indices.tolist() == list(range(90))
    assert sample_frames(video, fps=15, end=2.99).indices.tolist() == list(range(0, 90, 2))


def test_thousands_of_frames(tmp_path):
    video = write_video(tmp_path / "long.mp4", 2500, options={"preset": "ultrafast"})
    assert sample_frames(video, fps=10, size=8).data.shape == (2500, 8, 8, 3)


def test_resizing_while_decoding_equals_resizing_afterwards(videos):
    video = videos("plain.mp4")
    full = sample_frames(video, num_frames=5).data
    sizes = {"size": {24: (24, 24), (30, 200): (30, 200)}, "max_side": {40: (32, 40), 4000: (64, 80)}}
    for option, value, (height, width) in [(o, v, want) for o, kept in sizes.items() for v, want in kept.items()]:  # type: ignore[attr-defined]
        frames = sample_frames(video, num_frames=5, **{option: value})
        want = [Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC) for frame in full]
        np.testing.assert_array_equal(frames.data, np.stack([np.asarray(image) for image in want]))
        assert frames.source_size == (64, 80)


def test_frames_can_be_sampled_again_and_keep_their_origin(videos):
    frames = sample_frames(videos("plain.mp4"), num_frames=10)
    again = sample_frames(frames, num_frames=3, size=16)
    assert again.indices.tolist() == frames.indices[uniform_indices(10, 3)].tolist() == numbers_in(again.data)
    assert again.source_size == (64, 80)
    assert (again.total, again.source) == (frames.total, frames.source)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample clips are not beside this checkout")
def test_sample_clips_equal_their_full_decode(monkeypatch):
    video = sorted(SHARED.glob("*.mp4"))[0]
    quick = sample_frames(video, num_frames=20, size=112)
    monkeypatch.setattr(_index, "TRUSTED_CODECS", ())
    plain = sample_frames(video, num_frames=20, size=112)
    np.testing.assert_array_equal(quick.data, plain.data)
    np.testing.assert_array_equal(quick.indices, plain.indices)
