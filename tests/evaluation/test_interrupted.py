"""Killed, resumed, sharded, shared, and out of room: the final file is that of an uninterrupted run."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import yaml

from dyto.cli.legacy_eval import run_inference
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.evaluate import Hooks, evaluate
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.report import find_results, notes_of
from dyto.evaluation.settings import Settings
from dyto.evaluation.workers import worker_devices
from dyto.models.loading.options import Loading
from evaluation.work import wait_for
from evaluation.world import predictions, rows, settings, write_questions


def published(world: Path, out: str) -> list[str]:
    """The words after `run_inference.py` for a run into `out`."""
    config = {
        "SCRIPT": "bash scripts/run_eval_nextqa.sh",
        "CONFIG_NAME": "run",
        "DATA_DIR": str(world / "videos"),
        "GT_QA_DIR": str(world / "gt"),
        "MODEL_PATH": "tiny",
        "CONV_MODE": "tiny_choice",
        "NUM_FRAMES": 6,
        "MAX_NEW_TOKENS": 3,
        "OUTPUT_DIR": str(world / out / "artifacts"),
        "TEMP_DIR": str(world / out / "eval_save_dir"),
        "SAVE_DIR": str(world / out / "logs"),
    }
    path = world / f"{out}.yaml"
    path.write_text(yaml.safe_dump(config))
    return ["--exp_config", str(path), "--video-dir", str(world / "videos")]


def kill_at_random(
    world: Path, start, kills: int, seed: int, most_seconds: float, writers: int = 1, wait: float = 60.0
) -> list[int]:
    """Start the published command and kill it soon after it has recorded something; the rows after each kill.

    With several writers as many commands work in one folder, and each is killed at a moment of its own.
    """
    rng, recorded = random.Random(seed), []
    for _ in range(kills // writers):
        crowd = [start(published(world, "killed")) for _ in range(writers)]
        journal = RunFolders.under(world / "killed", "nextqa", "run").journal()
        already = len(journal.refresh())
        wait_for(lambda j=journal, n=already, c=crowd: len(j.refresh()) > n or not any(p.is_alive() for p in c), wait)  # type: ignore[misc]
        for process in crowd:
            time.sleep(rng.uniform(0, most_seconds))
            process.kill()
            process.join()
            recorded.append(len(journal.refresh()))
    return recorded


def results(world: Path, out: str) -> dict:
    return json.loads((world / out / "artifacts/nextqa/run/results.json").read_text())


def test_killed_at_any_moment_it_ends_with_the_same_file(real_world, crew):
    write_questions(real_world / "gt/NExTQA/val_qa.json", [f"v{i}.mp4" for i in range(6)], 24)
    assert run_inference(published(real_world, "whole")) == 0
    recorded = kill_at_random(real_world, lambda words: crew(run_inference, words), 3, seed=7, most_seconds=0.3)
    assert recorded[0] < 24, "the first kill came too late to show anything"
    assert run_inference(published(real_world, "killed")) == 0
    assert predictions(real_world, "killed") == predictions(real_world, "whole")
    assert results(real_world, "killed") == results(real_world, "whole")


@pytest.mark.soak
@pytest.mark.parametrize("writers", [1, 2])
def test_killed_fifty_times(real_world, crew, writers):
    names = [f"w{i}.mp4" for i in range(150)]
    for i, name in enumerate(names):
        (real_world / "videos" / name).symlink_to(real_world / f"videos/v{i % 6}.mp4")
    write_questions(real_world / "gt/NExTQA/val_qa.json", names, 600)
    assert run_inference(published(real_world, "whole")) == 0

    def start(words):
        return crew(run_inference, words)

    recorded = kill_at_random(real_world, start, 50, seed=1, most_seconds=0.4, writers=writers, wait=300)
    assert recorded[24] < 600, "the first half of the kills came too late to show anything"
    assert run_inference(published(real_world, "killed")) == 0
    assert predictions(real_world, "killed") == predictions(real_world, "whole")
    assert results(real_world, "killed") == results(real_world, "whole")


def test_shards_on_several_machines_go_on_with_another_number_of_them(world):
    evaluate(settings(world, "whole"))
    first = evaluate(settings(world, shard=(1, 3)))
    assert not first["complete"]
    assert first["unanswered"] == {"not_reached": 16}
    assert not (world / "out/artifacts/nextqa/run/predictions.jsonl").exists()
    evaluate(settings(world, shard=(2, 2)))
    last = evaluate(settings(world))
    assert last["complete"]
    assert predictions(world) == predictions(world, "whole")


def test_shards_from_machines_without_a_common_disk_are_merged_by_copying(world):
    evaluate(settings(world, "whole"))
    for i in (1, 2):
        evaluate(settings(world, f"machine{i}", shard=(i, 2)))
    into = world / "machine1/artifacts/nextqa/run/rows"
    for path in (world / "machine2/artifacts/nextqa/run/rows").glob("*.jsonl"):
        shutil.copy(path, into)
    assert evaluate(settings(world, "machine1"))["complete"]
    assert predictions(world, "machine1") == predictions(world, "whole")


def test_two_runs_into_one_folder_share_the_work_and_spoil_nothing(world, crew):
    evaluate(settings(world, "whole"))
    both = [crew(evaluate, settings(world, "shared")) for _ in range(2)]
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert predictions(world, "shared") == predictions(world, "whole")
    journals = sorted((world / "shared/artifacts/nextqa/run/rows").glob("*.jsonl"))
    written = [json.loads(line)["key"] for path in journals for line in path.read_text().splitlines()]
    assert len(written) == len(set(written)) == 24, "no question was asked twice"


@pytest.fixture
def quick_workers(forks, monkeypatch):
    """Workers come out of a server that has imported everything, rather than import it themselves."""
    monkeypatch.setattr("dyto.scaling.processes.START_METHOD", "forkserver")


def test_several_workers_of_one_run_share_the_work(world, quick_workers):
    evaluate(settings(world, "whole"))
    seen = []
    evaluate(settings(world, workers=2), hooks=Hooks(asking=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (24, 24)
    assert predictions(world) == predictions(world, "whole")


@pytest.mark.parametrize(
    ("gpus", "wanted", "devices"),
    [
        (0, {}, [None]),
        (0, {"workers": 2}, [None, None]),
        (3, {}, ["cuda:0", "cuda:1", "cuda:2"]),
        (2, {"workers": 3}, ["cuda:0", "cuda:1", "cuda:0"]),
        (2, {"loading": Loading(device="cpu")}, ["cpu"]),
    ],
)
def test_there_is_one_worker_for_every_visible_gpu(monkeypatch, gpus, wanted, devices):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert worker_devices(Settings("nextqa", **wanted)) == devices


def test_a_worker_that_fails_says_why(world, quick_workers):
    with pytest.raises(ConfigError, match="token budget 3, but one whole frame"):
        evaluate(settings(world, workers=2, strategy="uniform", options={"token_budget": 3}))


def test_a_video_that_was_missing_is_asked_about_once_it_is_there(world):
    evaluate(settings(world, "whole"))
    hidden = (world / "videos/v3.mp4").rename(world / "v3.mp4")
    assert evaluate(settings(world))["unanswered"] == {"missing_video": 4}
    hidden.rename(world / "videos/v3.mp4")
    assert evaluate(settings(world))["coverage"] == 1
    assert predictions(world) == predictions(world, "whole")


def test_unanswered_rows_are_asked_again_on_request(world):
    evaluate(settings(world, "whole"))
    good = (world / "videos/v3.mp4").read_bytes()
    (world / "videos/v3.mp4").write_bytes(b"broken")
    assert evaluate(settings(world))["unanswered"] == {"undecodable": 4}
    (world / "videos/v3.mp4").write_bytes(good)
    assert evaluate(settings(world))["unanswered"] == {"undecodable": 4}, "not by itself"
    assert settings(world).run_folders().forget_unanswered() == 4
    evaluate(settings(world))
    assert predictions(world) == predictions(world, "whole")


def test_a_limit_asks_the_first_questions_and_the_rest_may_follow(world):
    evaluate(settings(world, "whole"))
    found = evaluate(settings(world, limit=7))
    assert [row["place"] for row in rows(world)] == list(range(7))
    assert found["questions"] == 7
    evaluate(settings(world))
    assert predictions(world) == predictions(world, "whole")


def test_an_interrupted_run_can_be_reported(world):
    evaluate(settings(world, shard=(1, 2)))
    (world / "out/artifacts/nextqa/run/results.json").unlink()  # as if it had been killed before its end
    (found,) = find_results([world / "out"])
    assert (found["answered"], found["unanswered"], found["complete"]) == (12, {"not_reached": 12}, False)
    assert any("not finished" in note for note in notes_of(found))


def test_a_disk_that_fills_up_stops_the_run_and_loses_nothing(world, monkeypatch):
    evaluate(settings(world, "whole"))
    real, room = os.write, [3000]

    def write(file, data):
        if len(data) > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= len(data)
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(DatasetError, match="No space left on device"):
        evaluate(settings(world))
    monkeypatch.setattr(os, "write", real)
    recorded = settings(world).run_folders().journal().refresh()
    assert 0 < len(recorded) < 24
    evaluate(settings(world))
    assert predictions(world) == predictions(world, "whole")
