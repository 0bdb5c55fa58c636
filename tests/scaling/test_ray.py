"""A Ray cluster of two local nodes: the file is that of one process, whatever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dyto.batch.run import run_batch
from dyto.batch.settings import BatchSettings
from dyto.cli.app import run
from dyto.evaluation.runner import ClipWork
from dyto.evaluation.workers import Run
from dyto.models.loading.options import Loading
from dyto.ray import VideoQuestions
from dyto.scaling.ray_cluster import RayWorkers
from dyto.synthetic.videos import sample_video

from video_files import write_video

pytestmark = pytest.mark.soak
VIDEOS, QUESTIONS = 20, 10


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Twenty short videos, 200 questions, and the answers of one process."""
    folder = tmp_path_factory.mktemp("many")
    for n in range(VIDEOS):
        sample_video(folder / f"v{n}.mp4", seed=n)
    rows = [{"video": f"v{n}.mp4", "question": f"what is shape {q} ?"} for q in range(QUESTIONS) for n in range(VIDEOS)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_batch(settings(folder, "whole.jsonl"))
    return folder


@pytest.fixture(scope="module")
def cluster():
    """A head and a worker node on loopback."""
    pytest.importorskip("ray", reason="clusters need the extra 'ray'")
    from ray.cluster_utils import Cluster

    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()


def settings(folder: Path, out: str, **more) -> BatchSettings:
    base = {"loading": Loading("tiny"), "sampling": {"num_frames": 8}, "max_new_tokens": 3, "video_dir": folder}
    return BatchSettings(**(base | {"qa_file": folder / "q.jsonl", "out": folder / out} | more))


def same(folder: Path, out: str) -> bool:
    return (folder / out).read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_two_nodes_answer_as_one_process(world, cluster):
    before = signal.getsignal(signal.SIGTERM)
    assert run_batch(settings(world, "two.jsonl", ray=cluster.address, workers=2)) == {"answered": VIDEOS * QUESTIONS}
    assert same(world, "two.jsonl")
    assert signal.getsignal(signal.SIGTERM) is before, "the command's own handler still ends it"


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory) -> Path:
    """A small benchmark, for commands that take one."""
    folder = tmp_path_factory.mktemp("benchmark")
    assert run(["synth", "benchmark", "--out", str(folder), "--videos", "1"], debug=False) == 0
    return folder


def command(name: str, benchmark: Path, out: str, *more: str) -> int:
    words = [name, "synthetic", "--gt-dir", benchmark / "gt_qa_files", "--data-dir", benchmark / "data", "--limit", 36]
    words += ["--num-frames", 8, "--out", benchmark / out, *more]
    return run([str(word) for word in words], debug=False)


def timeless(cells: list[dict]) -> list[dict]:
    measured = ("seconds", "total_seconds", "peak_mib")
    return [{name: value for name, value in cell.items() if name not in measured} for cell in cells]


def test_a_comparison_on_two_nodes_is_that_of_one_process(benchmark, cluster):
    chosen = ["--strategies", "dyto,uniform", "--budgets", "72,144", "--no-pictures", "--model", "tiny"]
    assert command("compare", benchmark, "compared", *chosen) == 0
    assert command("compare", benchmark, "spread", *chosen, "--ray", cluster.address, "--workers", "2") == 0
    one, two = ((benchmark / name / "predictions.jsonl").read_bytes() for name in ("compared", "spread"))
    assert one.count(b"\n") == 36 * 5
    assert one == two
    found = [json.loads((benchmark / name / "compare.json").read_text())["cells"] for name in ("compared", "spread")]
    assert timeless(found[0]) == timeless(found[1])


def test_an_evaluation_on_two_nodes_is_that_of_one_process(benchmark, cluster):
    chosen = ["--name", "walk", "--model", "tiny"]
    assert command("eval", benchmark, "evaluated", *chosen) == 0
    assert command("eval", benchmark, "shared", *chosen, "--ray", cluster.address, "--workers", "2") == 0
    one, two = (sorted((benchmark / name).rglob("predictions.jsonl")) for name in ("evaluated", "shared"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(one) == 1


def test_a_worker_is_killed(world, cluster, capfd):
    killed = []

    def kill(done, total):
        if not killed and done > 40:
            found = subprocess.run(["pgrep", "-f", "ray::_Actor"], capture_output=True, text=True).stdout.split()
            killed.append(int(found[0]))
            os.kill(killed[0], signal.SIGKILL)

    run_batch(settings(world, "actor.jsonl", ray=cluster.address, workers=2), progress=kill)
    assert killed
    assert same(world, "actor.jsonl")
    time.sleep(2)  # Ray tells of the death on its own time
    assert capfd.readouterr().out == "", "stdout belongs to the command"


def test_a_driver_is_killed_and_another_goes_on(world, cluster):
    words = [
        sys.executable,
        "-m",
        "dyto",
        "batch",
        world / "q.jsonl",
        "--out",
        world / "driver.jsonl",
        "--model",
        "tiny",
    ]
    words += ["--num-frames", "8", "--max-new-tokens", "3", "--video-dir", world, "--ray", cluster.address]
    process = subprocess.Popen([*words, "--workers", "2"], stderr=subprocess.DEVNULL)
    journal = settings(world, "driver.jsonl").run_folders().journal()
    give_up = time.monotonic() + 200
    while len(journal.refresh()) < 40:
        assert time.monotonic() < give_up
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert len(journal.refresh()) < VIDEOS * QUESTIONS
    run_batch(settings(world, "driver.jsonl", ray=cluster.address, workers=2))
    assert same(world, "driver.jsonl")


class Lacking(ClipWork):
    """Work on a node that does not have one file."""

    @classmethod
    def loaded(cls, settings, device):
        """See `ClipWork.loaded`."""
        import ray

        work = super().loaded(settings, device)
        marker = settings.out.with_suffix(".node")  # the first one to come
        with contextlib.suppress(FileExistsError):
            marker.open("x").write(ray.get_runtime_context().get_node_id())
        if marker.read_text() in ("", ray.get_runtime_context().get_node_id()):
            find = work._loader.index.find
            work._loader.__dict__["index"] = _Without(find)
        return work


class _Without:
    def __init__(self, find):
        self._find = find

    def find(self, benchmark, sample):
        return None if sample.video == "v3.mp4" else self._find(benchmark, sample)


def test_a_node_lacks_one_file(world, cluster):
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    own = settings(world, "lacking.jsonl", ray=cluster.address, workers=2)
    questions, folders = own.questions(), own.run_folders()
    Run(own, questions, folders, lambda done, total: None).ask(partial(Lacking.loaded, own))
    run_batch(own)
    assert same(world, "lacking.jsonl")


def test_a_poison_video_costs_itself_alone(world, cluster, tmp_path):
    for path in world.glob("v*.mp4"):
        shutil.copy(path, tmp_path)
    write_video(tmp_path / "v7.mp4", 8, size=(4 * 60, 5 * 60))  # of a size that the others do not have
    (tmp_path / "q.jsonl").write_text((world / "q.jsonl").read_text())
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os, signal, dyto, dyto.strategies\n\ndef Deadly(frames, encode, question=None):\n"
        "    if frames.source_size == (240, 300):\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return dyto.build_strategy(dyto.strategies.DEFAULT)(frames, encode)\n"
    )
    own = settings(tmp_path, "poison.jsonl", ray=cluster.address, workers=2, strategy=f"{deadly}:Deadly")
    assert run_batch(own) == {"answered": (VIDEOS - 1) * QUESTIONS, "failed": QUESTIONS}
    rows = [json.loads(line) for line in (tmp_path / "poison.jsonl").read_text().splitlines()]
    whole = [json.loads(line) for line in (world / "whole.jsonl").read_text().splitlines()]
    for row, expected in zip(rows, whole, strict=True):
        if row["video"] == "v7.mp4":
            assert "it killed 3 workers" in row["reason"]
        else:
            assert row["pred"] == expected["pred"]


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # of Ray Data's own settings
def test_a_ray_dataset_has_its_rows_answered(world, cluster):
    import ray

    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    try:
        rows = [{"video": str(world / f"v{n}.mp4"), "questions": ["what is shape 0 ?"], "id": n} for n in range(3)]
        given = {"model": "tiny", "sampling": {"num_frames": 8}, "max_new_tokens": 3}
        asked = ray.data.from_items(rows).map_batches(VideoQuestions, fn_constructor_kwargs=given, concurrency=1)
        found = sorted(asked.take_all(), key=lambda row: row["id"])
    finally:
        ray.shutdown()
    whole = [json.loads(line) for line in (world / "whole.jsonl").read_text().splitlines()]
    assert [list(row["answers"]) for row in found] == [[row["pred"]] for row in whole[:3]]
    assert not any(row["error"] for row in found)


def test_a_node_is_killed(world, cluster):
    """The last test: the cluster is smaller afterwards."""
    node, gone = cluster.list_all_nodes()[-1], []

    def kill(done, total):
        if not gone and done > 40:
            gone.append(threading.Thread(target=cluster.remove_node, args=(node, False)))
            gone[0].start()

    run_batch(settings(world, "node.jsonl", ray=cluster.address, workers=2), progress=kill)
    gone[0].join()
    assert same(world, "node.jsonl")


def test_a_cluster_that_is_not_there_is_one_error():
    pytest.importorskip("ray", reason="clusters need the extra 'ray'")
    from dyto.errors import ModelError

    with pytest.raises(ModelError, match=r"the cluster 127\.0\.0\.1:1 cannot be reached"):
        RayWorkers(np.array, "127.0.0.1:1").start()
