"""A whole comparison with the bundled model over real files: shared work, resumption, failures, the report."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dyto
from dyto.cli.app import run
from dyto.comparing.asking_cells import CellAsker
from dyto.comparing.blind import Blind
from dyto.comparing.cells import parse_budgets, parse_strategies
from dyto.comparing.compare import Comparison, compare
from dyto.comparing.statistics import holm, sign_flip_p
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.evaluate import evaluate
from dyto.evaluation.settings import Settings
from dyto.models.loading.options import Loading
from evaluation.world import settings as eval_settings

HERE = Path(__file__).parent
DOES_NOTHING, BREAKS, ASKS = (f"{HERE / 'strangers.py'}:{name}" for name in ("DoesNothing", "Breaks", "Asks"))


def contest(world: Path, out: str = "out", strategies: str = "dyto", budgets: str = "72,2f,144", **more) -> Comparison:
    base = {
        "qa_file": world / "val_qa.json",
        "video_dir": world / "videos",
        "loading": Loading(device="cpu"),
        "sampling": {"num_frames": 6},
        "max_new_tokens": 2,
    }
    settings = Settings("nextqa", **(base | more.pop("settings", {})))
    return Comparison(settings, world / out, strategies, budgets, **more)


def rows(world: Path, out: str = "out") -> list[dict]:
    return [json.loads(line) for line in (world / out / "predictions.jsonl").read_text().splitlines()]


def test_kind_is_another_word_for_type(world):
    assert contest(world, by=("kind", "kind+type")).by == ("type", "type+type")
    with pytest.raises(ConfigError, match="unknown breakdown 'length'"):
        contest(world, by=("length",))


def test_every_strategy_is_asked_every_question_at_every_budget(world):
    found = compare(contest(world))
    assert [(c["strategy"], c["budget"]) for c in found["cells"]] == [
        *(("dyto", 72), ("dyto", 144), ("uniform", 72), ("uniform", 144), ("blind", None)),
    ]
    recorded = rows(world)
    assert len(recorded) == 5 * 6
    assert all(row["status"] == "answered" for row in recorded)
    assert all(row["visual_tokens"] <= (row["budget"] or 0) for row in recorded)
    assert any("uniform was added" in note for note in found["notes"])


def test_answers_are_those_of_separate_runs(world):
    compare(contest(world, budgets="144"))
    for strategy in ("dyto", "uniform"):
        options = {"token_budget": 144}
        evaluate(eval_settings(world, strategy, strategy=strategy, options=options, max_new_tokens=2))
        path = world / strategy / "artifacts/nextqa/run/predictions.jsonl"
        alone = [json.loads(line) for line in path.read_text().splitlines()]
        shared = [row for row in rows(world) if row["strategy"] == strategy]
        for name in ("pred", "choice", "keyframes", "visual_tokens"):
            assert [row[name] for row in shared] == [row[name] for row in alone]


def test_each_video_is_decoded_once_and_each_frame_encoded_once(world, tiny, monkeypatch):
    decoded, seen = [], []
    real_sample, real_states = dyto.evaluation.loading.sample_frames, type(tiny).tower_states
    monkeypatch.setattr(
        dyto.evaluation.loading, "sample_frames", lambda *a, **k: decoded.append(a) or real_sample(*a, **k)
    )
    monkeypatch.setattr(
        type(tiny), "tower_states", lambda self, pixels: seen.append(len(pixels)) or real_states(self, pixels)
    )
    compare(contest(world, strategies="dyto,slowfast,finest", budgets="40,72,144"))
    assert len(decoded) == 3
    assert sum(seen) == 3 * 6 + 1, "the frames of three videos, and one to warm up"


def test_the_report_can_be_computed_again_from_the_predictions(world):
    found = compare(contest(world, strategies="dyto,finest", budgets="72,144", settings={"max_new_tokens": 4}))
    right = {}
    for row in rows(world):
        key = row["strategy"], row["budget"]
        right.setdefault(key, {})[row["video_name"], row["place"]] = int(row["choice"] == row["answer_number"])
    values = {}
    for cell in found["cells"]:
        mine = right[cell["strategy"], cell["budget"]]
        assert cell["accuracy"]["value"] == pytest.approx(sum(mine.values()) / 6)
        if "baseline" in cell["vs"]:
            theirs = right["uniform", cell["budget"]]
            sums = {}
            for video, place in mine:
                sums[video] = sums.get(video, 0) + mine[video, place] - theirs[video, place]
            line = cell["vs"]["baseline"]
            assert line["value"] == pytest.approx(sum(sums.values()) / 6)
            assert line["p"] == sign_flip_p(list(sums.values()))
            values[cell["strategy"], cell["budget"]] = line
    corrected = holm([line["p"] for line in values.values()])
    assert [line["p_holm"] for line in values.values()] == pytest.approx(corrected)


def test_it_goes_on_where_it_was_interrupted_and_ends_alike(world):
    whole = compare(contest(world, "whole"))

    def stop(done, total):
        if done >= 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(contest(world), progress=stop)
    journal = next((world / "out/rows").glob("*.jsonl"))
    recorded = len(journal.read_text().splitlines())
    assert 13 <= recorded < 30
    journal.write_bytes(journal.read_bytes()[:-20])  # as if torn by the kill
    found = compare(contest(world))
    assert (world / "out/predictions.jsonl").read_bytes() == (world / "whole/predictions.jsonl").read_bytes()
    for one, other in zip(found["cells"], whole["cells"], strict=True):
        for name in ("accuracy", "vs", "tokens", "groups"):
            assert one[name] == other[name]


def test_what_is_recorded_needs_no_model(world, monkeypatch):
    first = compare(contest(world))
    monkeypatch.setattr(dyto.pipeline, "load_model", None)
    assert compare(contest(world)) == first


def test_strategies_and_budgets_may_be_added_later(world):
    compare(contest(world, budgets="72"))
    asked = len(rows(world))
    found = compare(contest(world, strategies="dyto,finest", budgets="72,144"))
    assert asked == 3 * 6
    assert len(rows(world)) == (3 * 2 + 1) * 6
    assert any("Seconds come from 2 runs" in note for note in found["notes"])


def test_another_configuration_is_kept_out_of_the_folder(world):
    compare(contest(world, budgets="72"))
    with pytest.raises(DatasetError, match="rotate was False and is now True"):
        compare(contest(world, budgets="72", rotate=True))
    with pytest.raises(DatasetError, match="max_new_tokens was 2 and is now 3"):
        compare(contest(world, budgets="72", settings={"max_new_tokens": 3}))


def test_broken_videos_and_questions_are_recorded_and_left_out(world):
    (world / "videos/v1.mp4").write_bytes(b"no video")
    (world / "videos/v2.mp4").unlink()
    records = json.loads((world / "val_qa.json").read_text())
    records[3]["question"] = "what is <image> ?"
    (world / "val_qa.json").write_text(json.dumps(records))
    found = compare(contest(world, budgets="72"))
    assert (found["questions"], found["videos"], found["left_out"]) == (1, 1, 5)
    status = {(row["strategy"], row["place"]): row["status"] for row in rows(world)}
    assert status["dyto", 1] == status["dyto", 4] == "undecodable"
    assert status["dyto", 2] == "missing_video"
    assert status["dyto", 3] == status["blind", 3] == "bad_row"


def test_a_video_that_was_missing_is_asked_about_once_it_is_there(world):
    hidden = (world / "videos/v2.mp4").rename(world / "v2.mp4")
    assert compare(contest(world, budgets="72"))["videos"] == 2
    hidden.rename(world / "videos/v2.mp4")
    assert compare(contest(world, budgets="72"))["videos"] == 3


def test_strangers_are_found_out_and_the_run_goes_on(world, caplog):
    found = compare(contest(world, strategies=f"dyto,{DOES_NOTHING},{BREAKS}", budgets="72"))
    kinds = {(alarm["strategy"].rpartition(":")[2], alarm["kind"]) for alarm in found["alarms"]}
    assert {("DoesNothing", "does-nothing"), ("Breaks", "failed")} <= kinds
    assert "IT DOES NOTHING" in caplog.text
    assert "KeyError" in caplog.text
    by_name = {cell["strategy"].rpartition(":")[2]: cell for cell in found["cells"]}
    assert by_name["DoesNothing"]["vs"] == {}
    assert by_name["Breaks"]["accuracy"]["value"] is None
    assert by_name["dyto"]["accuracy"]["questions"] == 6


def test_a_budget_that_a_strategy_cannot_meet_is_told_and_the_others_go_on(world):
    found = compare(contest(world, budgets="20"))
    by_name = {cell["strategy"]: cell for cell in found["cells"]}
    assert by_name["uniform"]["unanswered"] == {"does_not_fit": 6}
    assert "raise the budget to at least 36" in by_name["uniform"]["why_unanswered"]
    assert by_name["dyto"]["tokens"] <= 20
    assert by_name["dyto"]["vs"] == {}


def test_a_strategy_that_looks_at_the_question_is_given_each(world):
    from dyto.strategies.targets import find_strategy

    compare(contest(world, strategies=ASKS, budgets="72", blind=False, rotate=True))
    asked = find_strategy(ASKS).asked
    assert len(rows(world)) == 2 * 6 * 4
    assert {row["status"] for row in rows(world)} == {"answered"}
    assert all(question.startswith("what color is shape") for question in asked)


def test_rotations_turn_the_options_and_the_right_answer_with_them(world):
    compare(contest(world, strategies="uniform", budgets="72", rotate=True))
    for row in rows(world):
        assert row["candidates"][row["answer_number"]] == row["answer"]
    turned = [row["answer_number"] for row in rows(world) if row["place"] == 1 and row["strategy"] == "uniform"]
    assert turned == [1, 0, 3, 2]


def test_scoring_by_likelihood(world):
    found = compare(contest(world, strategies="uniform", budgets="72", settings={"scoring": "likelihood"}))
    assert all(row["pred"] in row["candidates"] for row in rows(world))
    assert found["scoring"] == "likelihood"
    with pytest.raises(ConfigError, match="no options to rotate"):
        contest(world, rotate=True, settings={"scoring": "likelihood"})


def test_seconds_are_those_that_each_would_have_needed_alone(world):
    found = compare(contest(world, budgets="72", strategies="dyto"))
    by_name = {cell["strategy"]: cell["seconds"] for cell in found["cells"]}
    assert by_name["dyto"]["decode"] == by_name["uniform"]["decode"] > 0
    assert 0 < by_name["uniform"]["encode"] < by_name["dyto"]["encode"], "3 of 6 frames, and all of them"
    assert by_name["blind"]["encode"] == 0


def test_a_tower_that_fails_is_a_reason_and_not_the_end(world, monkeypatch):
    def fail(self, video):
        raise dyto.ModelError("the tower gives up")

    monkeypatch.setattr(CellAsker, "open", fail)
    found = compare(contest(world, budgets="72"))
    assert found["questions"] == 0
    assert {row["reason"] for row in rows(world)} == {"the tower gives up"}


def test_a_control_that_cannot_be_asked_is_said(world, monkeypatch):
    def fail(self, asked):
        raise dyto.ModelError("it cannot do without a video")

    assert not any("control" in note for note in compare(contest(world, "fine", budgets="72"))["notes"])
    monkeypatch.setattr(Blind, "_read", fail)
    notes = compare(contest(world, budgets="72"))["notes"]
    assert any("The control has no answer at all (it cannot do without a video)" in note for note in notes)


def test_a_strategy_cannot_change_the_frames_for_the_others(world):
    compare(contest(world, strategies="uniform", budgets="72", blind=False))
    compare(contest(world, "spoilt", strategies=f"{HERE / 'strangers.py'}:Spoils,uniform", budgets="72", blind=False))
    alone, beside = ([r for r in rows(world, out) if r["strategy"] == "uniform"] for out in ("out", "spoilt"))
    assert [row["tokens_sha256"] for row in beside] == [row["tokens_sha256"] for row in alone]
    spoiler = [row for row in rows(world, "spoilt") if row["strategy"] != "uniform"]
    assert {row["status"] for row in spoiler} == {"failed"}
    assert all("read-only" in row["reason"] for row in spoiler)


def test_a_folder_that_cannot_be_written_to_is_an_error_of_one_line(world):
    (world / "out").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        compare(contest(world, budgets="72"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"strategies": "dyto,unifrom"}, "did you mean 'uniform'"),
        ({"strategies": "concat"}, "takes no token_budget"),
        ({"strategies": " , "}, "no strategy named"),
        ({"budgets": "many"}, "budget 'many', expected tokens such as 230"),
        ({"budgets": "0"}, "at least 1 token"),
        ({"rivals": "evs"}, "unknown rival 'evs'"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_loaded(world, monkeypatch, more, said):
    monkeypatch.setattr(dyto.pipeline, "load_model", None)
    with pytest.raises(ConfigError, match=said):
        compare(contest(world, **more))


def test_a_strategy_with_options_takes_part_under_its_whole_name(world):
    found = compare(contest(world, strategies="uniform-pool:pool=3,num_frames=4,finest", budgets="144"))
    tokens = {c["strategy"]: c["tokens"] for c in found["cells"] if c["budget"]}
    assert set(tokens) == {"uniform-pool:pool=3,num_frames=4", "finest", "uniform"}
    assert {r["visual_tokens"] for r in rows(world) if r["strategy"].startswith("uniform-pool")} == {16}


def test_names_and_budgets_between_commas():
    assert parse_strategies("finest,dyto,finest") == ["finest", "dyto", "uniform"]
    assert "concat" not in parse_strategies("all")
    pooled = "uniform-pool:pool=3,num_frames=57"
    assert parse_strategies(f"plus,{pooled},evs") == ["plus", pooled, "evs", "uniform"]
    assert parse_budgets("2f,72,1.5f,72", 36) == [(54, "1.5f"), (72, "2f")]


def test_the_command_prints_and_writes_everything(world, capsys, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need the extra 'plots'")
    words = ["compare", "nextqa", "--qa-file", "val_qa.json", "--video-dir", "videos", "--num-frames", "6"]
    words += ["--strategies", f"dyto,{DOES_NOTHING}", "--budgets", "1.5f,4f", "--max-new-tokens", "2", "--by", "type"]
    monkeypatch.chdir(world)
    assert run([*words, "--out", "out"], debug=False) == 0
    shown = capsys.readouterr().out
    for words_in_it in (
        "accuracy [95 %]",
        "54 (1.5f)",
        "IT DOES NOTHING",
        "by type (questions)",
        "causal (2)",
        "prefill",
    ):
        assert words_in_it in shown
    text = (world / "out/compare.md").read_text()
    assert "**Attention:**" in text
    assert "![accuracy_over_tokens.png]" in text
    with (world / "out/compare.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 7 * (1 + 3)
    assert {line["alarm"] for line in lines if "DoesNothing" in line["strategy"]} == {"does-nothing"}
    assert json.loads((world / "out/compare.json").read_text())["attention"]
    for name in ("accuracy_over_tokens", "accuracy_over_seconds", "accuracy_by_type"):
        assert (world / f"out/{name}.png").stat().st_size > 10_000
        assert (world / f"out/{name}.pdf").read_bytes().startswith(b"%PDF")


def test_without_matplotlib_there_are_no_pictures_and_it_is_said(world, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.chdir(world)
    words = [
        "compare",
        "nextqa",
        "--qa-file",
        "val_qa.json",
        "--video-dir",
        "videos",
        "--num-frames",
        "6",
        "--limit",
        "1",
    ]
    words += ["--strategies", "uniform", "--budgets", "72", "--max-new-tokens", "2", "--out", "out", "--json"]
    assert run(words, debug=False) == 0
    said = capsys.readouterr()
    assert "pip install '.[plots]'" in " ".join(said.err.split())
    assert json.loads(said.out)["questions"] == 1


@pytest.mark.soak
def test_killed_at_any_moment_it_ends_with_the_same_predictions(world):
    words = [sys.executable, "-m", "dyto", "compare", "nextqa", "--qa-file", "val_qa.json", "--video-dir", "videos"]
    words += ["--num-frames", "6", "--strategies", "dyto,slowfast", "--budgets", "40,72,144", "--max-new-tokens", "2"]
    words += ["--no-pictures", "--out"]
    subprocess.run([*words, "whole"], cwd=world, check=True, capture_output=True)
    whole = (world / "whole/predictions.jsonl").read_bytes()
    for kill in range(6):
        process = subprocess.Popen([*words, "killed"], cwd=world, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up, before = time.monotonic() + 120, recorded_in(world / "killed")
        while recorded_in(world / "killed") < before + 5 * (kill + 1) and process.poll() is None:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([*words, "killed"], cwd=world, check=True, capture_output=True)
    assert (world / "killed/predictions.jsonl").read_bytes() == whole


def recorded_in(folder: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in (folder / "rows").glob("*.jsonl"))
