"""`dyto synth`: a video with its questions, and a benchmark that lies where evaluation looks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
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
