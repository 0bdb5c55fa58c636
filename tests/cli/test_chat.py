"""`dyto chat`: at a prompt and through a pipe, with commands, and nothing that fails ends it."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from dyto.cli.app import run
from dyto.video import container as _container

QUICK = ["--max-new-tokens", "3", "--num-frames", "6"]


@pytest.fixture
def say(capsys, clip, monkeypatch):
    """Send lines through a pipe: exit code, stdout, stderr."""

    def chat(*lines, video=clip, options=()):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = run(["chat", str(video), *QUICK, *options], debug=False)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return chat


def test_each_line_is_a_question_and_an_empty_one_is_none(say, capsys, clip):
    code, out, err = say("is there a star ?", "", "   ", "what is shown ?")
    assert code == 0
    alone = []
    for question in ("is there a star ?", "what is shown ?"):
        run(["ask", str(clip), question, *QUICK], debug=False)
        alone.append(capsys.readouterr().out.splitlines()[0])
    assert out.splitlines() == alone
    assert "tiny on cpu" in err
    assert err.count("reads one question at a time") == 1
    assert err.count("synthetic shapes only") == 1


def test_twenty_questions_open_the_file_as_often_as_one(say, monkeypatch):
    opened, opening = [], _container.av.open

    def counting(*args, **options):
        opened.append(args[0])
        return opening(*args, **options)

    monkeypatch.setattr(_container.av, "open", counting)
    assert say("what ?", options=["--without", "parallel"])[0] == 0
    once = len(opened)
    code, out, _ = say(*[f"is there a star at {number} ?" for number in range(20)], options=["--without", "parallel"])
    assert code == 0
    assert len(out.splitlines()) == 20
    assert len(opened) == 2 * once


def test_commands_show_what_was_read_and_read_it_anew(say):
    code, out, err = say(
        "is there a star ?", "/frames", "/evidence", "/budget 72", "/strategy uniform", "what ?", "/help", "/quit", "no"
    )
    assert (code, "dyto: " in err) == (0, False)
    assert re.search(r"^ +\d+\.\ds  frame \d+  \d+ tokens?$", out, re.MULTILINE)
    assert re.findall(r"^tokens +216 -> (\d+)", out, re.MULTILINE)[1:] == ["72", "72"]
    assert "evidence    " in out
    assert "/strategy NAME" in out
    assert out.count("frame ") >= 4
    assert not out.endswith("no\n"), "nothing after /quit is read"


WRONG = [
    ("/frmes", "unknown command '/frmes': did you mean '/frames'?"),
    ("/\x1b[31m", "unknown command"),
    ("/budget", "expected a number of tokens"),
    ("/budget 0", "expected at least 1"),
    ("/budget ten", "expected a number of tokens"),
    ("/budget 3", "raise the budget to at least 36"),
    ("/strategy", "unknown strategy ''"),
    ("/strategy unifrm", "did you mean 'uniform'?"),
    ("/strategy evil.py:Mine", "unknown strategy 'evil.py:Mine'"),
    ("/evidence", "ask a question first"),
    ("what is <image> ?", "marks the video's place"),
    ("and " * 3000, "but the context is 2048"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line[:20] for line, _ in WRONG])
def test_what_is_wrong_is_one_line_and_the_conversation_goes_on(say, tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('this was run')\n")
    code, out, err = say(line, "is there a star ?", options=["--strategy", "uniform", "--budget", "72"])
    assert code == 1, "whoever sent the lines learns that one was wrong"
    told = [text for text in err.splitlines() if text.startswith("dyto: ")]
    assert len(told) == 1
    assert message in told[0]
    assert "\x1b" not in err
    assert len(out.splitlines()) == 1, "the question after it is answered, with the strategy of before"


def test_bytes_that_are_no_text_are_an_error_of_their_line(clip, capsys, monkeypatch):
    lines = io.TextIOWrapper(
        io.BytesIO("\ufeffis there a star ?\n".encode() + b"caf\xe9 ?\nwhat ?\n"), encoding="utf-8"
    )
    monkeypatch.setattr("sys.stdin", lines)
    code = run(["chat", str(clip), *QUICK], debug=False)
    out, err = capsys.readouterr()
    assert code == 1
    assert len(out.splitlines()) == 2
    assert "no UTF-8 text" in err


def test_an_answer_commands_no_terminal(say, monkeypatch):
    def hostile(model, prefix, after, **options):
        yield "look \x1b]0;owned\x07"
        yield "\x1b[2J here\r"
        return "look here"

    monkeypatch.setattr("dyto.models.generation.answering.stream_text", hostile)
    code, out, _ = say("what ?")
    assert code == 0
    assert not {"\x1b", "\x07", "\r"} & set(out)
    assert out.startswith("look ")


def test_an_answer_that_breaks_off_is_told_on_a_line_of_its_own(say, monkeypatch):
    def broken(model, prefix, after, **options):
        yield "look"
        raise RuntimeError("out of memory")

    monkeypatch.setattr("dyto.models.generation.answering.stream_text", broken)
    code, out, err = say("what ?", "who ?")
    assert code == 1
    assert out == "look\nlook\n"
    assert err.count("dyto: RuntimeError: out of memory") == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda path: None, "does not exist", id="missing"),
        pytest.param(lambda path: path.touch(), "is empty", id="empty"),
        pytest.param(lambda path: path.write_text("no video"), "cannot be opened", id="a text"),
        pytest.param(lambda path: path.mkdir(), "no image", id="an empty folder"),
    ],
)
def test_a_video_that_cannot_be_read_ends_it_before_a_question(say, tmp_path, make, said):
    make(tmp_path / "x.mp4")
    code, out, err = say("what ?", video=tmp_path / "x.mp4")
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_strategy_that_reads_the_question_is_encoded_with_each(say):
    code, out, err = say("/frames", "is there a star ?", "/frames", options=["--strategy", "query"])
    assert code == 1
    assert "the strategy reads the question first" in err
    assert "frame " in out


posix = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals and signals as POSIX has them")


def environment():
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm", "COLUMNS": "120", "OMP_NUM_THREADS": "1",
    }  # fmt: skip


@posix
def test_a_pipe_that_ends_ends_the_command_and_an_interrupt_leaves_no_traceback(clip):
    words = [sys.executable, "-m", "dyto", "chat", str(clip), *QUICK]
    child = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    child.stdin.write("is there a star ?\n")
    child.stdin.flush()
    assert child.stdout.readline().strip(), "it answers before the pipe ends"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "dyto: interrupted" in err
    assert "Traceback" not in err


class Terminal:
    """The command in a terminal of tmux, as a person sees it."""

    def __init__(self, words, socket):
        self._tmux = ["tmux", "-S", str(socket), "-f", os.devnull]
        line = " ".join(f"'{word}'" for word in words)
        size = ["-x", "120", "-y", "40"]
        self._call("new-session", "-d", *size, f"{line}; echo left with $?; sleep 60")

    def _call(self, *words):
        return subprocess.run([*self._tmux, *words], env=environment(), check=True, capture_output=True, text=True)

    def type(self, *keys):
        self._call("send-keys", *keys)

    def wait_for(self, pattern, seconds=60):
        """Return the screen as soon as it shows a pattern."""
        end = time.monotonic() + seconds
        while not re.search(pattern, screen := self._call("capture-pane", "-p").stdout, re.MULTILINE):
            assert time.monotonic() < end, screen
            time.sleep(0.1)
        return screen

    def close(self):
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux")
def test_a_conversation_in_a_terminal(clip, tmp_path):
    terminal = Terminal([sys.executable, "-m", "dyto", "chat", clip, *QUICK, "--model", "tiny"], tmp_path / "socket")
    try:
        terminal.wait_for(r"^> $|^>\s*$")
        terminal.type("is there a staz", "BSpace", "r ?", "Enter")
        screen = terminal.wait_for(r"^> is there a star \?\n\S.*\n> ?$")
        assert "/help lists the commands" in screen
        terminal.type("/frmes", "Enter")
        terminal.wait_for(r"did you mean '/frames'\?.*\n(.*\n)?> ?$")
        terminal.type("Up", "Up", "Enter")
        terminal.wait_for(r"(> is there a star \?\n\S.*\n(.*\n)*){2}> ?$")
        terminal.type("/frames", "Enter")
        terminal.wait_for(r"^tokens +216 -> .*\n> ?$")  # what is typed before the prompt stands may be lost
        terminal.type("C-d")
        terminal.wait_for(r"^left with 0$")
    finally:
        terminal.close()


@pytest.mark.soak
@posix
def test_an_interrupt_at_a_prompt_ends_it(clip):
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    words = [sys.executable, "-m", "dyto", "chat", str(clip), *QUICK, "--model", "tiny"]
    process = subprocess.Popen(words, stdin=child, stdout=child, stderr=child, env=environment())
    os.close(child)
    seen, told = b"", False
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:  # as macOS says it
            break
        seen += piece
        if seen.endswith(b"> ") and not told:
            process.send_signal(signal.SIGINT)
            told = True
    assert process.wait(20) == 130
    os.close(parent)
    assert seen.endswith(b"> \r\ndyto: interrupted\r\n")
    assert b"Traceback" not in seen
