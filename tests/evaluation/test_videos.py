"""Where videos lie: names that are not trusted, extensions, cut clips, and clips of longer files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyto.benchmarks import Sample, get
from dyto.errors import AmbiguousNameError, DatasetError
from dyto.evaluation.videos import Clip, VideoIndex, find_clip, unsafe_reason, video_folders


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
    folders = [tmp_path, *(tmp_path / sub for sub in get("mvbench").own_folders)]
    touch(tmp_path, "star/Charades_v1_480/A.mp4", "my_task/B.mp4", "C_1.5_4.mp4", "C.mp4")
    clip = {"start": 1.5, "end": 4}
    assert find_clip(folders, get("mvbench"), sample("A.mp4", **clip)) == Clip(
        tmp_path / "star/Charades_v1_480/A.mp4", 1.5, 4
    )
    assert find_clip(folders, get("mvbench"), sample("B.mp4", type="my_task")) == Clip(tmp_path / "my_task/B.mp4")
    assert find_clip(folders, get("mvbench"), sample("C.mp4", **clip)) == Clip(tmp_path / "C_1.5_4.mp4")


def test_a_folder_of_frames_is_a_video(tmp_path):
    touch(tmp_path, "tvqa/frames_fps3_hq/clip/00001.jpg")
    folders = [tmp_path, *(tmp_path / sub for sub in get("mvbench").own_folders)]
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


def mvbench_folders(tmp_path):
    return [tmp_path, *(tmp_path / sub for sub in get("mvbench").own_folders)]


@pytest.mark.parametrize(
    ("task", "lies", "named", "clip"),
    [
        ("action_sequence", "star/Charades_segment/X_0.0_3.4.mp4", "X.mp4", (0.0, 3.4)),
        ("object_interaction", "star/Charades_segment/X_0.0_3.4.mp4", "X.mp4", (0, 3.4)),
        ("action_prediction", "star/Charades_segment/X_0.0_3.4.mp4", "X_0.0_3.4.mp4", (0.0, 3.4)),
        ("action_localization", "sta/sta_video_segment/X_21.4_37.6.mp4", "X.mp4", (21.4, 37.6)),
        ("action_localization", "sta/sta_video_segment/X_21_37.60.mp4", "X.mp4", (21.0, 37.6)),
        ("episodic_reasoning", "tvqa/video_fps3_hq_segment/NAME_0.1_3.2.mp4", "NAME", (0.1, 3.2)),
        ("action_antonym", "ssv2_video_mp4/7.mp4", "7.webm", ()),
        ("fine_grained_pose", "nturgbd_convert/X_rgb.mp4", "X_rgb.avi", ()),
    ],
)
def test_mvbench_as_its_hub_has_it_now(tmp_path, task, lies, named, clip):
    touch(tmp_path, lies)
    times = dict(zip(("start", "end"), clip, strict=False))
    assert find_clip(mvbench_folders(tmp_path), get("mvbench"), sample(named, type=task, **times)) == Clip(
        tmp_path / lies
    )


def test_a_name_that_two_tasks_have_is_looked_for_in_the_tasks_own_folder(tmp_path):
    touch(tmp_path, "perception/videos/video_10009.mp4", "clevrer/video_validation/video_10009.mp4")
    for task, folder in (("moving_count", "clevrer/video_validation"), ("action_count", "perception/videos")):
        found = find_clip(mvbench_folders(tmp_path), get("mvbench"), sample("video_10009.mp4", type=task))
        assert found == Clip(tmp_path / folder / "video_10009.mp4")


@pytest.mark.parametrize(
    "lies",
    [
        *("1164/4010069381.mp4", "1164/4010069381.MP4", "4010069381.MP4", "4010069381.Mkv", "a/b/c/4010069381.webm"),
        *("4010069381.avi", "4010069381.m4v", "4010069381.flv", "4010069381"),
    ],
)
def test_a_video_is_found_in_any_case_container_and_subfolder(tmp_path, lies):
    folders = touch(tmp_path, lies)
    for name in ("4010069381.mp4", "4010069381", "4010069381.MOV"):
        assert find_clip(folders, get("nextqa"), sample(name)) == Clip(tmp_path / lies)


def test_letters_of_another_case_or_composition_are_the_same_name(tmp_path):
    folders = touch(tmp_path, "HA\u0308USER.mp4")
    assert find_clip(folders, get("msvd"), sample("h\u00e4user")) == Clip(tmp_path / "HA\u0308USER.mp4")


def test_what_is_nearest_to_the_name_is_taken_and_said(tmp_path, caplog):
    folders = touch(tmp_path, "a.MP4", "a.mkv", "A.mp4", "deep/a.mp4")
    assert find_clip(folders, get("msvd"), sample("a.mkv")).path.name == "a.mkv"
    assert find_clip(folders, get("msvd"), sample("A.mp4")).path.name == "A.mp4"
    assert "a.mkv is taken for 'a'" in caplog.text
    assert find_clip(folders, get("msvd"), sample("deep/a")).path == tmp_path / "deep/a.mp4"


def test_two_files_that_could_be_it_are_an_error_and_never_a_guess(tmp_path):
    folders = touch(tmp_path, "one/a.mp4", "two/a.mkv")
    with pytest.raises(AmbiguousNameError, match=r"2 files could be 'a', such as .*one.a\.mp4 and .*two.a\.mkv"):
        find_clip(folders, get("nextqa"), sample("a.mp4"))
    assert find_clip(folders, get("nextqa"), sample("two/a.mp4")) == Clip(tmp_path / "two/a.mkv")
    touch(tmp_path, "a.avi")
    assert find_clip(folders, get("nextqa"), sample("a.mp4")) == Clip(tmp_path / "a.avi")


def test_names_that_differ_in_the_case_of_letters_are_told_apart_by_it(tmp_path):
    folders = touch(tmp_path, "one/fFjv93ACGo8.webm", "two/FFJV93acgo8.mp4", "three/x.m2ts")
    assert find_clip(folders, get("videomme"), sample("fFjv93ACGo8")) == Clip(tmp_path / "one/fFjv93ACGo8.webm")
    with pytest.raises(AmbiguousNameError):
        find_clip(folders, get("videomme"), sample("ffjv93acgo8"))
    assert find_clip(folders, get("videomme"), sample("X.mp4")) == Clip(tmp_path / "three/x.m2ts")


@pytest.mark.parametrize(
    "other", ["a.srt", "a.json", "a.mp4.part", "._a.mp4", "a/x.mp4", "a/notes.txt", ".a/a.mp4", "xa.mp4"]
)
def test_what_is_no_video_of_that_name_is_not_taken(tmp_path, other):
    folders = touch(tmp_path, other)
    assert find_clip(folders, get("msvd"), sample("a")) is None


def test_a_link_to_nothing_is_a_missing_video_and_a_circle_of_links_ends(tmp_path):
    folders = touch(tmp_path, "deep/b.mp4")
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "deep/up").symlink_to(tmp_path)
    index = VideoIndex(folders)
    assert index.find(get("msvd"), sample("a")) is None
    assert index.find(get("msvd"), sample("b")) == Clip(tmp_path / "deep/b.mp4")
    touch(tmp_path, "gone.mp4")
    assert index.find(get("msvd"), sample("a")) == Clip(tmp_path / "a.mp4")


def test_the_folders_are_listed_once(tmp_path, monkeypatch):
    import os

    folders = touch(tmp_path, *(f"{i}/{i}.mp4" for i in range(5)))
    index = VideoIndex(folders)
    monkeypatch.setattr(os, "scandir", None)
    assert [index.find(get("msvd"), sample(str(i))) for i in range(6)] == [
        *(Clip(tmp_path / f"{i}/{i}.mp4") for i in range(5)),
        None,
    ]


@pytest.mark.parametrize("name", ["x" * 5000, "half \ud800", "a/" * 2000 + "b"])
def test_a_name_that_no_file_can_have_is_a_missing_video(tmp_path, name):
    assert find_clip(touch(tmp_path, "a.mp4"), get("msvd"), sample(name)) is None
