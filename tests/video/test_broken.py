"""What cannot be read is told in one line; what can be read of it is given on demand."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dyto.errors import VideoError
from dyto.video import sample_frames
from dyto.video.whole import missing_bytes

from video_files import numbers_in, picture, remux, write_sound, write_video

FASTSTART = {"container_options": {"movflags": "faststart"}, "options": {"bf": "0"}}
KINDS = {
    "plain.mp4": {},
    "faststart.mp4": FASTSTART,
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "options": {"bf": "0"}},
    "plain.mkv": {"options": {"bf": "0"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "motion-jpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "plain.ts": {"container_format": "mpegts", "options": {"bf": "0"}},
    "colours.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


def error_of(source, **options) -> str:
    with pytest.raises(VideoError) as caught:
        sample_frames(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share) | 1])
    return path


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_that_breaks_off_is_an_error_unless_partial_ones_are_allowed(tmp_path, name, share, capfd):
    video = cut(write_video(tmp_path / name, 60, noise=60, **KINDS[name]), share)
    message = error_of(video, num_frames=10)
    if name == "plain.mp4":  # its index was at the end
        assert "cannot be opened" in message
        return
    assert "is broken" in message
    assert "allow_partial" in message
    frames = sample_frames(video, num_frames=10, allow_partial=True)
    assert numbers_in(frames.data) == frames.indices.tolist()
    assert 60 * share - 12 < frames.total < 60 * share + 6
    (warning,) = frames.warnings
    assert f"{frames.total} frames up to {frames.total / 10 - 0.1:.2f} s" in warning
    assert f"{frames.total} frames up to {frames.total / 10 - 0.1:.2f} s" in message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_lacks_nothing_and_a_byte_less_is_noticed(tmp_path, name):
    video = write_video(tmp_path / name, **KINDS[name])
    assert missing_bytes(video) == 0
    with video.open("ab") as file:
        file.write(bytes(188 * 3))
    assert missing_bytes(video) == 0
    video.write_bytes(video.read_bytes()[: -188 * 3 - 1])
    assert missing_bytes(video) > 0


def test_a_recording_that_was_never_closed_promises_nothing(tmp_path):
    options = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}
    video = write_video(tmp_path / "live.webm", 60, container_options={"live": "1"}, **options)
    assert missing_bytes(cut(video, 0.5)) == 0


def test_long_sound_and_a_long_last_frame_are_no_damage(tmp_path):
    times = [*range(0, 2000, 100), 9000]
    video = write_video(tmp_path / "sound.mkv", 21, times=times, sound_seconds=12)
    assert sample_frames(video).total == 21
    assert sample_frames(video).warnings == ()


def test_damage_in_the_middle_is_noticed_where_it_matters(tmp_path):
    video = write_video(tmp_path / "zeros.mp4", 60, gop=10, noise=60, **FASTSTART)
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    video.write_bytes(data)
    assert "is broken" in error_of(video)
    frames = sample_frames(video, allow_partial=True)
    assert numbers_in(frames.data[:10]) == list(range(10))
    assert frames.warnings


def test_a_recording_that_begins_in_the_middle_of_a_group_is_no_damage(tmp_path):
    video = write_video(tmp_path / "tuned-in.ts", 60, container_format="mpegts", gop=20, options={"sc_threshold": "0"})
    data = video.read_bytes()
    at = 188 * (len(data) // 188 // 6)
    video.write_bytes(data[: 188 * 3] + data[at:])
    frames = sample_frames(video)
    assert numbers_in(frames.data) == list(range(20, 60))
    assert frames.seconds[0] == 0
    assert frames.warnings == ()


def test_what_comes_before_the_first_key_frame_is_no_damage(tmp_path):
    options = {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}
    video = write_video(tmp_path / "vp8.webm", **options)
    late = remux(video, tmp_path / "late.webm", lambda packets: packets[5:])
    frames = sample_frames(late)
    assert numbers_in(frames.data) == list(range(12, 30))
    assert frames.warnings == ()


def test_a_playlist_under_the_name_of_a_video_reaches_no_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        text = f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{server.getsockname()[1]}/a.ts\n#EXT-X-ENDLIST\n"
        error_of(write_bytes(tmp_path / "list.mp4", text.encode()))
        error_of(write_bytes(tmp_path / "list.m3u8", text.encode()))
        with pytest.raises(BlockingIOError):
            server.accept()


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        write_sound(container, container.add_stream("aac", rate=8000, layout="mono"), 1)
    return path


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


HOSTILE = {
    "missing": (lambda tmp: tmp / "none.mp4", "does not exist"),
    "empty": (lambda tmp: write_bytes(tmp / "empty.mp4", b""), "is empty"),
    "text": (lambda tmp: write_bytes(tmp / "text.mp4", b"Once upon a time\n" * 99), "text.mp4"),
    "zeros": (lambda tmp: write_bytes(tmp / "zeros.mp4", bytes(9999)), "cannot be opened"),
    "noise": (lambda tmp: write_bytes(tmp / "noise.mkv", np.random.default_rng(0).bytes(9999)), "noise.mkv"),
    "head of matroska": (lambda tmp: write_bytes(tmp / "head.mkv", b"\x1a\x45\xdf\xa3"), "cannot be opened"),
    "head of mp4": (lambda tmp: write_bytes(tmp / "head.mp4", b"\0\0\0\x14ftypisom"), "cannot be opened"),
    "audio": (lambda tmp: write_audio(tmp / "audio.mp4"), "no pictures: found audio"),
    "address": (lambda tmp: "https://example.com/clip.mp4", "download it first"),
    "device": (lambda tmp: "/dev/null", "neither file nor folder"),
    "empty folder": (lambda tmp: folder(tmp / "none"), "0 files and no image"),
    "no video": (lambda tmp: 3, "found int"),
    "strings": (lambda tmp: ["a.png"], "found list"),
    "no pictures": (lambda tmp: [], "no pictures"),
    "floats": (lambda tmp: np.zeros((2, 4, 4, 3)), "float64"),
    "gray": (lambda tmp: np.zeros((2, 4, 4), np.uint8), "expected (T, H, W, 3)"),
    "channels first": (lambda tmp: np.zeros((2, 3, 4, 4), np.uint8), "channels last"),
    "no frames": (lambda tmp: np.zeros((0, 4, 4, 3), np.uint8), "no pictures"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_video_is_one_line_of_error(tmp_path, kind, capfd):
    make, said = HOSTILE[kind]
    source = make(tmp_path)
    assert said in error_of(source)
    assert said in error_of(source, allow_partial=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "neither file nor folder" in error_of(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("folder", [False, True])
def test_what_may_not_be_read_says_so(tmp_path, monkeypatch, folder):
    source = tmp_path if folder else write_bytes(tmp_path / "secret.mp4", b"secret")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "is not readable" in error_of(source)


@pytest.mark.parametrize(("start", "end"), [(3.0, None), (7, 9), (1.01, 1.02)])
def test_a_clip_outside_the_video_says_where_the_video_is(tmp_path, start, end):
    message = error_of(write_video(tmp_path / "clip.mp4"), start=start, end=end)
    assert "30 frames from 0 s to 3.00 s" in message


def test_a_broken_image_in_a_folder_is_named(tmp_path):
    for number in range(6):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:99])
    assert "3.png" in error_of(tmp_path)
    (tmp_path / "3.png").write_bytes(b"no image")
    assert "3.png" in error_of(tmp_path, num_frames=1)
    frames = sample_frames(tmp_path, allow_partial=True)
    assert numbers_in(frames.data) == frames.indices.tolist() == [0, 1, 2, 4, 5]
    assert frames.total == 5
    assert "3.png" in frames.warnings[0]


def test_an_image_bomb_is_refused(tmp_path):
    header = Image.fromarray(np.zeros((1, 1), np.uint8))
    header.save(tmp_path / "bomb.png")
    data = bytearray((tmp_path / "bomb.png").read_bytes())
    data[16:24] = b"\0\1\0\0\0\1\0\0"  # 65536 x 65536
    (tmp_path / "bomb.png").write_bytes(data)
    assert "bomb.png" in error_of(tmp_path)


def test_frames_of_several_sizes_need_a_size():
    pictures = [picture(0), picture(1, 128, 160)]
    assert "pass size" in error_of(pictures)
    assert numbers_in(sample_frames(pictures, size=(64, 80)).data) == [0, 1]


def test_an_image_under_the_name_of_a_video_is_one_frame(tmp_path):
    Image.fromarray(picture(9)).save(tmp_path / "still.png")
    (tmp_path / "still.png").rename(tmp_path / "still.mp4")
    assert numbers_in(sample_frames(tmp_path / "still.mp4").data) == [9]
