"""Tables as spreadsheets and data frames write them, and outputs that cannot be."""

from __future__ import annotations

import json
import shutil

import pytest

from batch.tables import WORDS, read, settings, write
from dyto.batch.questions import ask_each, read_table
from dyto.batch.run import run_batch
from dyto.cli.app import run
from dyto.errors import DatasetError

ROW = {"video": "v0.mp4", "question": "what ?"}


def strict(path):
    """The rows, read as other languages read JSON: NaN is not a number of theirs."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_a_spreadsheet_with_a_mark_windows_lines_and_quoted_breaks_keeps_its_rows(world):
    text = '\ufeffvideo,question,note\r\nv0.mp4,"what is\r\nshown ?",x\r\nv1.mp4,what ?,"a ""q"""\r\n,,\r\n\r\n'
    (world / "q.csv").write_bytes(text.encode())
    run_batch(settings(world / "q.csv"))
    found = read(world / "out.jsonl")
    assert [row["question"] for row in found] == ["what is\r\nshown ?", "what ?"]
    assert [row["note"] for row in found] == ["x", 'a "q"']
    assert {row["status"] for row in found} == {"answered"}


def test_what_a_data_frame_holds_comes_out_as_json(world):
    parquet = pytest.importorskip("pyarrow.parquet", reason="parquet files need the extra 'parquet'")
    arrow = pytest.importorskip("pyarrow")
    rows = [
        {**ROW, "choices": ["red", "blue"], "key": None, "n": float("nan"), "deep": {"a": [1.5, float("-inf")]}},
        {**ROW, "choices": None, "key": "mine", "n": 1.0, "deep": None, "start": float("nan")},
        {"video": None, "question": None, "key": "k", "n": float("inf"), "deep": None},
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), world / "q.parquet")
    run_batch(settings(world / "q.parquet"))
    found = strict(world / "out.jsonl")
    assert [row["status"] for row in found] == ["answered", "answered", "bad_row"]
    assert [row["n"] for row in found] == [None, 1.0, None]
    assert found[0]["deep"] == {"a": [1.5, None]}
    assert found[0]["choice"] in (0, 1, None)


def test_an_empty_key_is_made_and_a_key_of_a_bad_row_counts_too(world):
    write(world / "q.jsonl", [{**ROW, "key": None}, {**ROW, "key": ""}, {**ROW, "key": "mine"}])
    run_batch(settings(world / "q.jsonl"))
    keys = [row["key"] for row in read(world / "out.jsonl")]
    assert keys[2] == "mine"
    assert all(len(key) > 10 for key in keys[:2])
    assert len(set(keys)) == 3
    twice = write(world / "twice.jsonl", [{**ROW, "key": "k"}, {"video": 7, "question": "", "key": "k"}])
    with pytest.raises(DatasetError, match="'k' in row 1 and in row 2"):
        read_table(twice)


def test_a_column_that_is_there_twice_is_an_error(world):
    (world / "q.csv").write_text("video,question,note,note\nv0.mp4,what ?,a,b\n")
    with pytest.raises(DatasetError, match="column 'note' twice"):
        read_table(world / "q.csv")


def test_true_is_no_number_of_seconds(world):
    (sample,) = read_table(write(world / "q.jsonl", [{**ROW, "start": True}])).questions.samples
    assert "'start' is true or false" in sample.broken


def test_patterns_reach_above_the_current_folder(world, monkeypatch):
    (world / "deep").mkdir()
    (world / ".hidden.mp4").touch()
    monkeypatch.chdir(world / "deep")
    found = [sample.video for sample in ask_each("../*.mp4", ["what ?"]).questions.samples]
    assert found == [f"../v{n}.mp4" for n in range(4)]
    monkeypatch.chdir(world)
    assert len(ask_each("./**/*.mp4", ["what ?"]).rows) == 4


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("folder.jsonl", "is a folder, expected a file"),
        ("q.jsonl", "is the table of questions"),
        ("./other/../q.jsonl", "is the table of questions"),
        ("q.csv/out.jsonl", "cannot write q.csv"),
    ],
)
def test_an_output_that_cannot_be_is_said_before_a_model_is_loaded(world, capsys, out, told):
    """The folders of records are there, as after an earlier run."""
    table = write(world / "q.jsonl", [ROW]).read_bytes()
    (world / "q.csv").touch()
    for name in ("folder.jsonl", "folder.jsonl.dyto", "q.jsonl.dyto", "other"):
        (world / name).mkdir()
    assert run(["batch", "q.jsonl", "--out", out, "--model", "no/such/model"], debug=False) == 1
    assert told in " ".join(capsys.readouterr().err.split())
    assert (world / "q.jsonl").read_bytes() == table


def test_names_in_other_alphabets_and_with_spaces_are_found(world):
    name = "ünï côdé/видео 'q' #1 [2].mp4"
    (world / name).parent.mkdir()
    shutil.copy(world / "v0.mp4", world / name)
    write(world / "q.jsonl", [{**ROW, "video": name}])
    assert run(["batch", "q.jsonl", "--out", "ант.jsonl", *WORDS, "--device", "cpu"], debug=False) == 0
    (row,) = read(world / "ант.jsonl")
    assert (row["video"], row["status"]) == (name, "answered")


def test_changed_options_are_refused_and_nothing_is_lost(world, capsys):
    write(world / "q.jsonl", [ROW])
    words = ["batch", "q.jsonl", "--out", "out.jsonl", *WORDS, "--device", "cpu"]
    assert run(words, debug=False) == 0
    before = (world / "out.jsonl").read_bytes()
    assert run([*words, "--max-new-tokens", "2"], debug=False) == 1
    assert "max_new_tokens was 3 and is now 2" in " ".join(capsys.readouterr().err.split())
    assert (world / "out.jsonl").read_bytes() == before
    assert run(words, debug=False) == 0


def test_records_cut_at_any_byte_end_in_the_same_file(world):
    table = write(world / "q.jsonl", [{**ROW, "question": f"what is {n} ?"} for n in range(3)])
    run_batch(settings(table))
    whole = (world / "out.jsonl").read_bytes()
    (rows,) = (world / "out.jsonl.dyto/rows").glob("*.jsonl")
    recorded = rows.read_bytes()
    for cut in sorted({0, 1, len(recorded) - 1, *range(0, len(recorded), len(recorded) // 6)}):
        for path in rows.parent.iterdir():
            path.unlink()
        rows.write_bytes(recorded[:cut])
        (world / "out.jsonl").unlink()
        assert run_batch(settings(table)) == {"answered": 3}
        assert (world / "out.jsonl").read_bytes() == whole
