"""From a sample to frames: clips of longer files, clips cut already, folders of frames, subtitles."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dyto.benchmarks import Sample, get
from dyto.errors import ConfigError
from dyto.evaluation.loading import Loaded, Loader, Unavailable
from dyto.evaluation.subtitles import spoken_at, with_subtitles
from dyto.subtitles.parsing import Subtitle, parse_srt
from dyto.video.channel import AVAILABLE

from subtitle_files import with_track


def sample(video, **more):
    return Sample(video, ("q?",), "1", "a", **more)


@pytest.fixture
def loader(tmp_path):
    return Loader(get("star"), [tmp_path], (32, 32), {"num_frames": 100})


def test_start_and_end_restrict_a_longer_file(loader, tmp_path, clip):
    shutil.copy(clip, tmp_path / "A.mp4")  # 65 frames, 10 a second
    found = loader.load(sample("A_1.0_3.0.mp4", start=1.0, end=3.0))
    assert isinstance(found, Loaded)
    assert found.content.indices.tolist() == list(range(10, 30))  # type: ignore[union-attr]


def test_a_file_with_the_clips_own_name_is_taken_whole(loader, tmp_path, clip):
    shutil.copy(clip, tmp_path / "A_1.0_3.0.mp4")
    assert len(loader.load(sample("A_1.0_3.0.mp4", start=1.0, end=3.0)).content) == 65


def test_a_file_that_was_cut_under_the_old_name_is_recognised_by_its_length(loader, tmp_path, clip):
    shutil.copy(clip, tmp_path / "A.mp4")  # 6.5 seconds
    assert len(loader.load(sample("A.mp4", start=20.0, end=26.5)).content) == 65
    refused = loader.load(sample("A.mp4", start=20.0, end=22.0))
    assert isinstance(refused, Unavailable)
    assert refused.status == "undecodable"


def test_a_reason_names_the_video_and_not_the_machines_folders(loader, tmp_path):
    (tmp_path / "A.mp4").write_bytes(b"no video")
    refused = loader.load(sample("A.mp4"))
    assert str(tmp_path) not in refused.reason
    assert "A.mp4" in refused.reason


def test_an_odd_file_is_recorded_and_wrong_settings_are_not_blamed_on_it(loader, tmp_path, clip, monkeypatch):
    def odd(*words, **options):
        raise RuntimeError("the codec is confused")

    shutil.copy(clip, tmp_path / "A.mp4")
    with pytest.raises(ConfigError):
        Loader(loader.benchmark, loader.folders, (32, 32), {"num_frames": 0}).load(sample("A.mp4"))
    monkeypatch.setattr("dyto.evaluation.loading.sample_frames", odd)
    refused = loader.load(sample("A.mp4"))
    assert (refused.status, refused.reason) == ("undecodable", "RuntimeError: the codec is confused")


@pytest.mark.skipif(not AVAILABLE, reason="needs shared memory with seals, as Linux has it")
def test_what_is_said_is_read_where_a_poison_file_can_be_stopped(loader, tmp_path, monkeypatch):
    with_track(tmp_path / "A.mkv")
    for name in ("tracks_of", "read_track"):
        monkeypatch.setattr(f"dyto.subtitles.finding.{name}", lambda *args: pytest.fail("read in this process"))
    assert len(replace(loader, spoken="auto").load(sample("A.mkv")).subtitles) == 2
    assert loader.load(sample("A.mkv")).subtitles is None


def test_a_folder_of_frames_has_the_benchmarks_frame_rate(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for i in range(12):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(folder / f"{i:05d}.png")
    found = Loader(get("mvbench"), [tmp_path], (8, 8), {"num_frames": 100}).load(sample("clip", start=1.0, end=3.0))
    assert found.content.indices.tolist() == [3, 4, 5, 6, 7, 8]  # type: ignore[union-attr]  # three a second


SRT = "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>one</i>\r\n\r\n2\r\n00:01:00,000 --> 01:00:00,000\r\ntwo\r\nlines\r\n"


def test_subtitles_are_read_with_times_and_without_markup():
    assert parse_srt(SRT) == [Subtitle(1.0, 2.5, "one"), Subtitle(60.0, 3600.0, "two lines")]
    assert parse_srt("") == []
    assert parse_srt("no times here\n\n3\n00:00:01,000 --> 00:00:02,000\n\n") == []


def test_only_what_is_said_while_a_key_frame_is_shown_is_told(tmp_path):
    path = tmp_path / "v.srt"
    path.write_text(SRT, encoding="utf-8-sig")
    assert with_subtitles("q?", path, [1.0, 70.0]) == ("Subtitles of the video: one two lines\nq?", "")
    question, note = with_subtitles("q?", path, [10.0])
    assert question == "q?"
    assert "nothing is said" in note
    assert "has none" in with_subtitles("q?", tmp_path / "no.srt", [1.0])[1]


def test_a_line_is_told_once():
    assert spoken_at([Subtitle(0, 9, "a")], [1, 2, 3]) == ["a"]
