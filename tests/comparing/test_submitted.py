"""Predictions that are sent in: what is checked, and that no score is believed; and the command that makes them."""

from __future__ import annotations

import dataclasses
import gzip
import itertools
import json
import shutil
from pathlib import Path

import pytest

from dyto.cli.app import run
from dyto.comparing.compare import Comparison, compare
from dyto.comparing.filling import Filling, fill
from dyto.comparing.submitted import add_submission, check_submission, find_submissions, read_rows, table_of
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.evaluate import Judging, evaluate
from dyto.evaluation.settings import Settings
from dyto.models.loading.options import Loading
from evaluation.world import settings as eval_settings

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_score_in_the_repository_is_what_its_rows_say():
    folders = find_submissions(REPOSITORY / "results")
    problems = [problem for folder in folders for problem in check_submission(folder)]
    assert not problems


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """Where the comparison is kept that all tests copy."""
    return tmp_path_factory.mktemp("once") / "run"


def quick(world):
    return Settings(
        "nextqa",
        qa_file=world / "val_qa.json",
        video_dir=world / "videos",
        loading=Loading(device="cpu"),
        sampling={"num_frames": 4},
        max_new_tokens=2,
    )


@pytest.fixture
def compared(world, once):
    """A comparison of two strategies, with its rotations; made once."""
    if not once.exists():
        compare(Comparison(quick(world), once, "evs", "72", rotate=True))
    return Path(shutil.copytree(once, world / "run"))


def change_rows(folder, change):
    path = folder / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def change_json(folder, name, change):
    found = json.loads((folder / name).read_text())
    change(found)
    (folder / name).write_text(json.dumps(found))


def first_answered(rows):
    return next(row for row in rows if row["status"] == "answered" and row["rotation"] == 0)


def other_choice(rows):
    row = first_answered(rows)
    row["choice"] = row["answer_number"] if row["choice"] != row["answer_number"] else 1 - row["choice"]


def other_answer(rows):
    row = first_answered(rows)
    wrong = (row["answer_number"] + 1) % len(row["candidates"])
    row["answer_number"], row["answer"] = wrong, row["candidates"][wrong]


def other_prediction(rows):
    row = first_answered(rows)
    row["pred"], row["choice"] = f"({'ABCDE'[row['answer_number']]})", row["answer_number"]
    rows[rows.index(row)] = row


TAMPERED = {
    "a row is gone": (lambda rows: rows.pop(3), "rows are missing"),
    "a question is gone": (
        lambda rows: rows.__setitem__(slice(None), [r for r in rows if r["place"] != 2]),
        "question 2",
    ),
    "a row stands there twice": (lambda rows: rows.append(rows[0]), "occurs twice"),
    "another option is said to be chosen": (other_choice, "names option"),
    "another option is said to be right": (other_answer, "does not match key"),
    "another question": (lambda rows: rows[0].update(question="who is there?"), "does not match key"),
    "another key": (lambda rows: [r.update(sample="000000-" + "ab" * 8) for r in rows if r["place"] == 0], "match key"),
    "a field is gone": (lambda rows: rows[0].pop("pred"), "KeyError"),
    "a place of its own": (lambda rows: rows[0].update(place=4), "does not belong to place 4"),
    "no rows": (lambda rows: rows.clear(), "there are no rows"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_rows_that_were_changed_are_found(compared, name):
    change, said = TAMPERED[name]
    assert check_submission(compared) == []
    change_rows(compared, change)
    assert any(said in problem for problem in check_submission(compared)), check_submission(compared)


def test_an_answer_that_was_made_better_shows_in_the_scores(compared):
    def all_right(rows):
        for row in rows:
            if row["strategy"] == "evs":
                row["pred"], row["choice"] = f"({'ABCDE'[row['answer_number']]})", row["answer_number"]

    change_rows(compared, all_right)
    assert any("accuracy.value is stated as" in problem for problem in check_submission(compared))


@pytest.mark.parametrize("figure", ["value", "low", "high", "p", "p_holm"])
def test_a_figure_that_was_made_better_is_found(compared, figure):
    def better(found):
        line = next(cell["vs"]["baseline"] for cell in found["cells"] if cell["vs"].get("baseline"))
        line[figure] -= 0.01

    change_json(compared, "compare.json", better)
    (problem,) = check_submission(compared)
    assert f"vs.baseline.{figure} is stated as" in problem


def test_a_configuration_must_be_whole_and_the_one_of_the_manifest(compared):
    change_json(compared, "config.json", lambda found: found.update(model="llava-next-34b"))
    assert "different configurations" in check_submission(compared)[0]
    change_json(compared, "config.json", lambda found: found.pop("weights"))
    assert "lacks weights" in check_submission(compared)[0]
    (compared / "manifest.json").write_text("[")
    assert "manifest.json cannot be read" in check_submission(compared)[0]


def test_the_rows_must_be_those_of_the_question_file(compared):
    for name in ("config.json", "manifest.json"):
        change_json(compared, name, lambda found: found.get("config", found).update(questions="0" * 16))
    assert "do not match the hash of the question file" in check_submission(compared)[0]


def test_a_run_of_one_strategy_is_taken_and_scored_again(world, tmp_path):
    evaluate(eval_settings(world, "one", max_new_tokens=2), Judging("none"))
    folder = add_submission(world / "one/artifacts/nextqa/run", tmp_path / "sent/me")
    assert check_submission(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == [
        *("config.json", "manifest.json", "predictions.jsonl.gz", "results.json"),
    ]
    _, rows = table_of([folder])
    assert rows[0][:3] == ["NExT-QA", "tiny", "plus"]
    assert rows[0][-1] == "6 of 6"
    change_json(folder, "results.json", lambda found: found["measures"]["accuracy"].update(value=0.99))
    assert "measures.accuracy.value is stated as 0.99" in check_submission(folder)[0]
    (folder / "predictions.jsonl.gz").write_bytes(gzip.compress(b"{}\n")[:-4])
    assert "cannot be read" in check_submission(folder)[0]


def test_what_is_wrong_is_not_taken(compared, tmp_path):
    change_rows(compared, lambda rows: rows.pop(3))
    with pytest.raises(DatasetError, match="not added: .*rows are missing"):
        add_submission(compared, tmp_path / "sent")
    assert not (tmp_path / "sent").exists()


def test_the_commands_check_and_print(compared, tmp_path, capsys):
    assert run(["results", "add", str(compared), "--to", str(tmp_path / "sent/me")], debug=False) == 0
    assert run(["results", "check", str(tmp_path / "sent")], debug=False) == 0
    assert "1 submissions" in capsys.readouterr().out
    assert run(["results", "table", str(tmp_path / "sent"), "--markdown"], debug=False) == 0
    assert "| NExT-QA | tiny | evs | 72 |" in capsys.readouterr().out
    (folder,) = find_submissions(tmp_path / "sent")
    change_json(folder, "compare.json", lambda found: found["cells"][0]["accuracy"].update(value=1.5))
    assert run(["results", "check", str(tmp_path / "sent")], debug=False) == 1
    assert "is stated as 1.5" in " ".join(capsys.readouterr().err.split())
    assert run(["results", "check", str(tmp_path / "none")], debug=False) == 1


def test_a_table_is_filled_with_our_benchmarks_alone(world, tmp_path):
    """Somebody's own could be compared, but not submitted: that is said before anything is asked."""
    with pytest.raises(ConfigError, match="unknown benchmark 'mine.py:MINE'"):
        dataclasses.replace(filling(world, tmp_path), benchmarks=["nextqa", "mine.py:MINE"])


def filling(world, tmp_path, **more):
    return Filling(tmp_path / "work", tmp_path / "sent", ["nextqa"], ["tiny"], "evs", "72", quick(world), **more)


def test_filling_ends_in_time_and_goes_on_from_there(world, tmp_path):
    told = []
    wanted = filling(world, tmp_path, rounds=(2, None))
    ticks = itertools.count(0, 250)
    assert fill(wanted, 0.3, told=told.append, clock=lambda: next(ticks)) != []
    assert "2 questions" in told[0]
    assert told[-1].endswith("run the same command again to continue")
    recorded = sum(len(p.read_text().splitlines()) for p in (tmp_path / "work/nextqa/tiny/rows").glob("*.jsonl"))
    assert 6 <= recorded < 18
    (folder,) = fill(wanted, 1.0, told=told.append)
    assert "6 questions" in told[-1]
    assert check_submission(folder) == []
    assert table_of([folder])[1][0][-1] == "6 of 6"


def test_a_round_asks_a_sample_that_is_spread_over_the_videos(world, tmp_path):
    (folder,) = fill(filling(world, tmp_path, rounds=(3,)), 1.0)
    rows = [row for row in read_rows(folder) if row["strategy"] == "evs"]
    assert sorted(row["video_name"] for row in rows) == ["v0.mp4", "v1.mp4", "v2.mp4"]
    assert [row["place"] for row in rows] != [0, 1, 2]
    assert check_submission(folder) == []
    change_json(folder, "config.json", lambda config: config.pop("sample_seed"))
    change_json(folder, "manifest.json", lambda manifest: manifest["config"].pop("sample_seed"))
    assert "is missing" in check_submission(folder)[0]


def test_a_model_that_cannot_be_had_is_left_out_and_the_others_go_on(world, tmp_path):
    told = []
    wanted = filling(world, tmp_path, rounds=(2,))
    shutil.rmtree(world / "videos")
    assert fill(wanted, 1.0, told=told.append) == []
    assert "skipped" in told[0]
