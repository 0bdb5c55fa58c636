"""Key frames as picture files, with a table, and clips, in a folder that is whole or as it was before."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import dyto
from dyto.cli.app import run
from dyto.errors import ConfigError
from dyto.moments import saving

from conftest import scenes
from video_files import number_in, write_video


@pytest.fixture
def numbered(tmp_path):
    """A file whose frames carry their numbers, in two scenes of brightness."""
    return write_video(tmp_path / "film with a name.mp4", 30, sound_seconds=3)


@pytest.fixture
def timeline(by_pixels, numbered):
    return dyto.find_timeline(by_pixels, numbered, segments=3)


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def rows_of(folder):
    with (folder / "frames.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("picture", ["jpg", "png"])
def test_the_pictures_are_the_frames_of_the_table(timeline, tmp_path, picture):
    saved = dyto.save_frames(timeline, tmp_path / "out", picture=picture)
    rows = rows_of(tmp_path / "out")
    assert [row["file"] for row in rows] == [path.name for path in saved.pictures]
    assert len(rows) == len(timeline.keyframes) > 0
    for row, index in zip(rows, timeline.keyframes.indices, strict=True):
        with Image.open(tmp_path / "out" / row["file"]) as opened:
            pixels = np.asarray(opened)
        assert pixels.shape == (64, 80, 3)  # as in the video
        assert number_in(pixels) == int(row["index"]) == index
        assert float(row["second"]) == pytest.approx(index / 10)
        segment = timeline.segments[int(row["segment"]) - 1]
        assert float(row["start"]) == pytest.approx(segment.start)
        assert float(row["start"]) <= float(row["second"]) < float(row["end"])
    told = json.loads(saved.table.read_text(encoding="utf-8"))
    assert [{name: str(value) for name, value in row.items()} for row in told["keyframes"]] == rows
    assert told["clips"] == []


def test_few_pictures_are_held_at_once(timeline, tmp_path, monkeypatch):
    whole = dyto.save_frames(timeline, tmp_path / "whole", picture="png")
    monkeypatch.setattr(saving, "AT_ONCE", 64 * 80 * 3 * 2)
    parts = dyto.save_frames(timeline, tmp_path / "parts", picture="png")
    for one, other in zip(whole.pictures, parts.pictures, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_clips_and_a_sheet_on_request(timeline, tmp_path):
    saved = dyto.save_frames(timeline, tmp_path / "out", clips=True, sheet=True, max_side=40)
    assert [clip.frames for clip in saved.clips] == [
        round((segment.end - segment.start) * 10) for segment in timeline.segments
    ]
    assert all(clip.path.is_file() and clip.sound for clip in saved.clips)
    assert max(size_of(saved.pictures[0])) == 40
    assert min(size_of(saved.sheet)) > 50
    told = json.loads(saved.table.read_text(encoding="utf-8"))
    assert [clip["file"] for clip in told["clips"]] == [clip.path.name for clip in saved.clips]
    assert told["sheet"] == "sheet.jpg"


def test_a_folder_with_files_is_refused_unless_it_is_allowed(timeline, tmp_path):
    out = tmp_path / "out"
    first = dyto.save_frames(timeline, out, picture="png", sheet=True)
    (out / "mine.jpg").write_text("keep")
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(ConfigError, match="is not empty"):
        dyto.save_frames(timeline, out)
    assert sorted(path.name for path in out.iterdir()) == before
    second = dyto.save_frames(timeline, out, picture="jpg", overwrite=True)
    left = {path.name for path in out.iterdir()}
    assert left == {"mine.jpg", "frames.csv", "frames.json", *(path.name for path in second.pictures)}
    assert not left & {path.name for path in first.pictures}


@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_leaves_the_folder_as_it_was(timeline, tmp_path, monkeypatch, exists):
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    monkeypatch.setattr(saving, "_save_tables", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dyto.save_frames(timeline, out)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_full_disk_is_one_clear_error(timeline, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "_save_tables", full)
    with pytest.raises(ConfigError, match="No space left"):
        dyto.save_frames(timeline, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_pictures_of_any_sizes(by_pixels, tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    for number, frame in enumerate(scenes()[::8]):
        Image.fromarray(frame[: 40 + number]).save(source / f"{number}.png")
    timeline = dyto.find_timeline(by_pixels, source, segments=2)
    saved = dyto.save_frames(timeline, tmp_path / "out", picture="png")
    for path, index in zip(saved.pictures, timeline.keyframes.indices, strict=True):
        assert size_of(path) == (96, 40 + index)
    with pytest.raises(ConfigError, match="expected a video file"):
        dyto.save_frames(timeline, tmp_path / "other", clips=True)


def test_pictures_in_memory_are_saved_in_the_size_of_the_preview(by_pixels, tmp_path):
    timeline = dyto.find_timeline(by_pixels, scenes())
    saved = dyto.save_frames(timeline, tmp_path / "out")
    assert size_of(saved.pictures[0]) == (96, 64)


# --- the command ------------------------------------------------------------------------------------------


def command(capsys, *words):
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_command_saves_everything(capsys, numbered, tmp_path):
    out = tmp_path / "out"
    code, said, _ = command(
        capsys, "frames", numbered, "--out", out, "--clips", "--sheet", "--segments", 2, "--eye", "pixels"
    )
    assert code == 0
    assert "key frames in" in said
    assert "2 clips: " in said
    assert (out / "sheet.jpg").is_file()
    code, said, _ = command(capsys, "frames", numbered, "--out", tmp_path / "again", "--json", "--eye", "pixels")
    assert code == 0
    assert json.loads(said)["keyframes"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["missing.mp4", "--out", "x"], 1, "does not exist"),
        (["CLIP", "--out", "CLIP"], 2, "is no folder"),
        (["CLIP", "--out", "."], 2, "is not empty"),
        (["CLIP", "--out", "no/where"], 2, "does not exist"),
        (["CLIP", "--out", "x", "--format", "gif"], 2, "unknown picture format"),
        (["CLIP", "--out", "x", "--max-side", "0"], 2, "expected 1 or more"),
        (["pictures", "--out", "x", "--clips"], 2, "expected a video file"),
        (["CLIP"], 2, "--out"),
    ],
)
def test_mistakes_are_one_line(capsys, clip, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "pictures" / "1.png")
    found, _, err = command(capsys, "frames", *[clip if word == "CLIP" else word for word in words])
    assert found == code
    assert message in err.replace("\n", " ")
    assert not (tmp_path / "x").exists()
