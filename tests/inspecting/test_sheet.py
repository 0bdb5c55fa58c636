"""The contact sheet of key frames: what it shows, and where it can be saved."""

import numpy as np
import pytest
from PIL import Image

from dyto import ConfigError, KeyFrames
from dyto.inspecting.sheet import check_sheet, save_keyframe_sheet


def key_frames(*positions):
    return KeyFrames(np.array(positions), np.array(positions, np.float64), np.array(positions))


def test_the_key_frames_are_shown_in_their_order(tmp_path):
    video = np.stack([np.full((40, 60, 3), value, np.uint8) for value in (10, 90, 200)])
    save_keyframe_sheet(tmp_path / "sheet.png", video, key_frames(0, 2))
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)[..., 0].ravel()
    assert [value for value in (10, 90, 200) if (pixels == value).sum() >= 40 * 60] == [10, 200]
    assert np.flatnonzero(pixels == 10)[0] < np.flatnonzero(pixels == 200)[0]


def test_pictures_of_several_sizes_share_a_sheet(tmp_path):
    for number, size in enumerate([(30, 20), (20, 30), (8, 8)]):
        Image.new("RGB", size).save(tmp_path / f"frame{number}.png")
    save_keyframe_sheet(tmp_path / "sheet.jpg", tmp_path, key_frames(0, 1, 2))
    assert (tmp_path / "sheet.jpg").stat().st_size > 0


@pytest.mark.parametrize("name", ["sheet", "sheet.xyz", "sheet.mp4", "none/sheet.png", "folder.png"])
def test_a_path_that_cannot_be_saved_to_is_told_of_before_the_work(tmp_path, name):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ConfigError, match=name):
        check_sheet(tmp_path / name)
