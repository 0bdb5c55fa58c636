"""Clips of a video: their frames are the source's, at their times, copied or encoded again."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest

import dyto
from dyto.errors import ConfigError, VideoError
from dyto.video import cutting
from dyto.video.cutting import cut_clips
from dyto.video.muxing import decoding_times

from video_files import RATE, numbers_in, set_matrix, turn_right, write_video

EVERY = 10_000
CLOSED = {"bf": "3", "x264-params": "keyint=12:min-keyint=12:scenecut=0"}
OPEN = {"bf": "3", "x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0"}
UNEVEN = np.cumsum([0, *[50, 150, 30, 200] * 7, 90])[:30].tolist()
HEVC = {"x265-params": "keyint=12:min-keyint=12:scenecut=0:log-level=none"}
CLOSED_HEVC = {"x265-params": "keyint=12:min-keyint=12:scenecut=0:open-gop=0:log-level=none"}

# What becomes of frames 0 to 11, 12 to 23, 24 to 26 and 27 to 29: copied, encoded, or either.
FILES = {
    "mp4": ("a.mp4", {}, "cc?e"),
    "mov": ("a.mov", {}, "cc?e"),
    "mkv": ("a.mkv", {}, "cc?e"),
    "B-frames": ("a.mp4", {"options": CLOSED}, "cc?e"),
    "B-frames in mkv": ("a.mkv", {"options": CLOSED}, "cc?e"),
    "open groups": ("a.mp4", {"options": OPEN}, "eeee"),
    "open groups in mkv": ("a.mkv", {"options": OPEN}, "eeee"),
    "vp9": ("a.webm", {"codec": "libvpx-vp9"}, "cc?e"),
    "vp8": ("a.webm", {"codec": "libvpx"}, "cc?e"),
    "hevc, open groups": ("a.mp4", {"codec": "libx265", "options": HEVC}, "eeee"),
    "hevc": ("a.mp4", {"codec": "libx265", "options": CLOSED_HEVC}, "cc?e"),
    "uneven times": ("a.mp4", {"times": UNEVEN}, "cc?e"),
    "uneven times in mkv": ("a.mkv", {"times": UNEVEN}, "cc?e"),
    "every frame intra": ("a.mp4", {"gop": 1}, "cccc"),
    "motion jpeg": ("a.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, "cccc"),
    "avi": ("a.avi", {"codec": "mpeg4"}, "eeee"),
    "transport stream": ("a.ts", {}, "eeee"),
    "odd sides": ("a.avi", {"codec": "ffv1", "size": (65, 81), "pix_fmt": "yuv444p"}, "eeee"),
    "ten bits": ("a.mp4", {"pix_fmt": "yuv420p10le"}, "cc?e"),
}


def whole(path):
    return dyto.sample_frames(path, num_frames=EVERY)


def clips_of(path, numbers, folder, **options):
    """Cut a video before frames of these numbers."""
    source = whole(path)
    starts = source.seconds[[0, *numbers]].tolist()
    bounds = list(zip(starts, [*starts[1:], 1e6], strict=True))
    places = [folder / f"clip-{number}" for number in range(len(bounds))]
    edges = [0, *numbers, len(source)]
    wanted = [source[first:end] for first, end in zip(edges, edges[1:], strict=False)]
    return cut_clips(path, bounds, places, **options), wanted


def check_same(clip, wanted):
    found = whole(clip.path)
    assert len(found) == clip.frames == len(wanted)
    assert numbers_in(found.data) == numbers_in(wanted.data)
    assert found.data.shape == wanted.data.shape
    assert np.abs(found.seconds - (wanted.seconds - wanted.seconds[0])).max() <= 0.0011  # a tick of mkv
    assert not found.warnings
    gap = np.abs(found.data.astype(int) - wanted.data)
    assert gap.max() == 0 if clip.copied else gap.mean() < 1.5


@pytest.mark.parametrize("kind", FILES)
def test_the_frames_of_clips_are_those_of_the_source(kind, tmp_path):
    name, options, expected = FILES[kind]
    path = write_video(tmp_path / name, **options)
    clips, wanted = clips_of(path, [12, 24, 27], tmp_path)  # two key frames; the middle of a group
    for clip, frames in zip(clips, wanted, strict=True):
        check_same(clip, frames)
        assert clip.start == pytest.approx(frames.seconds[0])
    assert re.fullmatch(expected.replace("?", "."), "".join("c" if clip.copied else "e" for clip in clips))
    assert all(clip.path.suffix == (path.suffix if clip.copied else ".mp4") for clip in clips)
    assert clips[1].end == clips[2].start


@pytest.mark.parametrize("turns", [1, 2])
def test_clips_are_upright_copied_or_not(turns, tmp_path):
    path = turn_right(write_video(tmp_path / "a.mp4", turns=turns), turns)
    clips, wanted = clips_of(path, [12, 24, 27], tmp_path)
    assert [clip.copied for clip in clips[:2]] == [True, True]
    assert not clips[3].copied
    for clip, frames in zip(clips, wanted, strict=True):
        check_same(clip, frames)


def test_a_mirrored_video_has_mirrored_clips(tmp_path):
    path = set_matrix(write_video(tmp_path / "a.mp4"), tmp_path / "b.mp4", -1 << 16, 0, 0, 1 << 16)
    clips, wanted = clips_of(path, [12, 27], tmp_path)
    for clip, frames in zip(clips, wanted, strict=True):
        assert np.abs(whole(clip.path).data.astype(int) - frames.data).mean() < 1.5


def test_a_copy_that_shows_other_frames_is_encoded_instead(tmp_path, monkeypatch):
    """Key packets that are none: the check of the copied file finds it."""
    path = write_video(tmp_path / "a.mp4")
    monkeypatch.setattr(cutting, "_whole_stretch", lambda index, span: (span.first, span.end - 2))
    clips, wanted = clips_of(path, [12], tmp_path)
    assert not any(clip.copied for clip in clips)
    for clip, frames in zip(clips, wanted, strict=True):
        check_same(clip, frames)


def test_pictures_that_may_be_referred_across_are_not_copied_from(tmp_path):
    """Recovery points of H.264 are marked as key packets in mkv; only an IDR picture ends all references."""
    options = {"x264-params": "intra-refresh=1:keyint=12:min-keyint=12:scenecut=0:bframes=0"}
    path = write_video(tmp_path / "a.mkv", options=options)
    clips, wanted = clips_of(path, [12], tmp_path)
    for clip, frames in zip(clips, wanted, strict=True):
        check_same(clip, frames)


def with_sound(path, loud_from, seconds=3.0):
    """A video of 30 frames whose sound is silent, and loud from a second on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((64, 80, 3), number * 8, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        times = np.arange(int(seconds * 48000)) / 48000
        wave = np.where(times >= loud_from, np.sin(times * 2000), 0).astype(np.float32)
        for start in range(0, len(wave), 1024):
            part = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            part.sample_rate, part.pts, part.time_base = 48000, start, Fraction(1, 48000)
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def loudness(path):
    """The loudness of tenths of a second."""
    with av.open(str(path)) as container:
        parts = [(frame.time, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    wave = np.concatenate([part for _, part in parts])[: 4800 * (sum(len(p) for _, p in parts) // 4800)]
    return parts[0][0], np.abs(wave.reshape(-1, 4800)).mean(1)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_clips_have_the_sound_of_their_time(name, tmp_path):
    path = with_sound(tmp_path / name, loud_from=1.2)
    clips = cut_clips(path, [(0, 1.2), (1.2, 2.4), (2.4, 2.7)], [tmp_path / str(n) for n in range(3)])
    assert [clip.copied for clip in clips] == [True, True, False]
    assert [clip.sound for clip in clips] == [True] * 3
    heard = [loudness(clip.path) for clip in clips]
    assert all(abs(start) < 0.05 for start, _ in heard)
    assert heard[0][1][:11].max() < 0.05
    assert heard[1][1][1:].min() > 0.3
    for clip, (_, tenths) in zip(clips, heard, strict=True):
        assert abs(len(tenths) / 10 - (clip.end - clip.start)) <= 0.11


def test_a_clip_says_whether_its_sound_was_lost(tmp_path):
    path = write_video(tmp_path / "a.mp4", sound_seconds=1)
    clips = cut_clips(path, [(0, 1.2), (1.2, 2.4)], [tmp_path / "x", tmp_path / "y"])
    assert [clip.sound for clip in clips] == [True, None]  # there is none any more after a second
    path = tmp_path / "odd.wmv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("wmv2", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("wmav2", rate=44100, layout="mono")
        sound.bit_rate = 64000
        for number in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
            part = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), format="fltp", layout="mono")
            part.sample_rate, part.pts, part.time_base = 44100, number * 2048, Fraction(1, 44100)
            container.mux(sound.encode(part))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    (clip,) = cut_clips(path, [(0, 0.5)], [tmp_path / "z"])
    assert clip.sound is False  # mp4 takes no Windows Media


def test_a_span_without_frames_and_a_broken_file_are_errors(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="no frame begins between 1.01 s and 1.09 s"):
        cut_clips(path, [(1.01, 1.09)], [tmp_path / "x"])
    whole_file = path.read_bytes()
    broken = write_video(tmp_path / "b.avi", codec="mpeg4")
    broken.write_bytes(broken.read_bytes()[:-400])
    with pytest.raises(VideoError, match="broken"):
        cut_clips(broken, [(0, 1)], [tmp_path / "x"])
    (clip,) = cut_clips(broken, [(0, 1)], [tmp_path / "x"], allow_partial=True)
    assert clip.frames == 10
    assert path.read_bytes() == whole_file
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.avi", "x.mp4"]


def test_decoding_times_never_pass_the_presentation():
    for pts in ([0, 1, 2], [0, 4, 2, 1, 3], [0, 40, 20, 60, 50, 55]):
        times = decoding_times(np.array(pts))
        assert (times <= pts).all()
        assert (np.diff(times) > 0).all()


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_frames_are_taken_by_their_numbers(name, tmp_path):
    path = write_video(tmp_path / name, codec="mpeg4" if name.endswith("avi") else "libx264")
    found = dyto.sample_frames(path, numbers=[0, 7, 29])
    assert found.indices.tolist() == numbers_in(found.data) == [0, 7, 29]
    assert found.seconds == pytest.approx([0, 0.7, 2.9])
    again = dyto.sample_frames(found, numbers=[7])
    assert again.indices.tolist() == [7]
    for wrong in ([30], [3, 2], [-1], []):
        with pytest.raises(VideoError, match="30 frames"):
            dyto.sample_frames(path, numbers=wrong)
    with pytest.raises(VideoError, match="no frame 8"):
        dyto.sample_frames(found, numbers=[8])
    with pytest.raises(ConfigError, match="numbers beside"):
        dyto.sample_frames(path, numbers=[1], fps=2)
