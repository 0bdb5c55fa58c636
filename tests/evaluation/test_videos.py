"""Where videos lie: names that are not trusted, extensions, cut clips, and clips of longer files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyto.benchmarks import Sample, get
from dyto.errors import DatasetError
from dyto.evaluation.videos import Clip, find_clip, unsafe_reason, video_folders


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder]


def sample(video, **more):
    return Sample(video, ("q?",), "1", "a", **more)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.mp4", "climbs"),
        ("a/../../secret.mp4", "climbs"),
        ("a\\..\\secret.mp4", "climbs"),
        ("/etc/passwd", "absolute"),
        ("~/x.mp4", "absolute"),
        ("C:\\x.mp4", "absolute"),
        ("https://example.org/x.mp4", "URL"),
        ("file:///etc/passwd", "URL"),
        ("a\x00b.mp4", "characters"),
        (".", "characters"),
        ("", "characters"),
    ],
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name, reason):
    assert reason in unsafe_reason(name)
    with pytest.raises(DatasetError, match=reason):
        find_clip([tmp_path], get("msvd"), sample(name))


@pytest.mark.parametrize("name", ["v_1..x", "a/b.mp4", "-J0cZ_1.mp4", "häuser.mp4", "a b.mp4"])
def test_an_odd_name_is_no_danger(name):
    assert unsafe_reason(name) == ""


@pytest.mark.parametrize("extension", [".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif"])
def test_names_without_extension_try_them_all(tmp_path, extension):
    folders = touch(tmp_path, "clip_1" + extension)
    assert find_clip(folders, get("msvd"), sample("clip_1")) == Clip(tmp_path / f"clip_1{extension}")


def test_a_name_with_dots_is_not_cut_at_the_dot(tmp_path):
    folders = touch(tmp_path, "a.b.avi")
    assert find_clip(folders, get("msvd"), sample("a.b")) == Clip(tmp_path / "a.b.avi")


def test_activitynet_files_may_begin_with_v(tmp_path):
    folders = touch(tmp_path, "v_x.mkv", "y.mp4")
    assert find_clip(folders, get("activitynet"), sample("x")) == Clip(tmp_path / "v_x.mkv")
    assert find_clip(folders, get("activitynet"), sample("y")) == Clip(tmp_path / "y.mp4")
    assert find_clip(folders, get("activitynet"), sample("z")) is None


@pytest.mark.parametrize(("name", "start"), [("6H78U_11.1_19.6.mp4", 11.1), ("6H78U_0_19.6.mp4", 0.0)])
def test_a_star_clip_is_cut_already_or_a_part_of_its_video(tmp_path, name, start):
    wanted = sample(name, start=start, end=19.6)
    folders = touch(tmp_path, "6H78U.mp4")
    assert find_clip(folders, get("star"), wanted) == Clip(tmp_path / "6H78U.mp4", start, 19.6)
    touch(tmp_path, name)
    assert find_clip(folders, get("star"), wanted) == Clip(tmp_path / name)


def test_an_mvbench_clip_may_lie_in_the_archives_folders_cut_or_whole(tmp_path):
    folders = [tmp_path, *(tmp_path / sub for sub in get("mvbench").subfolders)]
    touch(tmp_path, "star/Charades_v1_480/A.mp4", "my_task/B.mp4", "C_1.5_4.mp4", "C.mp4")
    clip = {"start": 1.5, "end": 4}
    assert find_clip(folders, get("mvbench"), sample("A.mp4", **clip)) == Clip(
        tmp_path / "star/Charades_v1_480/A.mp4", 1.5, 4
    )
    assert find_clip(folders, get("mvbench"), sample("B.mp4", type="my_task")) == Clip(tmp_path / "my_task/B.mp4")
    assert find_clip(folders, get("mvbench"), sample("C.mp4", **clip)) == Clip(tmp_path / "C_1.5_4.mp4")


def test_a_folder_of_frames_is_a_video(tmp_path):
    touch(tmp_path, "tvqa/frames_fps3_hq/clip/00001.jpg")
    folders = [tmp_path, *(tmp_path / sub for sub in get("mvbench").subfolders)]
    assert find_clip(folders, get("mvbench"), sample("clip")).path == tmp_path / "tvqa/frames_fps3_hq/clip"


def test_folders_are_found_below_all_data_one_kind_of_data_or_a_folder_of_their_own(tmp_path):
    nextqa = get("nextqa")
    touch(tmp_path, "playground/data/multiple_choice_qa/NExTQA/video/a.mp4", "mine/a.mp4")
    data = tmp_path / "playground/data"
    wanted = data / "multiple_choice_qa/NExTQA/video"
    assert video_folders(nextqa, data_dir=data) == [wanted]
    assert video_folders(nextqa, data_dir=data / "multiple_choice_qa") == [wanted]
    assert video_folders(nextqa, data_dir=data, video_dir=tmp_path / "mine") == [tmp_path / "mine"]
    with pytest.raises(DatasetError, match="--video-dir"):
        video_folders(nextqa, data_dir=tmp_path / "nothing")
