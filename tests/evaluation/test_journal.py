"""The journal: torn lines, full disks, several writers."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from dyto.errors import DatasetError
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.journal import Claims, Journal


def keys(folder):
    return sorted(Journal(folder).refresh())


def write(folder, *rows, rank=lambda row: 0):
    with Journal(folder, rank=rank) as journal:
        journal.append(rows)


def test_a_torn_last_line_counts_as_not_written(tmp_path):
    write(tmp_path, {"key": "a"}, {"key": "b", "text": "é" * 50})
    (path,) = tmp_path.glob("*.jsonl")
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        assert keys(tmp_path) == ["a"]
    path.write_bytes(whole)
    assert keys(tmp_path) == ["a", "b"]


def test_a_damaged_line_is_reported_and_costs_only_itself(tmp_path, caplog):
    write(tmp_path, {"key": "a"}, {"key": "b"}, {"key": "c"})
    (path,) = tmp_path.glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b'"key": "b"', b'"key": \x00\xff"'))
    assert keys(tmp_path) == ["a", "c"]
    assert "damaged line" in caplog.text


def test_a_line_still_being_written_is_read_once_it_is_whole(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"key": "a"}\n{"key": ')
    journal = Journal(tmp_path)
    assert set(journal.refresh()) == {"a"}
    with path.open("a") as file:
        file.write('"b"}\n')
    assert set(journal.refresh()) == {"a", "b"}


def test_of_two_rows_the_better_rank_counts_whoever_wrote_first(tmp_path):
    good, bad = {"key": "a", "status": 0}, {"key": "a", "status": 1}
    for name, order in (("x", (good, bad)), ("y", (bad, good))):
        for row in order:
            write(tmp_path / name, row, rank=lambda r: r["status"])
        journal = Journal(tmp_path / name, rank=lambda r: r["status"])
        journal.refresh()
        assert journal.rows() == {"a": good}
        assert journal.rank_of("a") == 0
        assert journal.rank_of("b") is None


def test_a_full_disk_is_an_error_and_leaves_whole_lines_only(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.append([{"key": "a"}])
    real = os.write

    def half_then_full(file, data):
        if len(data) > 10:
            return real(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(DatasetError, match=r"No space left.*safe.*same command again"):
        journal.append([{"key": "b", "text": "x" * 100}])
    monkeypatch.undo()
    assert keys(tmp_path) == ["a"]
    journal.append([{"key": "c"}])
    journal.close()
    assert keys(tmp_path) == ["a", "c"]
    (path,) = tmp_path.glob("*.jsonl")
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["a", "c"]


def test_the_kernels_own_full_device_is_an_error(tmp_path, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    journal = Journal(tmp_path)
    monkeypatch.setattr(journal, "_file", os.open("/dev/full", os.O_WRONLY))
    monkeypatch.setattr(os, "ftruncate", lambda file, size: None)
    with pytest.raises(DatasetError, match="No space left"):
        journal.append([{"key": "a"}])


def test_a_folder_that_may_not_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        write(tmp_path / "file" / "rows", {"key": "a"})


ROW = {
    **{"key": "000000-ab", "place": 0, "video_name": "v", "question_id": "1", "question": "q ?", "answer": "a"},
    **{"groups": {"type": "x"}, "status": "answered", "reason": "", "pred": "a", "choice": None},
}
DAMAGED = {
    **{f"no {name}": {key: value for key, value in ROW.items() if key != name} for name in ROW},
    "an unknown status": ROW | {"status": "lost"},
    "a status that is a list": ROW | {"status": ["answered"]},
    "a place that is text": ROW | {"place": "0"},
    "groups that are a list": ROW | {"groups": ["x"]},
    "a group that is a number": ROW | {"groups": {"type": 1}},
    "an answer that is none": ROW | {"pred": None},
    "two answers to one question": ROW | {"pred": ["a", "b"]},
    "one answer to two questions": ROW | {"question": ["a ?", "b ?"], "pred": ["a"]},
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_line_that_is_no_row_of_a_run_is_passed_over_and_done_again(tmp_path, caplog, damage):
    folders = RunFolders(tmp_path, tmp_path, tmp_path, tmp_path)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/x.jsonl").write_text(json.dumps(DAMAGED[damage]) + "\n")
    with folders.journal() as journal:
        assert not journal.refresh()
        assert "damaged line" in caplog.text
        journal.append([ROW])
        assert set(journal.refresh()) == {ROW["key"]}
        assert journal.rows()[ROW["key"]] == ROW  # type: ignore[index]


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"key": "x"}).encode("utf-16"),
        json.dumps({"key": "x"}).encode("utf-16-le"),
        json.dumps({"key": "x"}).encode("utf-32"),
        b"[" * 200_000 + b"]" * 200_000,
        b'{"key": "x", "deep": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"key": "x\xff"}',
        b'{"key": "x"\0}',
        b'{"key": 5}',
        b'["key"]',
        b"5",
        b"null",
        b"{}",
        b"",
        b'{"key": "x", "n": ' + b"9" * 6000 + b"}",
    ],
    ids=range(14),
)
def test_a_line_of_any_bytes_costs_only_itself(tmp_path, raw, caplog):
    (tmp_path / "x.jsonl").write_bytes(b'{"key": "a"}\n' + raw + b'\n{"key": "b"}\n')
    assert {"a", "b"} <= set(keys(tmp_path))
    assert "x" not in keys(tmp_path)
    assert "damaged line" in caplog.text


def test_what_is_no_file_in_the_folder_is_passed_over_and_said_once(tmp_path, caplog):
    write(tmp_path, {"key": "a"})
    (tmp_path / "x.jsonl").mkdir()
    (tmp_path / "y.jsonl").symlink_to(tmp_path / "gone")
    (tmp_path / "z.jsonl").symlink_to(tmp_path / "z.jsonl")
    journal = Journal(tmp_path)
    assert set(journal.refresh()) == {"a"}
    assert len(caplog.records) == 3
    assert set(journal.refresh()) == {"a"}
    assert sorted(record.args[0].name for record in caplog.records) == ["x.jsonl", "y.jsonl", "z.jsonl"]


def test_half_a_character_is_written_and_read_again(tmp_path):
    write(tmp_path, {"key": "a", "text": "half \ud800"})
    journal = Journal(tmp_path)
    journal.refresh()
    assert journal.rows() == {"a": {"key": "a", "text": "half \ud800"}}


def test_asking_again_deletes_journals_and_nothing_else(tmp_path):
    folders = RunFolders(tmp_path, tmp_path, tmp_path, tmp_path)
    with folders.journal() as journal:
        journal.append([ROW, ROW | {"key": "000001-cd", "place": 1, "status": "failed", "pred": None}])
    (tmp_path / "rows/x.jsonl").mkdir()
    assert folders.forget_unanswered() == 1
    assert (tmp_path / "rows/x.jsonl").is_dir()
    assert set(folders.journal().refresh()) == {ROW["key"]}


def test_rows_reach_the_disk_now_and_then_and_at_the_end(tmp_path, monkeypatch):
    synced, clock = [], [100.0]
    monkeypatch.setattr(os, "fsync", synced.append)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Journal(tmp_path / "new/rows") as journal:
        journal.sync()
        assert not synced, "nothing is written"
        journal.append([])
        assert not (tmp_path / "new").exists(), "no row, no folder"
        for seconds, times in ((0.0, 0), (2.0, 0), (0.1, 1), (1.9, 1), (0.2, 2), (104.5, 3)):
            clock[0] += seconds
            journal.append([{"key": str(seconds)}])
            assert len(synced) == times, seconds
    assert len(synced) == 4
    journal.close()
    assert len(synced) == 4
    assert len({path.name for path in (tmp_path / "new/rows").iterdir()}) == 1
    assert f"-{os.getpid()}-" in next((tmp_path / "new/rows").iterdir()).name


def test_lines_are_read_once(tmp_path, monkeypatch):
    write(tmp_path, {"key": "a", "text": "x" * 300}, {"key": "b"})
    seen = []
    journal = Journal(tmp_path, rank=lambda row: seen.append(row["key"]) or 0)
    journal.refresh()
    write(tmp_path, {"key": "c"})
    journal.refresh()
    assert seen == ["a", "b", "c"]
    monkeypatch.setattr(Path, "open", None)
    assert set(journal.refresh()) == {"a", "b", "c"}, "files that have not grown are not opened"


def test_of_two_equal_rows_the_smaller_line_counts_whatever_the_order(tmp_path):
    for order in ([1, 2], [2, 1]):
        folder = tmp_path / str(order[0])
        for number in order:
            write(folder, {"key": "a", "n": number})
        journal = Journal(folder)
        journal.refresh()
        assert journal.rows()["a"]["n"] == 1


def test_a_file_that_grows_is_read_on_from_where_it_ended(tmp_path):
    seen = []
    journal = Journal(folder=tmp_path, rank=lambda row: seen.append(row["key"]) or 0)
    for key in "abcde":
        with (tmp_path / "x.jsonl").open("a") as file:
            file.write(json.dumps({"key": key}) + "\n")
        journal.refresh()
    assert seen == list("abcde")


def test_rows_have_one_rank_where_none_is_given(tmp_path):
    write(tmp_path, {"key": "a"})
    journal = Journal(tmp_path)
    journal.refresh()
    assert journal.rank_of("a") == 0


def test_a_file_that_cannot_be_cut_back_is_left_and_another_one_begun(tmp_path, monkeypatch):
    def refuse(*words):
        raise OSError(errno.EIO, "Input/output error")

    with Journal(tmp_path) as journal:
        journal.append([{"key": "a"}])
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", refuse)
            broken.setattr(os, "ftruncate", refuse)
            with pytest.raises(DatasetError, match="Input/output error"):
                journal.append([{"key": "b"}])
        journal.append([{"key": "c"}])
        assert len(list(tmp_path.iterdir())) == 2
    assert keys(tmp_path) == ["a", "c"]


def test_a_disk_that_does_not_take_what_was_written_is_an_error(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(errno.EIO, "Input/output error")

    with Journal(tmp_path) as journal:
        journal.append([{"key": "a"}])
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", refuse)
            with pytest.raises(DatasetError, match="Input/output error"):
                journal.sync()


def test_files_are_written_for_all_whom_the_umask_lets_in(tmp_path):
    before = os.umask(0)
    try:
        write(tmp_path, {"key": "a"})
        with Claims(tmp_path / "lock") as claims:
            assert claims.take(index=1)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666}
