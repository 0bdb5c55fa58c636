"""Films of photographs: when each is shown, and the benchmark that is made of a folder of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import dyto
from dyto.cli.app import run
from dyto.synthetic.photo_benchmark import find_pictures, photo_benchmark
from dyto.synthetic.photographs import FPS, SIZE, film, filmed, plan

PICTURES = Path(__file__).parents[1] / "photographs"


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_plan_shows_every_picture_once_without_a_gap(count):
    shots = plan(np.random.default_rng(count), count, seconds=20)
    assert [shot.picture for shot in shots] == list(range(count))
    assert shots[0].start == 0
    assert [shot.start for shot in shots[1:]] == [shot.stop for shot in shots[:-1]]
    assert shots[-1].stop == 20 * FPS


@pytest.mark.parametrize("seed", range(5))
def test_a_brief_event_is_brief_and_never_the_first(seed):
    shots = plan(np.random.default_rng(seed), 4, needle=True)
    (brief,) = [shot for shot in shots if shot.brief]
    assert brief.picture > 0
    assert 0.5 <= (brief.stop - brief.start) / FPS <= 1.3


def test_frames_show_the_picture_of_their_shot():
    red, blue = np.full((40, 90, 3), (250, 0, 0), np.uint8), np.full((90, 40, 3), (0, 0, 250), np.uint8)
    shots = plan(np.random.default_rng(0), 2, seconds=4)
    frames = list(film([red, blue], shots))
    assert len(frames) == 40
    assert all(frame.shape == (*SIZE, 3) for frame in frames)
    for shot, channel in zip(shots, (0, 2), strict=True):
        assert all(frame.reshape(-1, 3).mean(0).argmax() == channel for frame in frames[shot.start : shot.stop])
    some = filmed([red, blue], shots, 10)
    np.testing.assert_array_equal(some.data, np.stack([frames[int(i)] for i in some.indices]))


def test_what_cannot_be_planned_is_told():
    with pytest.raises(dyto.ConfigError, match="1 pictures in 20"):
        plan(np.random.default_rng(0), 1, needle=True)


def test_pictures_are_known_by_their_names_or_their_folders(tmp_path):
    for place in ("dog/001.jpg", "a/Giant_panda-2.jpg", "misc/untitled.jpg"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        shutil.copy(PICTURES / "ox.jpg", tmp_path / place)
    with pytest.raises(dyto.ConfigError, match=r"2 things by their names, expected at least 8"):
        find_pictures(tmp_path)
    assert len({shown.what.word for shown in find_pictures(PICTURES)}) == 22


@pytest.mark.soak
def test_the_benchmark_of_photographs_is_read_by_dyto_eval(tmp_path):
    said = photo_benchmark(PICTURES, "test", tmp_path, videos=2)
    rows = json.loads((tmp_path / "gt_qa_files/Synthetic/val_qa.json").read_text())
    assert said == {"videos": 2, "choice": len(rows), "free": 0}
    for row in rows:
        assert row["candidates"][row["answer_number"]] == row["answer"]
        assert len(set(row["candidates"])) == len(row["candidates"])
    status = run(
        ["eval", "synthetic", "--model", "nouns", "--gt-dir", str(tmp_path / "gt_qa_files"), "--data-dir",
         str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--device", "cpu"],
        debug=False,
    )  # fmt: skip
    assert status == 0


def test_no_picture_is_in_both_splits(tmp_path):
    held = find_pictures(PICTURES)
    assert not {shown.path for shown in held[0::2]} & {shown.path for shown in held[1::2]}
    for split in ("dev", "test"):
        photo_benchmark(PICTURES, split, tmp_path / split, videos=1)
    dev, test = ((tmp_path / split / "gt_qa_files/Synthetic/val_qa.json").read_text() for split in ("dev", "test"))
    assert dev != test
