"""Every command at its work: stopped at any moment, without a place for what it says, in poor surroundings."""

from __future__ import annotations

import os
import random
import signal
import sys

import pytest
import yaml

from dyto.synthetic.benchmark import CHOICE_FILE, CHOICE_VIDEOS, synth_benchmark
from stopping import ROOT, can_mount, run, stop

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

MOMENTS = 40
SECONDS = {"ask": 5, "eval": 7, "eval by two": 10, "compare": 10, "demo": 8, "synth": 5, "inspect": 6}
"""How long commands are at work on an idle machine, about, or in the case of the demo until it is ready."""

SLOW = 1.0 + (os.getloadavg()[0] if hasattr(os, "getloadavg") else 0) / (os.cpu_count() or 1)
"""By how much everything takes longer, where others share the cores."""


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """A benchmark of seven videos."""
    place = tmp_path_factory.mktemp("benchmark")
    synth_benchmark("dev", place, videos=1)
    return place


@pytest.fixture(scope="module")
def commands(benchmark):
    """What is typed, by name: all that takes long or prints."""
    (benchmark / "config.yaml").write_text(
        yaml.safe_dump(
            {
                "SCRIPT": "run_eval_synthetic",
                "MODEL_PATH": "tiny",
                "CONFIG_NAME": "published",
                "NUM_FRAMES": 16,
                "DATA_DIR": str(benchmark / "data"),
                "GT_QA_DIR": str(benchmark / "gt_qa_files"),
            }
        )
    )
    video = sorted((benchmark / CHOICE_VIDEOS).iterdir())[0]
    files = ["--gt-dir", benchmark / "gt_qa_files", "--data-dir", benchmark / "data", "--num-frames", "16"]
    return {
        "ask": ["dyto", "ask", video, "what is there ?", "--save-keyframes", "k.png", "--evidence"],
        "ask --json": ["dyto", "ask", video, "what is there ?", "--json"],
        "eval": ["dyto", "eval", "synthetic", *files, "--cache", "kept"],
        "eval --json": ["dyto", "eval", "synthetic", *files, "--limit", "2", "--json"],
        "eval by two": ["dyto", "eval", "synthetic", *files, "--workers", "2", "--device", "cpu"],
        "compare": ["dyto", "compare", "synthetic", *files, "--budgets", "2f", "--out", "compared", "--limit", "20"],
        "demo": ["dyto", "demo", "--port", "0"],
        "synth": ["dyto", "synth", "benchmark", "--out", "made", "--videos", "3"],
        "synth video": ["dyto", "synth", "video", "--out", "v.mp4"],
        "inspect": ["dyto", "inspect", video, "--png", "--out", "p.html"],
        "prepare": ["dyto", "prepare", "synthetic", "--qa-file", benchmark / CHOICE_FILE, "--out", "prepared"],
        "list": ["dyto", "list", "strategies"],
        "report": ["dyto", "report", "outputs"],
        "run_demo": [
            *(ROOT / "run_demo.py", "--video_path", video, "--question", "what is there ?"),
            *("--model_path", "tiny", "--rope_scaling_factor", "1"),
        ],
        "run_inference": [ROOT / "run_inference.py", "--exp_config", benchmark / "config.yaml"],
    }


STOPPED = ["ask", "eval", "eval by two", "compare", "demo", "synth", "inspect", "run_demo", "run_inference"]


@pytest.mark.parametrize("name", STOPPED)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_command_can_be_stopped_at_any_moment(commands, tmp_path, name, number):
    if name == "demo":
        pytest.importorskip("gradio", reason="the demo needs the extra 'demo'")
    rng = random.Random(f"{name} {number}")
    for moment in range(-(-MOMENTS // (2 * len(STOPPED)))):
        folder = tmp_path / str(moment)
        folder.mkdir()
        # A terminal sends Ctrl-C to all processes of a command; `kill` sends it to one.
        everyone = number == signal.SIGINT and moment % 2 == 0
        seconds = rng.uniform(0, SECONDS.get(name, 5) * SLOW)
        found = stop(commands[name], seconds, number, folder, everyone=everyone)
        if not found.ran:
            assert found.status == 0, (seconds, found)
            continue
        if found.status == 0:  # the signal met the interpreter's very last moments, when all was done and said
            assert found.out, (seconds, found)
            assert found.seconds < (2 if SLOW < 1.5 else 4), (seconds, found)
            continue
        assert found.status == 128 + number, (seconds, found)
        assert "Traceback" not in found.err, (seconds, found)
        assert not found.left, (seconds, found)
        assert found.seconds < (2 if SLOW < 1.5 else 4), (seconds, found)


SPEAKING = ["ask", "ask --json", "eval", "eval --json", "compare", "demo", "synth", "synth video"]
SPEAKING += ["inspect", "prepare", "list", "run_demo", "run_inference"]


@pytest.mark.parametrize("name", [*SPEAKING, "report"])
@pytest.mark.parametrize("place", ["full", "left", "closed"])
def test_what_cannot_be_said_is_an_error(commands, tmp_path, name, place):
    if name == "demo":
        pytest.importorskip("gradio", reason="the demo needs the extra 'demo'")
    if name == "report":
        run(commands["eval --json"], tmp_path)
    done = run(commands[name], tmp_path, stdout=place)
    assert done.returncode == 1, done
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr


POOR = {
    "no HOME": ({"HOME": None}, ""),
    "a HOME that is not there": ({"HOME": "/nowhere"}, ""),
    "a HOME that cannot be written": ({"HOME": "/proc"}, ""),
    "LANG=C": ({"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, ""),
    "a TMPDIR that is not there": ({"TMPDIR": "/nowhere"}, ""),
    "a full TMP": ({"TMPDIR": "/mnt"}, "mount -t tmpfs -o size=4k tmpfs /mnt; cat /dev/zero > /mnt/full 2>/dev/null"),
    "no shared memory": ({}, "mount -t tmpfs -o ro tmpfs /dev/shm"),
}


@pytest.mark.parametrize("name", ["ask --json", "eval by two", "compare", "synth video", "inspect", "prepare"])
@pytest.mark.parametrize("poor", POOR)
def test_a_command_works_in_poor_surroundings(commands, tmp_path, name, poor):
    changed, before = POOR[poor]
    if before and not can_mount():
        pytest.skip("nothing may be mounted here")
    done = run(commands[name], tmp_path, changed=changed, before=before)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done
