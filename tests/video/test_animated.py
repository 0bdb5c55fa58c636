"""Animated pictures are videos: every picture with its time, by whatever name the file goes."""

from __future__ import annotations

import contextlib
import shutil

import numpy as np
import pytest
from PIL import Image, features

from dyto.errors import VideoError
from dyto.video import sample_frames

from video_files import number_in, numbers_in, picture

LENGTHS = [100, 40, 250, 60, 0]
"""Milliseconds, again and again; 0 is shown as a tenth of a second, but AVIF is written with 1."""

KINDS = {
    "webp": {"lossless": True},
    "png": {},
    "apng": {"format": "png"},
    "avif": {"quality": 95},
    "tiff": {},
}


def animated(path, count=30, **options):
    if options.get("format", path.suffix[1:]) == "avif" and not features.check("avif"):
        pytest.skip("this Pillow knows no AVIF")
    pictures = [Image.fromarray(picture(number)) for number in range(count)]
    lengths = [LENGTHS[number % len(LENGTHS)] for number in range(count)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=lengths, **options)
    return path


def times(count=30, least=100):
    lengths = [(LENGTHS[number % len(LENGTHS)] or least) / 1000 for number in range(count)]
    return np.cumsum([0, *lengths[:-1]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("renamed", [False, True])
def test_every_picture_comes_with_its_time(tmp_path, kind, renamed):
    path = animated(tmp_path / f"clip.{kind}", **KINDS[kind])
    if renamed:
        path = path.rename(tmp_path / "clip.mp4")
    frames = sample_frames(path, source_fps=10)
    assert numbers_in(frames.data) == frames.indices.tolist() == list(range(30))
    assert frames.warnings == ()
    shown = np.arange(30) / 10 if kind == "tiff" else times(least=1 if kind == "avif" else 100)
    np.testing.assert_allclose(frames.seconds, shown)
    clip = sample_frames(path, source_fps=10, num_frames=4, start=0.95, size=(64, 80), preview=40)
    assert numbers_in(clip.data) == clip.indices.tolist()
    assert numbers_in(clip.preview) == clip.indices.tolist()
    assert clip.seconds[0] >= 0.95


def test_a_still_picture_is_a_video_of_one(tmp_path):
    for name in ("one.webp", "one.png", "one.jpg", "one.gif", "one.bmp"):
        Image.fromarray(picture(7)).save(tmp_path / name)
        frames = sample_frames(tmp_path / name)
        assert numbers_in(frames.data) == [7]
        assert frames.warnings == ()


def test_one_jpeg_after_another_is_a_video(tmp_path):
    for name in ("clip.mjpeg", "clip.jpg"):
        pieces = []
        for number in range(5):
            Image.fromarray(picture(number)).save(tmp_path / "one.jpg", quality=95)
            pieces.append((tmp_path / "one.jpg").read_bytes())
        (tmp_path / name).write_bytes(b"".join(pieces))
        assert numbers_in(sample_frames(tmp_path / name).data) == [0, 1, 2, 3, 4]
    pictures = [Image.fromarray(picture(number)) for number in range(3)]
    pictures[0].save(
        tmp_path / "moment.jpg", "MPO", save_all=True, append_images=pictures[1:]
    )  # as telephones write it
    assert numbers_in(sample_frames(tmp_path / "moment.jpg").data) == [0]


def test_the_picture_for_programs_without_animation_is_no_part_of_it(tmp_path):
    path = animated(tmp_path / "clip.png", 6, default_image=True)
    assert numbers_in(sample_frames(path).data) == [1, 2, 3, 4, 5]


def test_pictures_that_build_on_one_another_are_whole(tmp_path):
    pictures = [Image.new("RGBA", (80, 64), (255, 0, 0, 255))]
    for x in range(5):  # each adds a square to what is there
        pictures.append(pictures[-1].copy())
        pictures[-1].paste((0, 0, 255, 255), (x * 16, 0, x * 16 + 16, 16))
    for name in ("clip.webp", "clip.png"):
        options = {"lossless": True} if name.endswith("webp") else {"blend": 1}
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=50, **options)
        blue = (sample_frames(tmp_path / name).data[..., 2] > 200).sum(axis=(1, 2))
        assert blue.tolist() == [256 * number for number in range(6)]


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_an_animation_that_breaks_off_is_an_error_or_a_warning(tmp_path, kind):
    path = animated(tmp_path / f"clip.{kind}", **KINDS[kind])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(VideoError, match=r"clip\."):
        sample_frames(path)
    if kind == "png":
        frames = sample_frames(path, allow_partial=True)
        assert numbers_in(frames.data) == list(range(len(frames)))
        assert 10 < len(frames) < 30
        assert "of 30 pictures could be read" in frames.warnings[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_animation_of_any_damage_is_frames_or_one_error(tmp_path, kind):
    data, random = animated(tmp_path / f"whole.{kind}", 8, **KINDS[kind]).read_bytes(), np.random.default_rng(0)
    for turn in range(40):
        broken = bytearray(data[: int(random.integers(1, len(data)))] if turn % 2 else data)
        for at in random.integers(0, len(broken), 6):
            broken[at] = int(random.integers(256))
        (tmp_path / f"broken.{kind}").write_bytes(broken)
        with contextlib.suppress(VideoError):
            sample_frames(tmp_path / f"broken.{kind}", size=32)


def test_an_animation_among_the_pictures_of_a_folder_is_told(tmp_path):
    Image.fromarray(picture(1)).save(tmp_path / "1.png")
    animated(tmp_path / "2.webp", 5, lossless=True)
    frames = sample_frames(tmp_path)
    assert [number_in(frame) for frame in frames.data] == [1, 0]
    assert "2.webp" in frames.warnings[0]


def test_a_name_of_a_folder_that_leads_nowhere_is_passed_over(tmp_path):
    for number in range(3):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    (tmp_path / "1b.png").symlink_to(tmp_path / "none.png")
    (tmp_path / "2b.png").mkdir()
    for partial in (False, True):
        frames = sample_frames(tmp_path, allow_partial=partial)
        assert numbers_in(frames.data) == [0, 1, 2]
        (warning,) = frames.warnings
        assert "1b.png" in warning


def test_the_cases(shared, tmp_path):
    for name in ("a.webp", "a.png"):
        for path in (shared / "cases" / "media" / name, tmp_path / "a.mkv"):
            if not path.exists():
                shutil.copy(shared / "cases" / "media" / name, path)
            frames = sample_frames(path)
            assert frames.total == 30
            np.testing.assert_allclose(frames.seconds, np.arange(30) / 10)
            assert (np.diff(frames.data.astype(int).mean(axis=(1, 2, 3))) != 0).all()
        (tmp_path / "a.mkv").unlink()
