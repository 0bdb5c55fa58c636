"""Several videos and questions in one command: a line each, in order, whatever is wrong with one of them."""

import errno
import io
import json
import os
import shutil

import pytest
from PIL import Image
from rich.console import Console

from dyto.cli.app import run
from dyto.models.generation import answering
from dyto.models.loading import load
from dyto.synthetic.videos import make_video
from dyto.video.paths import videos_in
from schemas import SOMETIMES, keys_of_table

QUICK = ["--max-new-tokens", "3", "--num-frames", "6"]


def dyto(capsys, *words):
    """Run a command in this process: exit code, stdout, stderr."""
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def folder(tmp_path, clip, monkeypatch):
    """Good files and broken ones: clip2, clip10, a text, an empty file, and what is no video."""
    home = tmp_path / "films"
    home.mkdir()
    for name in ("clip2.mp4", "clip10.MP4"):
        shutil.copy(clip, home / name)
    (home / "clip3.mkv").write_text("not a video")
    (home / "clip4.mp4").touch()
    (home / "notes.txt").write_text("no video")
    (home / ".hidden.mp4").write_text("hidden")
    (home / "more").mkdir()
    monkeypatch.chdir(tmp_path)
    return home


def alone(captured, clip, question, *words):
    """The document that a command prints about the clip alone."""
    code, out, _ = dyto(captured, "ask", clip, question, "--json", *words, *QUICK)
    assert code == 0
    return json.loads(out)


def test_each_video_is_a_line_in_the_order_given(capsys, clip, tmp_path):
    other = tmp_path / "other.mp4"
    shutil.copy(clip, other)
    code, out, err = dyto(capsys, "ask", other, clip, other, "is there a star ?", *QUICK)
    text = alone(capsys, clip, "is there a star ?")["answer"]
    assert code == 0
    assert out == f"{other}\t{text}\n{clip}\t{text}\n{other}\t{text}\n"
    assert "3 videos, asking: 3/3" in err
    assert err.count("synthetic shapes only") == 1


def test_a_folder_of_videos_stands_for_its_videos_and_the_broken_do_not_stop_the_others(capsys, folder):
    code, out, err = dyto(capsys, "ask", "films", "is there a star ?", *QUICK)
    assert code == 1
    assert [line.partition("\t")[0] for line in out.splitlines()] == ["films/clip2.mp4", "films/clip10.MP4"]
    assert "films/clip3.mkv: clip3.mkv cannot be opened" in err
    assert "films/clip4.mp4 is empty" in err
    assert "2 of 4 questions got no answer" in err
    assert "hidden" not in err
    assert "Traceback" not in err


def test_json_is_a_document_a_line_for_each_video_and_question(capfd, folder):
    (folder.parent / "asked.txt").write_text("is there a star ?\nwhat is shown ?\n")
    code, out, _ = dyto(capfd, "ask", "films", "--each", "asked.txt", "--json", *QUICK)
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    names = ("clip2.mp4", "clip3.mkv", "clip4.mp4", "clip10.MP4")
    asked = ("is there a star ?", "what is shown ?")
    assert [(one["video"], one["question"]) for one in found] == [(f"films/{n}", q) for n in names for q in asked]
    assert [one["status"] for one in found] == ["answered"] * 2 + ["undecodable"] * 4 + ["answered"] * 2
    keys = keys_of_table("ask") - SOMETIMES
    assert set(found[0]) == {"video", "question", "status"} | keys
    assert set(found[2]) == {"video", "question", "status", "error"}
    assert [one["answer"] for one in found[:2]] == [
        alone(capfd, "films/clip2.mp4", question)["answer"] for question in asked
    ]


def test_each_question_of_a_file_is_a_line_and_the_video_is_read_once(capsys, clip, tmp_path, monkeypatch):
    asked = tmp_path / "asked.txt"
    asked.write_bytes("\ufeffis there a star ?\r\n\r\n  what is shown ?  \rwhich ?".encode())
    prefills = []
    before = answering.Answerer._prefix

    def counting(self, one, scaled):
        prefills.append(id(one.tokens))
        return before(self, one, scaled)

    monkeypatch.setattr(answering.Answerer, "_prefix", counting)
    code, out, err = dyto(capsys, "ask", clip, "--each", asked, *QUICK)
    assert code == 0
    questions = ["is there a star ?", "what is shown ?", "which ?"]
    assert len(set(prefills)) == 1
    assert out == "".join(f"{clip}\t{question}\t{alone(capsys, clip, question)['answer']}\n" for question in questions)
    assert "3 questions, asking: 3/3" in err


def test_one_question_that_cannot_be_asked_does_not_cost_the_others(capsys, clip, tmp_path):
    asked = tmp_path / "asked.txt"
    asked.write_text("is there a star ?\n" + "and " * 3000 + "?\nwhat is shown ?\n")
    code, out, err = dyto(capsys, "ask", clip, "--each", asked, *QUICK)
    assert code == 1
    assert [line.split("\t")[1] for line in out.splitlines()] == ["is there a star ?", "what is shown ?"]
    assert "but the context is 2048" in err
    assert "1 of 3 questions got no answer" in err


def test_a_folder_with_pictures_stays_one_video_and_says_what_it_leaves_out(capsys, tmp_path, clip):
    for number in range(3):
        Image.new("RGB", (20, 16), (number * 40, 0, 0)).save(tmp_path / f"frame{number}.png")
    words = ["ask", tmp_path, "what ?", "--json", "--max-new-tokens", 1]
    code, alone, err = dyto(capsys, *words)
    assert code == 0
    assert "is read as one video" not in err
    shutil.copy(clip, tmp_path / "film.mp4")
    code, mixed, err = dyto(capsys, *words)
    assert code == 0
    assert json.loads(mixed)["tokens"] == json.loads(alone)["tokens"]
    assert "is read as one video of its pictures (3); to ask about its video files (1), name them" in err


def test_options_are_shown_by_letter_and_words(capsys, clip):
    code, out, _ = dyto(capsys, "ask", clip, clip, "which ?", "--choices", "a star", "a ring", *QUICK)
    assert code == 0
    chosen = alone(capsys, clip, "which ?", "--choices", "a star", "a ring")["choice"]
    assert out == 2 * f"{clip}\t{['(A) a star', '(B) a ring'][chosen]}\n"


def test_evidence_is_part_of_each_document(capfd, tmp_path):
    film = tmp_path / "film.mp4"
    make_video(film, (9,), "mixed")
    code, out, _ = dyto(capfd, "ask", film, film, "is there a star ?", "--json", "--evidence", *QUICK)
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert [len(one["evidence"]) for one in found] == [len(one["keyframes"]) for one in found]
    assert found[0]["evidence"]


@pytest.mark.parametrize("strategy", ["query", "plus-query"])
def test_a_strategy_that_reads_the_question_answers_as_alone(capsys, clip, tmp_path, strategy):
    asked = tmp_path / "asked.txt"
    asked.write_text("is there a star ?\nis there a ring ?\n")
    code, out, _ = dyto(capsys, "ask", clip, "--each", asked, "--json", "--strategy", strategy, *QUICK)
    assert code == 0
    for line in map(json.loads, out.splitlines()):
        by_itself = alone(capsys, clip, line["question"], "--strategy", strategy)
        assert (line["answer"], line["keyframes"]) == (by_itself["answer"], by_itself["keyframes"])


NAMES = ["two\nlines.mp4", "tab\there.mp4", "red \x1b[31m.mp4", "--json.mp4", "-.mp4", "[red] :smile:.mp4", " .mp4"]


@pytest.mark.skipif(os.name != "posix", reason="names that only POSIX allows")
def test_names_of_files_are_one_line_and_command_no_terminal(capfd, clip, tmp_path):
    odd = [*NAMES, os.fsdecode(b"no text \xff.mp4")]
    (tmp_path / "films").mkdir()
    for name in odd:
        shutil.copy(clip, tmp_path / "films" / name)
    (tmp_path / "films" / "broken \x1b[2J\n.mp4").write_text("no video")
    code, out, err = dyto(capfd, "ask", tmp_path / "films", "what ?", *QUICK)
    assert code == 1
    assert len(out.splitlines()) == len(odd)
    assert all(line.count("\t") == 1 for line in out.splitlines())
    assert "\x1b" not in out + err
    assert "broken" in err
    code, out, _ = dyto(capfd, "ask", tmp_path / "films", "what ?", "--json", *QUICK)
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == len(odd) + 1
    assert {os.path.basename(one["video"]) for one in found} >= set(odd)


def test_an_answer_is_one_line_and_commands_no_terminal(capsys, clip, monkeypatch):
    def hostile(self, *args, **options):
        return ["look\n\x1b]0;owned\x07\there\r\n"] * len(args[1])

    monkeypatch.setattr("dyto.models.generation.generating.Generates.generate", hostile)
    code, out, _ = dyto(capsys, "ask", clip, clip, "what ?", *QUICK)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert not {"\x1b", "\x07", "\r"} & set(out)


BAD = [
    (["CLIP", "MISSING"], 2, "Missing argument", "a single word is a video without a question"),
    (["CLIP", "CLIP"], 2, "in the place of the question", "the question was forgotten"),
    (["CLIP", "CLIP", ""], 2, "question is empty", "no question"),
    (["--each", "ASKED"], 2, "Missing argument", "no video"),
    (["CLIP", "--each", "BLANK"], 2, "holds no question", "no line"),
    (["CLIP", "--each", "GONE"], 2, "cannot be read (No such file", "no file"),
    (["CLIP", "--each", "FOLDER"], 2, "cannot be read (Is a directory)", "a folder"),
    (["CLIP", "--each", "LATIN"], 1, "is not utf-8 text (byte 0xe9 in line 2)", "no UTF-8"),
    (["CLIP", "--each", "MARKED"], 2, "line 2: the question holds '<image>'", "a mark"),
    (["CLIP", "what ?", "--encoding", "latin-1"], 2, "--encoding without --each", "an encoding of nothing"),
    (["CLIP", "CLIP", "what ?", "--dry-run"], 2, "found --dry-run with several", "a dry run"),
    (["CLIP", "CLIP", "what ?", "--evidence"], 2, "add --json", "evidence for people"),
    (["CLIP", "CLIP", "what ?", "--save-keyframes", "x.png"], 2, "--save-keyframes with several", "one picture"),
    (["CLIP", "CLIP", "what ?", "--model", "tny"], 2, "did you mean 'tiny'", "a model"),
]


@pytest.mark.skipif(os.name != "posix", reason="errors in the words of POSIX")
@pytest.mark.parametrize(("words", "status", "message"), [one[:3] for one in BAD], ids=[one[3] for one in BAD])
def test_wrong_usage_is_one_line(capsys, clip, tmp_path, monkeypatch, words, status, message):
    monkeypatch.chdir(tmp_path)
    files = {"ASKED": b"what ?", "BLANK": b"\xef\xbb\xbf\n \r\n", "LATIN": b"who\ncaf\xe9 ?\n", "MARKED": b"a\n<image>"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "FOLDER").mkdir()
    words = [str(clip) if word == "CLIP" else word for word in words if word != "MISSING"]
    code, out, err = dyto(capsys, "ask", *words)
    assert (code, out) == (status, "")
    assert message in err.replace("\n", " ")


def test_a_folder_that_cannot_be_listed_is_a_line(capsys, clip, tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir()
    listed = os.scandir

    def refused(path="."):  # root may list what others may not
        if str(path) == str(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    monkeypatch.setattr(os, "listdir", lambda path=".": [entry.name for entry in refused(path)])
    code, out, err = dyto(capsys, "ask", clip, closed, "what ?", *QUICK)
    assert code == 1
    assert len(out.splitlines()) == 1
    assert "closed" in err


def test_bytes_of_a_question_file_are_read_in_its_encoding(capfd, clip, tmp_path):
    asked = tmp_path / "asked.txt"
    asked.write_bytes("café ?".encode("latin-1"))
    code, out, _ = dyto(capfd, "ask", clip, "--each", asked, "--encoding", "latin-1", "--json", *QUICK)
    assert code == 0
    assert json.loads(out)["question"] == "café ?"


def test_no_model_is_loaded_where_no_video_can_be_read(capfd, folder, monkeypatch):
    monkeypatch.setattr(load, "load_model", None)
    monkeypatch.setattr("dyto.pipeline.load_model", None)
    code, out, err = dyto(capfd, "ask", "films/clip3.mkv", "gone.mp4", "what ?")
    assert (code, out) == (1, "")
    assert err.count("dyto: ") == 3
    code, out, _ = dyto(capfd, "ask", "films/clip3.mkv", "gone.mp4", "what ?", "--json")
    assert code == 1
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["undecodable"] * 2


def test_the_videos_of_a_folder_are_in_natural_order_and_pictures_are_counted(folder):
    videos, pictures = videos_in(folder)
    assert [path.name for path in videos] == ["clip2.mp4", "clip3.mkv", "clip4.mp4", "clip10.MP4"]
    assert pictures == 0
    (folder / "poster.JPG").touch()
    assert videos_in(folder)[1] == 1


def test_progress_is_a_bar_on_a_terminal_and_leaves_answers_and_no_bar(capsys, clip, monkeypatch):
    seen = io.StringIO()
    terminal = Console(file=seen, force_terminal=True, width=120, soft_wrap=True, markup=False)
    monkeypatch.setattr("dyto.cli.several.err", terminal)
    code, out, err = dyto(capsys, "ask", clip, clip, "what ?", *QUICK)
    assert code == 0
    assert "2 videos, asking" in seen.getvalue()
    assert "1/2" in seen.getvalue()
    assert len(out.splitlines()) == 2
    erased = "\x1b[2K"  # the last thing that is done with the bar
    assert seen.getvalue().rpartition("asking")[2].count(erased) >= 1
    assert "asking" not in err
