"""The commands: `dyto eval`, `prepare` and `report`, and the published ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

import dyto
from dyto.cli.app import run
from dyto.cli.evaluation import parse_shard, register, show_unanswered
from dyto.cli.legacy_eval import (
    SCRIPTS,
    aggregation_strategy,
    config_settings,
    prepare_qa_file,
    read_config,
    run_inference,
    script_benchmarks,
)
from dyto.errors import ConfigError, DatasetError

ROOT = Path(__file__).resolve().parents[2]
HEADER = "video_name,question,question_id,answer,answer_number,question_type,a0,a1,a2,a3,a4\n"
ROW = "v{},who?,{},dog,1,CW,cat,dog,cow,hen,ant\n"


@pytest.fixture(autouse=True)
def loaded_once(tiny, monkeypatch):
    monkeypatch.setattr(dyto.pipeline, "load_model", lambda name, **options: tiny)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run a command in a folder of its own; returns exit code, stdout, stderr and any error."""
    app = typer.Typer()
    register(app)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def world(tmp_path, clip):
    (tmp_path / "videos").mkdir()
    for i in range(2):
        shutil.copy(clip, tmp_path / f"videos/v{i}.mp4")
    (tmp_path / "NExT_QA.csv").write_text(HEADER + "".join(ROW.format(i % 2, i) for i in range(4)))
    return tmp_path


def test_prepare_eval_and_report_one_after_another(command, world):
    prepared = command("prepare", "nextqa", "--qa-file", "NExT_QA.csv")
    assert "4 questions about 2 videos -> playground/gt_qa_files/NExTQA/val_qa.json" in prepared.stdout
    asked = command("eval", "nextqa", "--video-dir", "videos", "--num-frames", 4, "--max-new-tokens", 2, "--json")
    (found,) = json.loads(asked.stdout)
    assert (found["answered"], found["complete"], found["config"]) == (4, True, "tiny-plus-4frms")
    shown = command("report")
    assert "nextqa" in shown.stdout
    assert "tiny-plus-4frms" in shown.stdout
    assert Path("outputs/report.md").exists()
    lines = json.loads(command("report", "outputs", "--json").stdout)
    assert lines[0]["group"] == "all"


def test_eval_takes_the_public_file_directly(command, world):
    words = ("--qa-file", "NExT_QA.csv", "--video-dir", "videos", "--num-frames", 4, "--max-new-tokens", 2)
    asked = command("eval", "nextqa", *words)
    assert asked.exit_code == 0
    assert "NExT-QA, asking: 4/4" in asked.stderr
    assert "validation split" in asked.stdout


MINE = """
from dyto.benchmarks import Benchmark
from dyto.benchmarks.base import choice_sample

MINE = Benchmark(
    name="mine", title="My questions", kind="choice", prepared=("Mine/val_qa.json",), videos="multiple_choice_qa/Mine/video",
    columns=("video_name", "question", "question_id", "answer", "a0"), sample=choice_sample, source="written by hand",
    groupings={"own": lambda sample: "all of mine"},
)
"""


def test_a_benchmark_of_ones_own_is_a_file_by_name(command, world):
    (world / "mine.py").write_text(MINE)
    prepared = command("prepare", "mine.py:MINE", "--qa-file", "NExT_QA.csv")
    assert "My questions: 4 questions about 2 videos -> playground/gt_qa_files/Mine/val_qa.json" in prepared.stdout
    asked = command("eval", "mine.py:MINE", "--video-dir", "videos", "--num-frames", 4, "--max-new-tokens", 2, "--json")
    (found,) = json.loads(asked.stdout)
    assert (found["benchmark"], found["answered"], found["complete"]) == ("mine", 4, True)
    assert "own" in found["measures"]["accuracy"]["groups"]
    assert Path("outputs/artifacts/mine/tiny-plus-4frms/results.json").exists()
    lines = json.loads(command("report", "--json").stdout)
    assert {line["group"] for line in lines} == {"all", "own: all of mine"}


def test_a_report_runs_no_code_that_a_folder_of_results_names(command, world, caplog):
    (world / "evil.py").write_text("raise SystemExit('it ran')")
    folder = world / "outputs/artifacts/mine/run"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"benchmark": "evil.py:MINE"}))
    (folder / "manifest.json").write_text("{}")
    said = command("report")
    assert isinstance(said.exception, DatasetError)
    assert "evil.py:MINE' is not one of ours: finish it with the command that began it" in caplog.text


def test_the_strategys_options_are_part_of_the_runs_name(command, world):
    words = ("--qa-file", "NExT_QA.csv", "--video-dir", "videos", "--num-frames", 4, "--max-new-tokens", 2, "--json")
    asked = command("eval", "nextqa", *words, "--preset", "finest", "--budget", 20, "--limit", 1)
    assert json.loads(asked.stdout)[0]["config"] == "tiny-finest-20-4frms"


def test_the_bill_is_shown_before_the_judge_is_paid(command, world, stub, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    (world / "MSVD_QA.csv").write_text("video_name,question,question_id,answer,question_type\nv0,who?,1,dog,0\n")
    words = ("--qa-file", "MSVD_QA.csv", "--video-dir", "videos", "--num-frames", 4, "--max-new-tokens", 2)
    asked = command("eval", "msvd", *words)
    assert "1 calls to come, about" in asked.stderr
    assert len(stub.requests) == 1


def test_without_a_key_a_line_says_what_the_offline_judge_is(command, world):
    (world / "MSVD_QA.csv").write_text("video_name,question,question_id,answer,question_type\nv0,who?,1,dog,0\n")
    words = ("--qa-file", "MSVD_QA.csv", "--video-dir", "videos", "--num-frames", 4, "--max-new-tokens", 2)
    assert "judged offline by exact match" in command("eval", "msvd", *words).stderr


def test_prepare_prints_rows_that_contradict_themselves_with_their_line(command, world):
    with (world / "NExT_QA.csv").open("a") as file:
        file.write("v0,who?,9,dog,1,CW,cat,dog,cow,cat,ant\n")
    prepared = command("prepare", "nextqa", "--qa-file", "NExT_QA.csv")
    assert "line 6 (id 9): candidate 'cat' occurs 2 times; kept" in prepared.stderr
    assert "5 questions" in prepared.stdout


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_shard_that_is_none_is_an_error(command, world, text):
    with pytest.raises(ConfigError, match="expected i/n"):
        from dyto.evaluation.settings import Settings

        Settings("nextqa", shard=parse_shard(text))


WORDS = ("--qa-file", "NExT_QA.csv", "--video-dir", "videos", "--num-frames", "4", "--max-new-tokens", "2")


def test_a_run_without_a_video_leaves_with_3_and_says_where_it_looked(command, world, capsys):
    for path in (world / "videos").iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    assert run(["eval", "nextqa", *WORDS], debug=False) == 3
    said = capsys.readouterr()
    assert "no video of NExT-QA was found. Looked in videos and subfolders (2 files and folders)" in said.err
    assert "for 'v0.mp4', 'v1.mp4'" in said.err
    assert "no question of NExT-QA was answered" in said.err
    assert "4 missing video" in said.out
    assert run(["eval", "nextqa", *WORDS, "--json"], debug=False) == 3
    assert json.loads(capsys.readouterr().out)[0]["unanswered"] == {"missing_video": 4}
    assert (
        run(["compare", "nextqa", *WORDS, "--strategies", "dyto", "--budgets", "72", "--no-pictures"], debug=False) == 3
    )
    assert "Looked in videos" in capsys.readouterr().err


def test_a_shard_without_any_work_is_no_failure(command, world):
    assert run(["eval", "nextqa", *WORDS, "--shard", "7/7"], debug=False) == 0


def test_a_report_lists_what_has_no_answer_and_why(command, world, capsys):
    (world / "videos/v1.mp4").write_bytes(b"broken")
    assert run(["eval", "nextqa", *WORDS], debug=False) == 0
    assert "`dyto report --unanswered` lists them" in " ".join(capsys.readouterr().out.split())
    assert run(["report", "--unanswered"], debug=False) == 0
    said = capsys.readouterr().out
    assert "v1.mp4: undecodable: " in said
    assert "2 questions without an answer" in said
    assert not Path("outputs/report.md").exists()
    assert run(["report", "--unanswered", "--json"], debug=False) == 0
    assert {row["status"] for row in json.loads(capsys.readouterr().out)} == {"undecodable"}


def test_a_row_that_cannot_be_read_is_listed_without_a_video(capsys):
    row = {"config": "tiny", "place": 4, "video_name": "", "status": "bad_row", "reason": "unreadable row: no JSON"}
    show_unanswered([row], as_json=False)
    assert "tiny, question 5: bad_row: unreadable row: no JSON\n" in capsys.readouterr().out


def test_one_answer_is_enough_for_0(command, world):
    (world / "videos/v1.mp4").write_bytes(b"broken")
    assert run(["eval", "nextqa", *WORDS], debug=False) == 0


def test_a_run_that_may_not_fail_leaves_with_1_and_keeps_what_it_has(command, world, capsys):
    (world / "videos/v0.mp4").write_bytes(b"broken")
    assert run(["eval", "nextqa", *WORDS, "--fail-on-error", "1"], debug=False) == 1
    assert "2 of 4 recorded rows have no answer, and --fail-on-error is 1: the run was ended" in capsys.readouterr().err
    assert run(["eval", "nextqa", *WORDS], debug=False) == 0
    assert "2 undecodable" in capsys.readouterr().out
    assert run(["eval", "nextqa", *WORDS, "--fail-on-error", "1.5"], debug=False) == 2
    comparing = ["compare", "nextqa", *WORDS, "--strategies", "dyto", "--budgets", "72", "--no-pictures"]
    assert run([*comparing, "--fail-on-error", "2"], debug=False) == 1
    assert run(comparing, debug=False) == 0


def test_a_folder_of_other_things_is_no_cache_and_is_refused_before_the_model_is_loaded(
    command, world, capsys, monkeypatch
):
    monkeypatch.setattr(dyto.pipeline, "load_model", None)
    assert run(["eval", "nextqa", *WORDS, "--cache", "videos"], debug=False) == 2
    assert "the cache folder videos holds 'v0.mp4'" in capsys.readouterr().err


def test_a_mixed_cache_leaves_other_files_alone(command, world):
    assert run(["eval", "nextqa", *WORDS, "--cache", "videos", "--cache-mixed", "--cache-gb", "0"], debug=False) == 0
    assert sorted(path.name for path in (world / "videos").iterdir()) == ["v0.mp4", "v1.mp4"]


# --- the published commands -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "bash scripts/", "scripts/"])
@pytest.mark.parametrize("suffix", ["", ".sh"])
def test_scripts_are_names_in_a_table(prefix, suffix):
    for name, benchmarks in SCRIPTS.items():
        assert script_benchmarks(f"{prefix}{name}{suffix}") == benchmarks


@pytest.mark.parametrize(
    "evil", ["rm -rf /", "bash scripts/run_eval_nextqa.sh; rm -rf /", "bash -c 'true'", "$(touch x)", "../x.sh"]
)
def test_nothing_else_is_a_script(evil):
    with pytest.raises(ConfigError, match="unknown SCRIPT"):
        script_benchmarks(evil)


def test_no_module_of_the_evaluation_starts_a_shell():
    files = [ROOT / "src/dyto/cli/legacy_eval.py", *(ROOT / "src/dyto/evaluation").glob("*.py")]
    for path in files:
        text = path.read_text()
        assert "subprocess" not in text
        assert "os.system" not in text
        assert "eval(" not in text.replace("run_eval(", "")


def config(tmp_path, **keys):
    path = tmp_path / "my_config.yaml"
    path.write_text(yaml.safe_dump({"SCRIPT": "run_eval_nextqa"} | keys))
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "cfgs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_configs_are_the_published_settings(path):
    videoqa, choice, generative = read_config(path)
    assert [len(script_benchmarks(c["SCRIPT"])) for c in (videoqa, choice, generative)] == [4, 6, 3]
    size = "34b" if "34b" in path.stem else "7b"
    mode = "_34b" if size == "34b" else ""
    assert videoqa["CONV_MODE"] == generative["CONV_MODE"] == f"image_seq{mode}_v3"
    assert choice["CONV_MODE"] == f"multiple_choice_allvideo{mode}_v4"
    assert choice["DATA_DIR"] == "playground/data/multiple_choice_qa"
    assert (choice["NUM_FRAMES"], choice["ROPE_SCALING_FACTOR"]) == (100, 2)
    assert size in choice["MODEL_PATH"]
    (nextqa, *_) = config_settings(choice, path.stem)
    assert nextqa.run_folders().artifacts.as_posix() == f"outputs/artifacts/nextqa/{path.stem}"
    assert nextqa.strategy == "dyto"


def test_lists_go_one_to_one_and_single_values_to_all(tmp_path):
    path = config(
        tmp_path,
        SCRIPT=["run_eval_msvd", "run_eval_nextqa"],
        CONV_MODE=["image_seq_v3", "multiple_choice_allvideo_v4"],
        NUM_FRAMES=7,
    )
    first, second = read_config(path)
    assert (first["CONV_MODE"], second["CONV_MODE"]) == ("image_seq_v3", "multiple_choice_allvideo_v4")
    assert first["NUM_FRAMES"] == second["NUM_FRAMES"] == 7


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"num_frame": 3}, "did you mean 'NUM_FRAMES'"),
        ({"SCRIPT": "run_eval_nexqa"}, "did you mean 'run_eval_nextqa'"),
        ({"SCRIPT": []}, "names no SCRIPT"),
        ({"CONV_MODE": ["a", "b"]}, "CONV_MODE has 2 values, but SCRIPT has 1"),
        ({"CONV_MODE": "image_seq_v4"}, "did you mean 'image_seq_v3'"),
        ({"TEMPORAL_AGGREGATION": "spatial_tome_finch"}, "did you mean 'spatial_tome_finch_dynamic_all_frms'"),
        ({"NUM_FRAMES": "many"}, "NUM_FRAMES is 'many', expected a number"),
        ({"NUM_FRAMES": 0}, "expected at least 1"),
        ({"NUM_FRAMES": 2.5}, "whole number for counts"),
        ({"IMAGE_ASPECT_RATIO": "resise"}, "did you mean 'resize'"),
        ({"INPUT_STRUCTURE": "image_grid"}, "Known: image_seq"),
        ({"PRESET": "paper34b"}, "did you mean 'paper-34b'"),
        ({"MODEL_PATH": {"a": 1}}, "expected a text"),
    ],
)
def test_a_key_or_value_that_does_not_fit_names_the_nearest(tmp_path, keys, message):
    with pytest.raises(ConfigError, match=message):
        read_config(config(tmp_path, **keys))


@pytest.mark.parametrize("text", ["- a\n", "{", ""])
def test_a_config_that_is_none_is_an_error(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError):
        read_config(tmp_path / "c.yaml")


def test_aggregations_are_strategies():
    assert aggregation_strategy("uniform") == ("uniform", {})
    assert aggregation_strategy(False) == aggregation_strategy("none") == aggregation_strategy("concat")
    with pytest.raises(ConfigError, match="unknown TEMPORAL_AGGREGATION"):
        aggregation_strategy("slowfast-slow_10frms")


def test_errors_are_one_line_with_an_exit_code(tmp_path, capsys):
    assert run_inference(["--exp_config", str(tmp_path / "no.yaml")]) == 2
    assert capsys.readouterr().err.startswith("dyto: config ")
    assert prepare_qa_file("nextqa", ["--qa_file", str(tmp_path / "no.csv")]) == 1


def test_a_group_leaves_out_loudly_what_is_not_there_at_all(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    prepare_qa_file("nextqa", ["--qa_file", "NExT_QA.csv"])
    shutil.copytree("videos", "playground/data/multiple_choice_qa/NExTQA/video")
    keys = {"SCRIPT": "run_eval_multiplechoiceqabench", "DATA_DIR": "playground/data/multiple_choice_qa"}
    path = config(world, **keys, NUM_FRAMES=4, MAX_NEW_TOKENS=2, MODEL_PATH="tiny")
    assert run_inference(["--exp_config", str(path)]) == 0
    told = capsys.readouterr()
    assert told.err.count("neither questions nor videos found, skipped") == 5
    assert "my_config" in told.out
    assert (world / "outputs/artifacts/nextqa/my_config/results.json").exists()


def test_what_is_there_by_half_stops_the_command_before_it_begins(world, monkeypatch, capsys):
    monkeypatch.chdir(world)
    prepare_qa_file("nextqa", ["--qa_file", "NExT_QA.csv"])
    path = config(world, MODEL_PATH="tiny", DATA_DIR="playground/data")
    assert run_inference(["--exp_config", str(path)]) == 1
    assert "no videos of NExT-QA" in capsys.readouterr().err


def test_the_published_scripts_run_as_they_are_typed(world, shared):
    """In processes of their own: preparation of a public file, and the run."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_WAIT_POLICY": "passive"}

    def python(*words):
        return subprocess.run(
            [sys.executable, *map(str, words)], cwd=world, env=environment, capture_output=True, text=True, check=False
        )

    script = ROOT / "scripts/data/prepare_egoschema_qa_file.py"
    done = python(script, "--qa_file", shared / "qa/EgoSchema.csv")
    assert done.returncode == 0, done.stderr
    assert "500 questions about 500 videos" in done.stdout
    assert len(json.loads((world / "playground/gt_qa_files/EgoSchema/val_qa.json").read_text())) == 500


@pytest.mark.parametrize(
    "name",
    [
        "msvd",
        "msrvtt",
        "tgif",
        "activitynet",
        "nextqa",
        "egoschema",
        "intentqa",
        "star",
        "videomme",
        "mvbench",
        "vcgbench",
    ],
)
def test_every_published_preparation_script_is_there(name):
    text = (ROOT / f"scripts/data/prepare_{name}_qa_file.py").read_text()
    assert f'start("dyto.cli.legacy_eval", "prepare_qa_file", "{name}")' in text
