"""The measurement: its questions, its baselines, its arithmetic, and the card that is written from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dyto
from dyto.errors import ConfigError
from dyto.synthetic.videos import Asked, is_right, make_video
from dyto_tiny import evaluate
from dyto_tiny.card import model_card
from dyto_tiny.exam import Score
from dyto_tiny.model import build_model, save_tiny
from dyto_tiny.zeroshot import AnsweredRow, Oracle, guess_rows, lead, scores, strategy_for, video_exam


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    save_tiny(build_model(0), path)
    (path / "training.json").write_text(json.dumps({"settings": SETTINGS}))
    return path


SETTINGS = {"seed": 0, "steps": 100, "eye_share": 0.4, "tiles": 64, "pictures": 8, "precise": False}


def row(method: str, video: str, right: bool, kind: str = "exist", answer: str = "yes") -> AnsweredRow:
    return AnsweredRow(method, video, "mixed", Asked(kind, "?", None, answer), "", right)


def test_words_and_letters_are_scored_apart():
    free = Asked("color", "?", None, "red")
    letters = Asked("color", "?", ("blue", "red"), "red")
    assert [is_right(free, text) for text in ("red", " Red.", "red ring", "")] == [True, True, False, False]
    assert [is_right(letters, text) for text in ("(B)", "red", "(A)", "perhaps")] == [True, True, False, False]


def test_the_lead_of_a_method_is_that_of_the_same_questions_and_its_interval_is_over_videos():
    rows = [row("a", "v1", True), row("b", "v1", False), row("a", "v2", True), row("b", "v2", True)]
    rows += [row("c", "v1", True), row("c", "v2", False)]  # of no concern
    found = lead(rows, "a", "b")
    assert (found.value, found.questions, found.videos) == (0.5, 2, 2)
    assert (found.low, found.high) == (-1.0, 1.0)  # two videos exclude nothing
    assert lead(rows, "b", "a").value == -0.5
    with pytest.raises(ConfigError, match="no question was answered by d"):
        lead(rows, "d", "e")


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


@pytest.mark.soak
def test_every_method_answers_every_question_within_the_budget(folder: Path):
    qa = dyto.VideoQA.from_pretrained(folder)
    methods = ("release", "uniform", "oracle", "blind", "guess")
    rows = video_exam(qa, (1,), videos=1, regimes=("static",), methods=methods)
    counts = {method: sum(r.method == method for r in rows) for method in methods}
    assert len(set(counts.values())) == 1
    assert counts["release"] > 15
    again = video_exam(qa, (1,), videos=1, regimes=("static",), methods=("release",))
    assert again == [r for r in rows if r.method == "release"]


@pytest.mark.soak
def test_the_command_measures_and_writes_the_card(folder: Path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "REGIMES", ("static",))
    real = evaluate.video_exam
    monkeypatch.setattr(evaluate, "video_exam", lambda *a, **k: real(*a, regimes=("static",), **k))  # type: ignore[misc]
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


def test_the_card_that_ships_is_written_from_the_figures_that_ship():
    shipped = Path(dyto.__file__).parent / "checkpoints" / "tiny"
    figures, training = (json.loads((shipped / name).read_text()) for name in ("figures.json", "training.json"))
    assert (shipped / "MODEL_CARD.md").read_text() == model_card(figures, training)


def test_mistakes_of_usage_say_what_to_do(tmp_path: Path, caplog):
    assert evaluate.main(["--model", str(tmp_path)]) == 2
    assert "name its folder with --model" in caplog.text
