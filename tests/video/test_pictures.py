"""Folders, lists and arrays as videos; `Frames` itself; arguments that cannot be meant."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dyto.errors import ConfigError, VideoError
from dyto.video import Frames, sample_frames, uniform_indices

from video_files import number_in, numbers_in, picture


def test_a_folder_is_read_in_natural_order(tmp_path):
    for number in range(12):
        Image.fromarray(picture(number)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / "._frame1.png").write_text("no frame either")
    frames = sample_frames(tmp_path)
    assert numbers_in(frames.data) == frames.indices.tolist() == frames.seconds.tolist() == list(range(12))
    clip = sample_frames(tmp_path, source_fps=4, start=1, end=2)
    assert clip.indices.tolist() == [4, 5, 6, 7]
    assert clip.seconds.tolist() == [1, 1.25, 1.5, 1.75]


def test_arrays_and_lists_of_images_are_videos_too():
    array = np.stack([picture(number) for number in range(9)])
    for source in (array, list(array), [Image.fromarray(frame) for frame in array]):
        assert numbers_in(sample_frames(source, num_frames=3).data) == uniform_indices(9, 3).tolist()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK", "I;16"])
def test_images_of_any_mode_become_rgb(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(picture(77)[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(picture(77)).convert(mode)
    image.save(tmp_path / ("frame.tif" if mode == "CMYK" else "frame.png"))
    assert number_in(sample_frames(tmp_path).data[0]) == 77


def test_any_digit_of_unicode_may_stand_in_a_name(tmp_path):
    for number, name in enumerate(("1²2.png", "1²10.png", "٣.png")):
        Image.fromarray(picture(number)).save(tmp_path / name)
    assert sorted(numbers_in(sample_frames(tmp_path).data)) == [0, 1, 2]
    assert numbers_in(sample_frames(tmp_path).data)[:2] == [0, 1]


def test_a_clip_of_a_broken_folder_goes_by_the_times_of_its_pictures(tmp_path):
    for number in range(8):
        Image.fromarray(picture(number)).save(tmp_path / f"frame{number}.png")
    for number in range(3):
        (tmp_path / f"frame{number}.png").write_text("broken")
    clip = sample_frames(tmp_path, start=1, end=5, allow_partial=True)
    assert numbers_in(clip.data) == clip.indices.tolist() == clip.seconds.tolist() == [3, 4]


def test_photographs_are_turned_upright(tmp_path):
    image = Image.fromarray(np.rot90(picture(5)))
    exif = image.getexif()
    exif[0x0112] = 6  # to be shown turned right
    image.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    frames = sample_frames(tmp_path / "photo.jpg")
    assert number_in(frames.data[0]) == 5
    assert frames.source_size == (64, 80)


def test_frames_are_indexed_by_slices_and_sequences():
    frames = sample_frames(np.stack([picture(number) for number in range(9)]))
    assert numbers_in(frames[2:4].data) == frames[2:4].indices.tolist() == [2, 3]
    assert frames[[7, 1]].seconds.tolist() == [7, 1]
    for mask in (np.arange(9) % 4 == 0, (np.arange(9) % 4 == 0).tolist()):
        assert frames[mask].indices.tolist() == [0, 4, 8]
    assert len(frames[:5]) == 5
    with pytest.raises(TypeError, match=r"frames\.data\[3\]"):
        frames[3]  # type: ignore[index]


def test_frames_print_shapes_and_check_themselves():
    frames = sample_frames(np.zeros((9, 4, 6, 3), np.uint8), num_frames=3)
    assert repr(frames) == "Frames(3 of 9, 4x6 from 4x6, 1.00 s to 6.00 s)"
    with pytest.raises(VideoError, match="indices"):
        Frames(frames.data, frames.indices[:2], frames.seconds, frames.source_size)
    with pytest.raises(VideoError, match="float32"):
        Frames(frames.data.astype(np.float32), frames.indices, frames.seconds, frames.source_size)
    with pytest.raises(VideoError, match="one frame"):
        frames[:0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_frames": 0}, "num_frames=0"),
        ({"fps": 0}, "fps=0"),
        ({"fps": float("nan")}, "fps=nan"),
        ({"num_frames": 5, "fps": 1}, "one"),
        ({"start": 2, "end": 2}, "start < end"),
        ({"start": -1}, "start=-1"),
        ({"end": 0}, "start < end"),
        ({"size": 0}, "size=0"),
        ({"size": (3, 4, 5)}, "size="),
        ({"max_side": 0}, "max_side"),
        ({"size": 4, "max_side": 4}, "one"),
        ({"sampling": "iframe"}, "did you mean 'iframes'"),
        ({"sampling": "iframes"}, "video file"),
        ({"source_fps": 0}, "source_fps"),
    ],
)
def test_a_mistaken_argument_is_a_mistake_of_usage(options, said):
    with pytest.raises(ConfigError, match=said):
        sample_frames(np.zeros((9, 4, 6, 3), np.uint8), **options)
