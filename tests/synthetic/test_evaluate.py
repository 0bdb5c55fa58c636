"""The measurement: its questions, its baselines, its arithmetic, and the card that is written from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import dyto
from dyto.cli.synthetic import app
from dyto.errors import ConfigError
from dyto.models.tiny import build_model, save_tiny
from dyto.synthetic import evaluate
from dyto.synthetic.benchmark import (
    ANSWER_FILE,
    CHOICE_FILE,
    CHOICE_VIDEOS,
    OPEN_VIDEOS,
    QUESTION_FILE,
    synth_benchmark,
)
from dyto.synthetic.card import model_card
from dyto.synthetic.exam import Score, is_right
from dyto.synthetic.films import REGIMES
from dyto.synthetic.videos import Asked, make_video
from dyto.synthetic.zeroshot import Oracle, Row, guess_rows, paired_difference, scores, strategy_for, video_exam


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    save_tiny(build_model(0), path)
    (path / "training.json").write_text(json.dumps({"settings": SETTINGS}))
    return path


SETTINGS = {"seed": 0, "steps": 100, "eye_share": 0.4, "tiles": 64, "pictures": 8, "precise": False}


def row(method: str, video: str, right: bool, kind: str = "exist", answer: str = "yes") -> Row:
    return Row(method, video, "mixed", Asked(kind, "?", None, answer), "", right)


def test_words_and_letters_are_scored_apart():
    free = Asked("color", "?", None, "red")
    letters = Asked("color", "?", ("blue", "red"), "red")
    assert [is_right(free, text) for text in ("red", " Red.", "red ring", "")] == [True, True, False, False]
    assert [is_right(letters, text) for text in ("(B)", "red", "(A)", "perhaps")] == [True, True, False, False]


def test_a_paired_difference_by_hand():
    rows = [row("a", "v1", True), row("b", "v1", False), row("a", "v2", True), row("b", "v2", True)]
    difference = paired_difference(rows, "a", "b")
    assert difference.value == 0.5
    assert difference.low == pytest.approx(0.5 - 1.96 * np.sqrt(0.5 * 2) / 2)
    assert difference.low + difference.high == pytest.approx(1.0)


def test_the_guesser_says_what_is_most_frequent_in_the_other_videos():
    rows = [row("a", f"v{i}", False, answer=answer) for i, answer in enumerate(("yes", "yes", "yes", "no"))]
    assert [guess.right for guess in guess_rows(rows)] == [True, True, True, False]
    assert scores(guess_rows(rows), "type")["free"]["exist"]["guess"] == Score(3, 4)
    assert [guess.right for guess in guess_rows(rows[:1])] == [False]


def test_the_oracle_takes_the_middle_of_every_scene(tmp_path: Path):
    film, _ = make_video(tmp_path / "a.mp4", (4,), "needles")
    indices = np.arange(100) * 2 + 1
    oracle = strategy_for("oracle", film, indices)
    assert isinstance(oracle, Oracle)
    assert len(oracle.positions) == len(film.shots)
    for shot, position in zip(film.shots, oracle.positions, strict=True):
        assert shot.start <= indices[position] < shot.end


def test_every_method_answers_every_question_within_the_budget(folder: Path):
    qa = dyto.VideoQA.from_pretrained(folder)
    methods = ("release", "uniform", "oracle", "blind", "guess")
    rows = video_exam(qa, (1,), videos=1, regimes=("static",), methods=methods)
    counts = {method: sum(r.method == method for r in rows) for method in methods}
    assert len(set(counts.values())) == 1
    assert counts["release"] > 15
    again = video_exam(qa, (1,), videos=1, regimes=("static",), methods=("release",))
    assert again == [r for r in rows if r.method == "release"]


def test_the_command_measures_and_writes_the_card(folder: Path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "REGIMES", ("static",))
    real = evaluate.video_exam
    monkeypatch.setattr(evaluate, "video_exam", lambda *a, **k: real(*a, regimes=("static",), **k))
    arguments = ["--model", str(folder), "--videos", "1", "--images", "2", "--samples", "1", "--card"]
    arguments += ["--methods", "release", "uniform", "guess"]
    assert evaluate.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "held-out images" in printed
    card = (folder / "MODEL_CARD.md").read_text()
    figures = json.loads((folder / "figures.json").read_text())
    right, asked = figures["by_type"]["free"]["all"]["release"]
    assert f"| all | {asked} | {100 * right / asked:.0f} |" in card
    assert "--steps 100 --seed 0" in card
    assert model_card(figures, {"settings": SETTINGS}) == card


def test_mistakes_of_usage_say_what_to_do(tmp_path: Path, caplog):
    assert evaluate.main(["--model", str(tmp_path)]) == 2
    assert "name its folder with --model" in caplog.text


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
