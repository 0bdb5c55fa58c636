"""`dyto synth`: a video with its questions, and a benchmark that lies where evaluation looks."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from dyto.cli.synthetic import app
from dyto.errors import ConfigError
from dyto.synthetic.benchmark import (
    ANSWER_FILE,
    CHOICE_FILE,
    CHOICE_VIDEOS,
    OPEN_VIDEOS,
    QUESTION_FILE,
    synth_benchmark,
)
from dyto.synthetic.films import REGIMES
from dyto.synthetic.regimes import LONG_REGIMES


def test_the_benchmark_lies_where_evaluation_looks(tmp_path: Path):
    from dyto.benchmarks.synthetic import SYNTHETIC, SYNTHETIC_OPEN
    from dyto.evaluation.layout import read_prepared

    counts = synth_benchmark("dev", tmp_path, videos=1)
    assert counts["videos"] == len(REGIMES)
    choice = read_prepared(SYNTHETIC, tmp_path / CHOICE_FILE)
    free = read_prepared(SYNTHETIC_OPEN, tmp_path / QUESTION_FILE)
    assert (len(choice), len(free)) == (counts["choice"], counts["free"])
    assert SYNTHETIC.prepared[0] in str(CHOICE_FILE)
    assert str(CHOICE_VIDEOS).endswith(SYNTHETIC.videos)
    assert str(OPEN_VIDEOS).endswith(SYNTHETIC_OPEN.videos)
    assert str(ANSWER_FILE).endswith(SYNTHETIC_OPEN.prepared[1])
    for sample in choice:
        assert sample.candidates[sample.answer_number] == sample.answer
        assert (tmp_path / CHOICE_VIDEOS / sample.video).is_file()
    for sample in free:
        assert (tmp_path / OPEN_VIDEOS / f"{sample.video}.mp4").is_file()
    assert {sample.extra["regime"] for sample in free} == set(REGIMES)
    places = np.bincount([sample.answer_number for sample in choice], minlength=4)
    assert min(places) > 0.1 * len(choice)


def test_long_films_have_their_lengths_in_turn(tmp_path: Path, monkeypatch):
    from dyto.benchmarks.synthetic import SYNTHETIC
    from dyto.evaluation.layout import read_prepared

    regimes = LONG_REGIMES[:2]
    monkeypatch.setattr("dyto.synthetic.benchmark.LONG_REGIMES", regimes)
    words = ["benchmark", "--seconds", "20, 40", "--videos", "2", "--split", "test", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    samples = read_prepared(SYNTHETIC, tmp_path / CHOICE_FILE)
    group = SYNTHETIC.groupings
    found = {(group["regime"](sample), group["length"](sample)) for sample in samples}
    assert found == {(regime, length) for regime in regimes for length in ("20 s", "40 s")}
    for sample in samples:
        assert sample.candidates[sample.answer_number] == sample.answer
    for name in {sample.video for sample in samples}:
        with av.open(str(tmp_path / CHOICE_VIDEOS / name)) as container:
            length = f"{container.duration / av.time_base:.0f}s"
        assert name.endswith(f"_{length}.mp4")
    assert group["length"](read_prepared(SYNTHETIC, _without_length(tmp_path))[0]) == "none", "files of before"


def _without_length(folder: Path) -> Path:
    records = json.loads((folder / CHOICE_FILE).read_text())
    old = folder / "old.json"
    old.write_text(json.dumps([{k: v for k, v in record.items() if k != "length"} for record in records]))
    return old


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seconds", "5"], "expected 20 to 3600"),
        (["--seconds", "20,nan"], "expected 20 to 3600"),
        (["--seconds", "20,4000"], "expected 20 to 3600"),
        (["--seconds", ""], "expected numbers"),
        (["--seconds", "20 60"], "expected numbers"),
        (["--seconds", "20", "--pictures", "."], "leave one out"),
    ],
)
def test_lengths_that_no_film_has_are_refused(tmp_path: Path, words, told):
    result = CliRunner().invoke(app, ["benchmark", "--out", str(tmp_path / "out"), *words])
    assert isinstance(result.exception, ConfigError)
    assert told in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_dev_and_test_share_no_video(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("dyto.synthetic.benchmark.REGIMES", ("static", "mixed"))
    for split in ("dev", "test"):
        synth_benchmark(split, tmp_path / split, videos=1)
    contents = [
        {path.read_bytes() for path in (tmp_path / split / CHOICE_VIDEOS).iterdir()} for split in ("dev", "test")
    ]
    assert len(contents[0]) == len(contents[1]) == 2
    assert not contents[0] & contents[1]


def test_the_command_line_writes_a_video_and_its_questions(tmp_path: Path):
    clip, questions = tmp_path / "clip.mp4", tmp_path / "q.json"
    arguments = ["video", "--seed", "3", "--out", str(clip), "--questions", str(questions)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    records = json.loads(questions.read_text())
    assert clip.stat().st_size > 10_000
    assert {"question", "type", "answer"} <= records[0].keys()
    assert any("candidates" in record for record in records)
    result = CliRunner().invoke(app, ["video", "--out", str(tmp_path / "clip.avi")])
    assert isinstance(result.exception, ConfigError)
    result = CliRunner().invoke(app, ["video", "--out", str(clip), "--regime", "mixd"])
    assert "did you mean 'mixed'" in str(result.exception)
