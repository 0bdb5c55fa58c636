"""Commands where POSIX is missing, as on Windows: the files say the same, and what is not there is said once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dyto.certifying import limit
from dyto.cli.app import run
from dyto.demo import places
from dyto.system import files
from dyto.video import channel, guarded, sample_frames
from evaluation.world import write_questions

from conftest import write_clip

BOOT = Path(__file__).parent / "no_posix.py"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    (folder / "videos").mkdir()
    write_clip(folder / "videos/v0.mp4")
    shutil.copy(folder / "videos/v0.mp4", folder / "videos/v1.mp4")
    write_questions(folder / "qa.json", ["v0.mp4", "v1.mp4"], 4)
    return folder


def start(world, *words, locks=False):
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "LOCKS_LIKE_WINDOWS": str(int(locks))}
    return subprocess.Popen(
        [sys.executable, BOOT, *words], cwd=world, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def said(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def rows(folder):
    (path,) = folder.rglob("predictions.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


OPTIONS = ("--qa-file", "qa.json", "--video-dir", "videos", "--num-frames", "4")


@pytest.mark.soak
def test_ask_answers(world):
    out, _ = said(start(world, "ask", "videos/v0.mp4", "what is shown ?", "--json"))
    assert json.loads(out)["tokens"]["used"] > 0


def test_eval_gives_the_rows_that_it_gives_elsewhere_and_says_what_is_missing(world, monkeypatch):
    _, err = said(start(world, "eval", "nextqa", *OPTIONS, "--out", "without"))
    monkeypatch.chdir(world)
    assert run(["eval", "nextqa", *OPTIONS, "--out", "posix"], debug=True) == 0
    assert err.count("no file locks on this system") == 1
    assert err.count("videos are read unguarded on this system") == 1
    assert rows(world / "without") == rows(world / "posix")


@pytest.mark.soak
def test_two_comparisons_at_once_ask_everything_once_where_locks_are_those_of_windows(world):
    words = ("compare", "nextqa", *OPTIONS, "--strategies", "dyto,uniform", "--budgets", "40", "--out", "both")
    errors = [said(one)[1] for one in [start(world, *words, locks=True) for _ in range(2)]]
    assert not any("no file locks" in err for err in errors)
    recorded = [line for path in (world / "both").rglob("rows/*.jsonl") for line in path.read_text().splitlines()]
    keys = [json.loads(line)["key"] for line in recorded]
    assert len(keys) == len(set(keys)) == 3 * 4, "two strategies, and blind"


def test_without_a_timer_a_limit_is_none_and_that_is_said_once(monkeypatch, caplog):
    limit._say_unlimited.cache_clear()
    monkeypatch.delattr(limit.signal, "SIGALRM")
    for _ in range(2):
        with limit.time_limit(0.001):
            sum(range(100_000))
    with limit.time_limit(None):
        pass
    assert caplog.text.count("no timer that interrupts a call") == 1


def test_reading_unguarded_is_said_once_and_gives_the_same_frames(world, monkeypatch, caplog):
    path = world / "videos/v0.mp4"
    expected = sample_frames(path, num_frames=3, guarded=True)
    guarded._say_unguarded.cache_clear()
    monkeypatch.setattr(guarded, "AVAILABLE", False)
    for _ in range(2):
        assert (sample_frames(path, num_frames=3, guarded=True).data == expected.data).all()
    assert caplog.text.count("videos are read unguarded") == 1


@pytest.mark.parametrize("name", ["fcntl", "resource"])
def test_without_the_modules_of_posix_no_reader_is_started(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert not channel._is_available()


class Used(PermissionError):
    """What Windows says of a file that somebody reads."""

    winerror = 32


def test_a_file_that_is_read_is_replaced_when_its_reader_is_done(tmp_path, monkeypatch):
    target, tries, real = tmp_path / "file", [], os.replace

    def replace(source, destination):
        tries.append(source)
        if len(tries) < 3:
            raise Used
        real(source, destination)

    monkeypatch.setattr(os, "replace", replace)
    with files.replacing(target) as half:
        half.write_text("whole")
    assert target.read_text() == "whole"
    assert len(tries) == 3


def test_a_file_that_stays_in_use_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def replace(source, destination):
        raise Used

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(files, "READERS_SECONDS", 0.05)
    with pytest.raises(PermissionError), files.replacing(tmp_path / "file") as half:
        half.write_text("whole")
    assert not list(tmp_path.iterdir())


def test_on_windows_no_process_is_asked_whether_it_runs(monkeypatch):
    monkeypatch.setattr(places.os, "name", "nt")
    monkeypatch.setattr(places.os, "kill", lambda *words: pytest.fail("it would be interrupted"))
    assert places._runs(4242)
