"""Starting commands as a user does, stopping them at a given moment, and looking whether anything of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
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
    outs = (folder / "stdout.txt").open("w+"), (folder / "stderr.txt").open("w+")
    with outs[0] as out, outs[1] as err:
        child = subprocess.Popen(
            [sys.executable, "-c", BEGIN, *map(str, words)],
            stdout=out, stderr=err, cwd=folder, env=environment(), start_new_session=True,
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


def run(
    words: Sequence[object],
    folder: Path,
    *,
    stdout: str = "kept",
    changed: Mapping[str, str | None] | None = None,
    before: str = "",
    wait: float = 300.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end.

    Args:
        words: As `stop` takes them.
        folder: Where it runs.
        stdout: "kept", or a place that takes nothing: "full", "closed", or a pipe whose reader has "left".
        changed: Environment variables that it shall have, or (None) not have.
        before: A line of shell that changes the file systems for this command alone; needs `can_mount`.
        wait: How long the end may take before the test fails.
    """
    env = {name: value for name, value in (environment() | dict(changed or {})).items() if value is not None}
    line = [sys.executable, "-c", BEGIN, *map(str, words)]
    if before:
        line = ["unshare", "--mount", "sh", "-c", f'{before}; exec "$@"', "sh", *line]
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "w") as full, os.fdopen(write, "w") as left:
        places = {"kept": subprocess.PIPE, "full": full, "left": left, "closed": None}
        return subprocess.run(  # type: ignore[call-overload]
            line, stdout=places[stdout], stderr=subprocess.PIPE, text=True, cwd=folder, env=env, timeout=wait,
            preexec_fn=(lambda: os.close(1)) if stdout == "closed" else None,
        )  # fmt: skip


def environment() -> dict[str, str]:
    """The environment of a command, which finds this package."""
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), *sys.path]))
    return dict(os.environ) | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def can_mount() -> bool:
    """Whether a process may have file systems of its own here."""
    try:
        return not subprocess.run(
            ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
        ).returncode
    except OSError:
        return False


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
