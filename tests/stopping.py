"""Starting commands as a user does, stopping them at a given moment, and looking whether anything of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The marker is written before the first line of our own code; before it, the interpreter itself is starting.
BEGIN = """
import os, sys
os.write(2, b"begun\\n")
if sys.argv[1] == "dyto":
    del sys.argv[1]
    from dyto.__main__ import main
    main()
else:
    del sys.argv[0]
    import runpy
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Stopped:
    """What became of a command that was sent a signal.

    Attributes:
        status: Its exit status.
        out: What it wrote to stdout.
        err: What it and its children wrote to stderr.
        seconds: From the signal to the end of the command.
        left: Processes of it that were there a moment later.
        ran: Whether it was still at work when the signal was sent.
    """

    status: int
    out: str
    err: str
    seconds: float
    left: list[str]
    ran: bool


def stop(
    words: Sequence[object], seconds: float, number: int, folder: Path, *, everyone: bool = False, wait: float = 20.0
) -> Stopped:
    """Start a command, send it a signal some time after the first line of our own code, and wait for its end.

    Args:
        words: "dyto" and what follows it, or the path of a script and what follows that.
        seconds: When.
        number: The signal.
        folder: Where the command runs.
        everyone: Send the signal to all its processes, as a terminal does.
        wait: How long the end may take before the test fails.
    """
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), *sys.path]))
    env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    outs = (folder / "stdout.txt").open("w+"), (folder / "stderr.txt").open("w+")
    with outs[0] as out, outs[1] as err:
        child = subprocess.Popen(
            [sys.executable, "-c", BEGIN, *map(str, words)],
            stdout=out, stderr=err, cwd=folder, env=env, start_new_session=True,
        )  # fmt: skip
        try:
            while not os.fstat(err.fileno()).st_size:
                time.sleep(0.001)
            time.sleep(seconds)
            ran = child.poll() is None
            before = time.monotonic()
            if ran:
                (os.killpg if everyone else os.kill)(child.pid, number)
            status = child.wait(wait)
            took = time.monotonic() - before
            left = wait_for_none(child.pid)
        finally:
            for process in session(child.pid):
                os.kill(process, signal.SIGKILL)
            child.wait()
        out.seek(0)
        err.seek(0)
        return Stopped(status, out.read(), err.read().removeprefix("begun\n"), took, left, ran)


def wait_for_none(leader: int, seconds: float = 1.5) -> list[str]:
    """The command lines of the processes of a session that are still there after a moment."""
    end = time.monotonic() + seconds
    while (there := session(leader)) and time.monotonic() < end:
        time.sleep(0.02)
    return [said for process in there if (said := _words(process))]


def session(leader: int) -> list[int]:
    """The processes of a session that are alive."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(place.name))
    return found


def _words(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
