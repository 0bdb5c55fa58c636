"""`dyto batch`: every row of the table comes back once, in its place, whatever it holds and however often it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from batch.tables import WORDS, read, settings, write
from dyto.batch.questions import ask_each, read_table
from dyto.batch.run import run_batch
from dyto.cli.app import run
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.journal import Journal
from dyto.evaluation.tasks import ANSWER
from dyto.evaluation.workers import Run

ROWS: list = [
    {"video": "v1.mp4", "question": "what is shown ?", "mine": {"a": [1, None]}},
    {"video": "v0.mp4", "question": "which ?", "choices": ["red", "blue"], "key": "second"},
    {"video": "gone.mp4", "question": "what ?"},
    "no json",
    "[1, 2]",
    {"video": "v0.mp4", "question": ""},
    {"video": None, "question": "what ?"},
    {"video": "v0.mp4", "question": "which ?", "choices": ["one"]},
    {"video": "v0.mp4", "question": "when ?", "start": 1.0, "end": 0.5},
    {"video": "v0.mp4", "question": "what is it ?", "start": "0.2", "end": 1.5},
    {"video": "v1.mp4", "question": "what \ud83d ?"},
    {"video": "v0.mp4", "question": "when ?", "end": 10**400},
    {"video": "v\0.mp4", "question": "what ?"},
]
STATUSES = [
    "answered",
    "answered",
    "missing_video",
    *["bad_row"] * 6,
    "answered",
    "bad_row",
    "bad_row",
    "missing_video",
]


def test_every_row_comes_back_in_its_place_with_its_columns(world):
    assert run(["batch", str(write(world / "q.jsonl", ROWS)), "--out", "out.jsonl", *WORDS], debug=False) == 0
    found = read(world / "out.jsonl")
    assert [row["status"] for row in found] == STATUSES
    assert found[0]["mine"] == {"a": [1, None]}
    assert found[1]["key"] == "second"
    assert found[1]["choice"] in (0, 1, None)
    assert all(row["reason"] for row in found if row["status"] != "answered")
    assert all(0.2 <= second < 1.5 for second in found[9]["keyframe_seconds"])
    assert len({row["key"] for row in found}) == len(ROWS)
    assert not any("machine" in row for row in found), "there is one kind of machine"


def test_all_rows_are_gone_over_a_few_times_and_not_once_a_video(world, monkeypatch):
    keys, calls = Run.keys, []
    monkeypatch.setattr(Run, "keys", lambda run: calls.append(1) or keys(run))
    for count in (2, 20):
        rows = [{"video": "v0.mp4", "question": "what ?", "start": n * 0.01} for n in range(count)]
        run_batch(settings(write(world / f"{count}.jsonl", rows), f"out{count}.jsonl"))
    assert len(calls) <= 6


def test_answers_are_those_of_asking_one_by_one(world, qa):
    run_batch(settings(write(world / "q.jsonl", ROWS)))
    for row in read(world / "out.jsonl")[:2]:
        options = {"choices": row.get("choices"), "num_frames": 6, "max_new_tokens": 3}
        answer = qa.ask(world / row["video"], row["question"], **options)
        assert (answer.text, answer.choice) == (row["pred"], row["choice"])


def test_tables_of_all_kinds_give_the_same_rows(world):
    rows = [
        {"video": f"v{n}.mp4", "question": "which ?", "choices": json.dumps(["red", "blue"]), "start": 0.5, "note": "n"}
        for n in range(2)
    ]
    write(world / "q.jsonl", rows)
    (world / "q.json").write_text(json.dumps(rows))
    for ending, mark in (("csv", ","), ("tsv", "\t")):
        lines = [list(rows[0]), *([str(cell).replace('"', '""') for cell in row.values()] for row in rows)]
        (world / f"q.{ending}").write_text("\n".join(mark.join(f'"{cell}"' for cell in line) for line in lines))
    tables = [read_table(world / f"q.{ending}") for ending in ("jsonl", "json", "csv", "tsv")]
    assert {table.questions.digest for table in tables} == {tables[0].questions.digest}
    parquet = pytest.importorskip("pyarrow.parquet", reason="parquet files need the extra 'parquet'")
    arrow = pytest.importorskip("pyarrow")
    listed = [row | {"choices": ["red", "blue"]} for row in rows]
    parquet.write_table(arrow.Table.from_pylist(listed), world / "q.parquet")
    assert read_table(world / "q.parquet").questions.digest == tables[0].questions.digest


def test_the_same_questions_about_every_file_of_a_pattern(world):
    (world / "deep").mkdir()
    shutil.copy(world / "v0.mp4", world / "deep/v[9].mp4")
    words = [
        "--videos",
        "**/*.mp4",
        "--question",
        "what is shown ?",
        "--question",
        "what color ?",
        "--out",
        "all.jsonl",
    ]
    assert run(["batch", *words, *WORDS], debug=False) == 0
    found = read(world / "all.jsonl")
    assert [row["video"] for row in found[::2]] == ["deep/v[9].mp4", "v0.mp4", "v1.mp4", "v2.mp4", "v3.mp4"]
    assert {row["status"] for row in found} == {"answered"}
    with pytest.raises(ConfigError, match="no file matches"):
        ask_each("*.mkv", ["what ?"])


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ([], 2, "expected either a table"),
        (["q.jsonl", "--videos", "*.mp4"], 2, "expected either a table"),
        (["q.jsonl", "--question", "what ?"], 2, "goes with --videos"),
        (["--videos", "*.mp4"], 2, "--question"),
        (["q.jsonl", "--out", "a.csv"], 2, "expected .jsonl"),
        (["nothing.jsonl"], 1, "no question file"),
        (["empty.jsonl"], 1, "holds no question"),
        (["twice.jsonl"], 1, "'k' in row 1 and in row 2"),
        (["taken.jsonl"], 2, "'pred', which dyto writes itself"),
        (["lacking.jsonl"], 1, "no column 'question'"),
        (["q.jsonl", "--out", "foreign.jsonl"], 1, "was not written by dyto batch"),
    ],
)
def test_what_cannot_be_done_is_said_before_a_model_is_loaded(world, capsys, words, status, told):
    good = {"video": "v0.mp4", "question": "what ?"}
    write(world / "q.jsonl", [good])
    write(world / "twice.jsonl", [good | {"key": "k"}] * 2)
    write(world / "taken.jsonl", [good | {"pred": 1}])
    write(world / "lacking.jsonl", [{"video": "v0.mp4"}])
    (world / "empty.jsonl").touch()
    (world / "foreign.jsonl").write_text("somebody else's\n")
    assert run(["batch", *words, "--model", "no/such/model"], debug=False) == status
    assert told in " ".join(capsys.readouterr().err.split())
    assert (world / "foreign.jsonl").read_text() == "somebody else's\n"


def test_columns_of_ours_can_be_given_other_names(world):
    table = write(world / "q.jsonl", [{"video": "v0.mp4", "question": "what ?", "pred": "mine", "status": 3}])
    run_batch(settings(table, prefix="dyto_"))
    (row,) = read(world / "out.jsonl")
    assert (row["pred"], row["status"], row["dyto_status"]) == ("mine", 3, "answered")
    assert set(row) <= {"key", "video", "question", "pred", "status", *("dyto_" + name for name in ANSWER.columns)}


def test_another_table_into_the_same_file_is_refused_and_named(world):
    run_batch(settings(write(world / "q.jsonl", ROWS[:2])))
    before = (world / "out.jsonl").read_bytes()
    changed = [ROWS[0], {**ROWS[1], "question": "where ?"}]
    with pytest.raises(DatasetError, match=r"question was 'which \?' and is now 'where \?'"):
        run_batch(settings(write(world / "q.jsonl", changed)))
    assert (world / "out.jsonl").read_bytes() == before


def test_unanswered_rows_are_asked_again_on_request(world):
    table = write(world / "q.jsonl", ROWS[:3])
    (world / "v1.mp4").rename(world / "kept")
    (world / "v1.mp4").write_bytes(b"broken")
    assert run_batch(settings(table)) == {"answered": 1, "undecodable": 1, "missing_video": 1}
    (world / "kept").rename(world / "v1.mp4")
    words = ["batch", "q.jsonl", "--out", "out.jsonl", *WORDS, "--device", "cpu", "--retry-failed"]
    assert run(words, debug=False) == 0
    assert [row["status"] for row in read(world / "out.jsonl")] == ["answered", "answered", "missing_video"]


def test_addresses_are_fetched_only_where_they_are_allowed(world, monkeypatch):
    fetched = world / "fetched"
    fetched.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(fetched))
    here, gone = f"file://{world}/v0.mp4", f"file://{world}/nothing.mp4"
    rows = [{"video": video, "question": "what ?"} for video in (here, gone, "s3://bucket/a.mp4", "v0.mp4")]
    table = write(world / "q.jsonl", rows)
    run_batch(settings(table, "closed.jsonl"))
    assert [row["status"] for row in read(world / "closed.jsonl")] == ["unsafe_name"] * 3 + ["answered"]
    run_batch(settings(table, "open.jsonl", remote=("file",)))
    found = read(world / "open.jsonl")
    assert [row["status"] for row in found] == ["answered", "undecodable", "unsafe_name", "answered"]
    assert found[0]["pred"] == found[3]["pred"]
    assert "cannot be fetched" in found[1]["reason"]
    assert not list(fetched.iterdir())


def test_nothing_answered_is_status_3(world, capsys):
    write(world / "q.jsonl", [ROWS[2]])
    assert run(["batch", "q.jsonl", "--out", "out.jsonl", *WORDS], debug=False) == 3
    assert "no question was answered" in capsys.readouterr().err
    assert len(read(world / "out.jsonl")) == 1


@pytest.mark.parametrize("after", [0, 1, 3])
def test_interrupted_it_goes_on_and_ends_with_the_same_file(world, monkeypatch, after):
    table = write(world / "q.jsonl", [{"video": f"v{n % 4}.mp4", "question": f"what is {n} ?"} for n in range(8)])
    run_batch(settings(table, "whole.jsonl"))
    append, calls = Journal.append, []

    def interrupted(journal, rows):
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(1)
        append(journal, rows)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_batch(settings(table))
    assert not (world / "out.jsonl").exists()
    run_batch(settings(table))
    assert (world / "out.jsonl").read_bytes() == (world / "whole.jsonl").read_bytes()


@pytest.mark.soak
def test_killed_at_any_moment_it_ends_with_the_same_file(world):
    rows = [{"video": f"v{n % 4}.mp4", "question": f"what is shape {n} ?", "start": n // 4 * 0.1} for n in range(24)]
    table = write(world / "q.jsonl", rows)
    run_batch(settings(table, "whole.jsonl"))
    words = [sys.executable, "-m", "dyto", "batch", "q.jsonl", "--out", "out.jsonl", *WORDS, "--device", "cpu"]
    journal = settings(table).run_folders().journal()
    for more in (1, 3):
        process = subprocess.Popen([*words, "--workers", "2"], stderr=subprocess.DEVNULL, env=os.environ)
        already, give_up = len(journal.refresh()), time.monotonic() + 120
        while len(journal.refresh()) < already + more and process.poll() is None:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (world / "out.jsonl").exists()
    run_batch(settings(table))
    assert (world / "out.jsonl").read_bytes() == (world / "whole.jsonl").read_bytes()
