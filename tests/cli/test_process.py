"""How a command's process ends: interrupts at any moment, hanging code, and streams that cannot be written to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dyto.__main__ import _let_idle_threads_sleep

HANGS = """
import sys, time

def command():
    begun = False
    while True:  # as foreign code that returns to Python only when it is done
        try:
            if not begun:
                begun = True
                print("begun", file=sys.stderr, flush=True)
            time.sleep(60)
        except BaseException:
            pass
"""
LISTS = ["-m", "dyto", "list", "prompts"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def start(*words, **options):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.PIPE, text=True, env=env, **options)


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0])
def test_an_interrupt_while_a_command_is_imported_leaves_no_traceback(seconds, clip):
    # The marker is printed before the first line of our own code; before it, the interpreter itself is starting.
    begin = "import sys; sys.stderr.write('x'); sys.stderr.flush(); sys.argv[0] = 'dyto'; from dyto.__main__ import main; main()"
    child = start("-c", begin, "ask", clip, "what is there ?", stdout=subprocess.PIPE)
    assert child.stderr.read(1) == "x"
    time.sleep(seconds)
    child.send_signal(signal.SIGINT)
    before = time.monotonic()
    _, err = child.communicate(timeout=20)
    assert time.monotonic() - before < 4
    assert "Traceback" not in err
    assert child.returncode == 130


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_no_exception_goes_through_a_half_imported_torch(number, said, tmp_path):
    """It would meet torch's C++ code, which aborts."""
    (tmp_path / "torch.py").write_text(
        "import os, signal, sys\n"
        "try:\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    print('went on')\n"
        "except BaseException as err:\n"
        "    print(type(err))\n"
        "sys.stdout.flush()\n"
    )
    (tmp_path / "asks.py").write_text("def command():\n    import torch\n    return 0\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from dyto.__main__ import start; start('asks', 'command')"
    )
    child = start("-c", code, stdout=subprocess.PIPE)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (128 + number, "")
    assert err == f"dyto: {said}\n"


@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_command_that_hangs_is_ended_all_the_same(number, said, tmp_path):
    (tmp_path / "hangs.py").write_text(HANGS)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from dyto.__main__ import start; start('hangs', 'command')"
    )
    child = start("-c", code)
    assert child.stderr.readline() == "begun\n"
    child.send_signal(number)
    before = time.monotonic()
    _, err = child.communicate(timeout=20)
    assert time.monotonic() - before < 4  # two seconds where nothing else shares the cores
    assert err == f"dyto: {said}\n"
    assert child.returncode == 128 + number


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ("10000", "0", None)),
        ({"GOMP_SPINCOUNT": "7"}, ("7", "0", None)),
        ({"OMP_WAIT_POLICY": "active"}, (None, None, "active")),
    ],
)
def test_idle_threads_sleep_soon_unless_somebody_says_otherwise(own, expected, monkeypatch):
    names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in names} | own
    monkeypatch.setattr(os, "environ", environment)
    _let_idle_threads_sleep()
    assert tuple(environment.get(name) for name in names) == expected


@pytest.mark.soak
@pytest.mark.parametrize("command", ["ask", pytest.param("eval", marks=pytest.mark.soak)])
def test_a_signal_inside_a_strategy_is_not_the_strategys_error(command, clip, tmp_path):
    strategy = tmp_path / "rings.py"
    strategy.write_text(
        "import os, time\n\n"
        "def rings(frames, encode, question=None):\n"
        f"    os.kill(os.getpid(), {int(signal.SIGTERM)})\n"
        "    time.sleep(0.5)\n"
    )
    words = [clip, "what is there ?"]
    if command == "eval":
        (tmp_path / "rows.csv").write_text(
            f"video_name,question,question_id,answer,question_type\n{clip.stem},who?,1,dog,0\n"
        )
        words = ["msvd", "--qa-file", tmp_path / "rows.csv", "--video-dir", clip.parent, "--num-frames", "4"]
    child = start(
        "-m", "dyto", command, *words, "--strategy", f"{strategy}:rings", stdout=subprocess.PIPE, cwd=tmp_path
    )
    _, err = child.communicate(timeout=60)
    assert child.returncode == 143, err
    assert "failed" not in err
    assert "Traceback" not in err


def test_a_second_interrupt_does_not_wait(tmp_path):
    (tmp_path / "hangs.py").write_text(HANGS)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from dyto.__main__ import start; start('hangs', 'command')"
    )
    child = start("-c", code)
    assert child.stderr.readline() == "begun\n"
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    before = time.monotonic()
    child.communicate(timeout=20)
    assert time.monotonic() - before < 1
    assert child.returncode == 130


def test_a_full_disk_behind_stdout_is_an_error():
    with open("/dev/full", "w") as full:
        child = start(*LISTS, stdout=full)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err == "dyto: standard output cannot be written to (No space left on device): some output is lost\n"


def test_a_reader_who_leaves_is_an_error():
    child = start(*LISTS, stdout=subprocess.PIPE)
    child.stdout.close()
    err = child.stderr.read()
    assert child.wait(60) == 1
    assert err == "dyto: standard output cannot be written to (the pipe is closed): some output is lost\n"
    child.stderr.close()


def test_a_closed_stdout_is_an_error_before_any_work():
    child = start(*LISTS, preexec_fn=lambda: os.close(1))
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert err == "dyto: standard output is closed, expected an open one: redirect it to a file\n"


def test_a_full_stderr_does_not_cost_the_answer():
    with open("/dev/full", "w") as full:
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run([sys.executable, *LISTS], stdout=subprocess.PIPE, stderr=full, text=True, env=env)
    assert done.returncode == 0
    assert "image_seq_v3" in done.stdout


@pytest.mark.parametrize("changed", [{}, {"HOME": "/nonexistent"}, {"HOME": "/proc"}, {"LANG": "C", "LC_ALL": "C"}])
def test_a_command_works_in_a_poor_environment(changed):
    env = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **changed}
    done = subprocess.run([sys.executable, *LISTS], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stderr) == (0, "")


PARENT = """
import multiprocessing, os, sys, time
from dyto.system.children import deaf_children, end_with_parent

def work():
    end_with_parent()
    print(os.getpid(), file=sys.stderr, flush=True)
    time.sleep(60)

def command():
    child = multiprocessing.get_context("spawn").Process(target=work, daemon=True)
    with deaf_children():
        child.start()
    child.join()
    return 0

if __name__ == "__main__":
    from dyto.__main__ import start
    sys.modules["parent"] = sys.modules["__main__"]
    start("parent", "command")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_outlives_a_command_or_says_anything(number, tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = start(tmp_path / "parent.py", start_new_session=True)
    child = int(parent.stderr.readline())
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)  # as a terminal does it: all of them
    else:
        parent.send_signal(number)
    err = parent.stderr.read()  # to the end: the child has its own end of the pipe
    assert "Traceback" not in err
    assert parent.wait(10) == (-number if number == signal.SIGKILL else 128 + number)
    wait_until_gone(child)
    parent.stderr.close()


def wait_until_gone(pid, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")
