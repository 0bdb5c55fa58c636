"""`dyto search`."""

import json
import os
import shutil
import sys

import pytest

import dyto
from dyto.cli.app import run
from schemas import keys_of_table
from searching.conftest import folder, seen, towers  # noqa: F401 - fixtures

NOUNS = ("--model", "nouns")


def command(capsys, *words):
    """Run a command in this process: exit code, stdout, stderr."""
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def found(capsys, *words, status=0):
    code, out, err = command(capsys, "search", *words, "--json")
    assert code == status, err
    return json.loads(out)


def test_a_moment_is_printed_with_its_file_and_its_times(capsys, folder):  # noqa: F811
    code, out, err = command(capsys, "search", "a hen", folder, "--top", 2)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith(f" 1  {folder / 'birds.dyto'}  ")
    assert "s, best at " in lines[0]
    assert len(lines) == 3
    assert lines[2] == "searched    36 segments of 3 memories by the eye nouns"


def test_the_document_has_the_keys_of_its_page(capsys, folder, tmp_path):  # noqa: F811
    told = found(capsys, "a red hen", folder, "--save", tmp_path / "new" / "pictures", "--rerank", 2, "--top", 3)
    (hit, second, third) = told["hits"]
    assert set(told) | set(hit) == keys_of_table("search")
    assert (told["query"], told["eye"], told["memories"], told["unread"]) == ("a red hen", "nouns", 3, [])
    assert hit["likelihood"] >= second["likelihood"]
    assert third["likelihood"] is None
    assert told["notes"] == ["the eye nouns knows no 'red', which is left out of the search"]
    assert hit["start"] <= hit["second"] <= hit["end"]
    assert [one["rank"] for one in told["hits"]] == [1, 2, 3]
    with open(hit["picture"], "rb") as file:
        assert file.read(2) == b"\xff\xd8"
    assert len(list((tmp_path / "new" / "pictures").iterdir())) == 3


def test_what_cannot_be_read_is_told_and_the_rest_is_found(capsys, folder, tmp_path):  # noqa: F811
    shutil.copy(folder / "birds.dyto", tmp_path)
    (tmp_path / "cut.dyto").write_bytes((folder / "birds.dyto").read_bytes()[:-9])
    code, out, err = command(capsys, "search", "hen", tmp_path, tmp_path / "gone.dyto")
    assert code == 1
    assert "birds.dyto" in out.splitlines()[0]
    lines = err.splitlines()
    assert sum("cut.dyto" in line for line in lines) == sum("gone.dyto" in line for line in lines) == 1
    assert lines[-1] == "dyto: 2 of 3 memories cannot be read, expected all: see above"
    (tmp_path / "a.dyto").write_bytes(b"DYTO")  # the first of all, which does not say by which model it was made
    told = found(capsys, "hen", tmp_path, "--rerank", 1, "--model", "nouns", status=1)
    assert len(told["unread"]) == 2
    assert told["hits"][0]["likelihood"] > 0.5
    code, _, err = command(capsys, "search", "hen", tmp_path / "cut.dyto")
    assert code == 1
    assert err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no such names")
def test_names_cannot_command_the_terminal_or_break_the_document(capsys, folder, tmp_path):  # noqa: F811
    wild, half = "\x1b[31mred\n [b]file\u202e.dyto", os.fsdecode(b"half \xff.dyto")
    shutil.copy(folder / "birds.dyto", tmp_path / wild)
    shutil.copy(folder / "birds.dyto", tmp_path / half)
    (tmp_path / f"cut {wild}").write_bytes(b"DYTO")
    code, out, err = command(capsys, "search", "hen", tmp_path, "--save", tmp_path / "pictures")
    assert code == 1
    assert not {"\x1b", "\u202e"} & set(out + err)
    assert "is no UTF-8" in err
    assert len(out.splitlines()) == 6
    told = found(capsys, "hen", tmp_path, status=1)
    assert told["hits"][0]["file"] == str(tmp_path / wild)
    assert any(str(tmp_path / half) in error for error in told["unread"])
    (first, *_) = sorted(os.listdir(tmp_path / "pictures"))
    assert first.isprintable()


def test_the_eye_is_that_of_the_memories(capsys, seen, towers):  # noqa: F811
    told = found(capsys, "red", seen)
    assert (told["eye"], told["notes"]) == (towers[0], [])
    told = found(capsys, "red", seen, "--eye", towers[1])
    assert "1 of 1 memories hold no vectors of the eye" in told["notes"][0]


def test_another_model_than_that_of_the_memory_may_have_the_last_word(capsys, folder):  # noqa: F811
    told = found(capsys, "hen", folder / "birds.dyto", "--rerank", 1, "--top", 1, "--model", "tiny")
    assert 0 <= told["hits"][0]["likelihood"] <= 1


def test_a_search_for_nothing_known_is_one_line(capsys, folder):  # noqa: F811
    code, out, err = command(capsys, "search", "a zebrra", folder)
    assert (code, out) == (2, "")
    assert "did you mean 'zebra'" in err
    assert isinstance(dyto.search("hen", [folder], top=1)[0], dyto.Hit)


def test_the_most_relevant_memories_of_a_folder_are_asked(capsys, folder, tmp_path):  # noqa: F811
    code, out, err = command(capsys, "ask", folder, "Is there a hen?", "--top", 1, *NOUNS)
    assert code == 0, err
    (line,) = out.splitlines()
    assert line.startswith(f"{folder / 'birds.dyto'}\t")
    assert "1 of 3 memories are asked" in " ".join(err.split())
    code, out, err = command(capsys, "ask", folder, "What happens?", "--top", 2, *NOUNS)
    assert (code, len(out.splitlines())) == (0, 3), "a question that names nothing is put to all"
    assert "all 3 memories are asked" in " ".join(err.split())


def test_a_damaged_memory_of_a_folder_does_not_stop_the_others(capsys, folder, tmp_path):  # noqa: F811
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    whole = (folder / "birds.dyto").read_bytes()
    for count, top in (("1", 1), ("3", 9)):
        (tmp_path / "aaa.dyto").write_bytes(whole[:-9])
        code, out, err = command(capsys, "ask", tmp_path, "Is there a hen?", "--top", top, *NOUNS)
        assert (code, len(out.splitlines())) == (1, int(count)), err
        assert "aaa.dyto has " in err


def test_a_folder_with_videos_stands_for_its_videos(capsys, folder, clip, tmp_path):  # noqa: F811
    shutil.copy(folder / "birds.dyto", tmp_path)
    shutil.copy(clip, tmp_path / "clip.mp4")
    code, out, err = command(capsys, "ask", tmp_path, "is there a star ?", "--num-frames", 4, "--model", "tiny")
    assert code == 0, err
    assert [line.partition("\t")[0] for line in out.splitlines()] == [str(tmp_path / "clip.mp4")]
