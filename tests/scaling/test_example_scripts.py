"""The scripts of `examples` for clusters, run as they stand: an array of jobs, and a job on a Ray cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from dyto.cli.app import run
from dyto.synthetic.videos import sample_video

pytestmark = [pytest.mark.soak, pytest.mark.skipif(os.name != "posix", reason="the scripts are for bash")]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def activated() -> dict[str, str]:
    """The environment's variables as they are where this Python's environment is activated, and no token is asked for."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "RAY_AUTH_MODE": "disabled"}


def bash(script: str, *words: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script of `examples` in this environment."""
    command = ["bash", str(EXAMPLES / script), *map(str, words)]
    return subprocess.run(command, cwd=folder, env=activated() | variables, capture_output=True, text=True, timeout=600)


def test_an_array_of_jobs_gives_the_rows_of_one_run(tmp_path):
    assert run(["synth", "benchmark", "--out", str(tmp_path / "world"), "--videos", "1"], debug=False) == 0
    chosen = ["synthetic", "--gt-dir", "world/gt_qa_files", "--data-dir", "world/data", "--limit", "24"]
    chosen += ["--num-frames", "8", "--model", "tiny", "--name", "run"]
    for task in "12":
        done = bash("slurm_array.sh", *chosen, folder=tmp_path, SLURM_ARRAY_TASK_ID=task, SLURM_ARRAY_TASK_COUNT="2")
        assert done.returncode == 0, done.stderr
    placed = [str(tmp_path / word) if word.startswith("world/") else word for word in chosen]
    merged = [f"--merge={tmp_path / 'shards' / task}" for task in "12"]
    assert run(["eval", *placed, "--out", str(tmp_path / "all"), *merged], debug=False) == 0
    assert run(["eval", *placed, "--out", str(tmp_path / "whole")], debug=False) == 0
    files = [list((tmp_path / name).rglob("predictions.jsonl")) for name in ("all", "whole")]
    assert len(files[0]) == len(files[1]) == 1
    assert files[0][0].read_bytes() == files[1][0].read_bytes()


@pytest.fixture
def dashboard():
    """A cluster of one node with its dashboard on loopback; yields the dashboard's address."""
    pytest.importorskip("ray", reason="clusters need the extra 'ray'")
    ray, ports = Path(sys.executable).parent / "ray", [free_port() for _ in range(2)]
    place = Path(tempfile.mkdtemp())  # not pytest's: names of Unix sockets must be short
    head = [ray, "start", "--head", "--block", f"--port={ports[0]}", f"--temp-dir={place / 'ray'}", "--num-cpus=2"]
    head += ["--dashboard-host=127.0.0.1", f"--dashboard-port={ports[1]}"]
    env = activated() | {"RAY_USAGE_STATS_ENABLED": "0"}
    with (place / "head.log").open("wb") as log:
        started = subprocess.Popen(head, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{ports[1]}"
            wait_until_answered(f"{address}/api/version", started)
            yield address
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGTERM)
                started.wait(60)
            shutil.rmtree(place, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_until_answered(address: str, server: subprocess.Popen[bytes], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert server.poll() is None, "the cluster ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.5)
    raise AssertionError(f"{address} did not answer within {seconds} s")


def test_a_job_inside_a_cluster_answers_the_table(dashboard, tmp_path):
    rows = [{"video": f"v{n}.mp4", "question": f"what is shape {q} ?"} for n in range(2) for q in range(3)]
    for n in range(2):
        sample_video(tmp_path / f"v{n}.mp4", seed=n)
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = bash("ray_job.sh", dashboard, tmp_path, "--model", "tiny", "--num-frames", "8", folder=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [(row["video"], row["question"]) for row in answers] == [(row["video"], row["question"]) for row in rows]
    assert all(row["status"] == "answered" for row in answers)
