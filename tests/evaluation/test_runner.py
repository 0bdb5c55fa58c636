"""The runner with the bundled model over real files: killed, resumed, sharded, shared, and with bad videos."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import pytest
import yaml

import dyto
from dyto.benchmarks import get
from dyto.errors import ConfigError, DatasetError, JudgeError
from dyto.evaluation.evaluate import Hooks, Judging, evaluate
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.settings import Settings
from dyto.legacy_eval import run_inference
from evaluation.work import wait_for

COLORS = ["red", "green", "blue", "white"]


def write_questions(path: Path, videos: list[str], count: int) -> list[dict]:
    """`count` questions of NExT-QA's prepared form, the videos in turn; ids repeat on purpose."""
    records = [
        {
            "task_name": "NExTQA",
            "video_name": videos[i % len(videos)],
            "question_id": str(i // 3),
            "question": f"what color is shape {i} ?",
            "answer_number": i % 4,
            "candidates": COLORS,
            "answer": COLORS[i % 4],
            "type": ["CW", "TN", "DO"][i % 3],
        }
        for i in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records))
    return records


@pytest.fixture
def world(tmp_path, clip):
    """A folder of six videos, and 24 questions about them."""
    (tmp_path / "videos").mkdir()
    for i in range(6):
        shutil.copy(clip, tmp_path / f"videos/v{i}.mp4")
    write_questions(tmp_path / "val_qa.json", [f"v{i}.mp4" for i in range(6)], 24)
    return tmp_path


@pytest.fixture
def real_world(world, shared):
    """The same with real clips under the names of the first three videos."""
    for i, path in enumerate(sorted((shared / "videos").glob("*.mp4"))):
        shutil.copy(path, world / f"videos/v{i}.mp4")
    return world


@pytest.fixture(autouse=True)
def loaded_once(tiny, monkeypatch):
    """In this process the bundled model is loaded once for all tests; other processes load it themselves."""
    real = dyto.pipeline.load_model

    def load(name, **options):
        return tiny if name == "tiny" else real(name, **options)

    monkeypatch.setattr(dyto.pipeline, "load_model", load)


def settings(world: Path, out: str = "out", **more) -> Settings:
    base = {
        "benchmark": "nextqa",
        "qa_file": world / "val_qa.json",
        "video_dir": world / "videos",
        "model": "tiny",
        "device": "cpu",
        "sampling": {"num_frames": 6},
        "max_new_tokens": 3,
        "folders": {"out": world / out},
        "name": "run",
    }
    return Settings(**(base | more))


def predictions(world: Path, out: str = "out", benchmark: str = "nextqa") -> bytes:
    return (world / out / "artifacts" / benchmark / "run" / "predictions.jsonl").read_bytes()


def rows(world: Path, out: str = "out", benchmark: str = "nextqa") -> list[dict]:
    return [json.loads(line) for line in predictions(world, out, benchmark).splitlines()]


def test_every_sample_ends_as_one_row_in_the_order_of_the_file(world):
    found = evaluate(settings(world))
    recorded = rows(world)
    assert [row["place"] for row in recorded] == list(range(24))
    assert all(row["status"] == "answered" for row in recorded)
    assert all(row["choice"] in (0, 1, 2, 3, None) for row in recorded)
    assert found["coverage"] == 1
    right = sum(row["choice"] == row["answer_number"] for row in recorded)
    assert found["measures"]["accuracy"]["value"] == right / 24
    assert set(found["measures"]["accuracy"]["groups"]["type"]) == {"causal", "temporal", "descriptive"}


def test_answers_are_those_of_asking_one_by_one(world, qa):
    evaluate(settings(world))
    for row in rows(world)[:5]:
        answer = qa.ask(
            world / "videos" / row["video_name"],
            row["question"],
            choices=row["candidates"],
            num_frames=6,
            max_new_tokens=3,
        )
        assert (answer.text, answer.choice) == (row["pred"], row["choice"])
        assert answer.keyframes.indices.tolist() == row["keyframes"]


def test_killed_at_any_moment_it_ends_with_the_same_file(real_world, crew):
    """By the published command, over real clips; three kills."""
    world = real_world
    (world / "cfgs").mkdir()
    keys = {
        "SCRIPT": "bash scripts/run_eval_nextqa.sh",
        "CONFIG_NAME": "run",
        "DATA_DIR": str(world / "videos"),
        "GT_QA_DIR": str(world / "gt"),
        "MODEL_PATH": "tiny",
        "CONV_MODE": "tiny_choice",
        "NUM_FRAMES": 6,
        "MAX_NEW_TOKENS": 3,
    }
    write_questions(world / "gt" / "NExTQA" / "val_qa.json", [f"v{i}.mp4" for i in range(6)], 24)

    def command(out):
        folders = {"OUTPUT_DIR": "artifacts", "TEMP_DIR": "eval_save_dir", "SAVE_DIR": "logs"}
        config = keys | {key: str(world / out / folder) for key, folder in folders.items()}
        path = world / "cfgs" / f"{out}.yaml"
        path.write_text(yaml.safe_dump(config))
        return ["--exp_config", str(path), "--video-dir", str(world / "videos")]

    assert run_inference(command("whole")) == 0
    rng = random.Random(7)
    recorded = []
    for _ in range(3):
        victim = crew(run_inference, command("killed"))
        journal = RunFolders.under(world / "killed", "nextqa", "run").journal()
        already = len(journal.refresh())
        wait_for(lambda j=journal, n=already, v=victim: len(j.refresh()) > n or not v.is_alive())
        time.sleep(rng.uniform(0, 0.3))
        victim.kill()
        victim.join()
        recorded.append(len(journal.refresh()))
    assert recorded[0] < 24, "the first kill came too late to show anything"
    assert run_inference(command("killed")) == 0
    assert predictions(world, "killed") == predictions(world, "whole")
    results = [
        json.loads((world / out / "artifacts/nextqa/run/results.json").read_text()) for out in ("whole", "killed")
    ]
    assert results[0] == results[1]


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
    monkeypatch.setattr("dyto.evaluation.workers.START_METHOD", "forkserver")
    monkeypatch.setattr("dyto.evaluation.workers.POLL_SECONDS", 0.1)


def test_several_workers_of_one_run_share_the_work(world, quick_workers):
    evaluate(settings(world, "whole"))
    seen = []
    evaluate(settings(world, workers=2), hooks=Hooks(asking=lambda done, total: seen.append((done, total))))
    assert seen[-1] == (24, 24)
    assert predictions(world) == predictions(world, "whole")


def test_a_worker_that_fails_says_why(world, quick_workers):
    with pytest.raises(ConfigError, match="token budget 3, but one whole frame"):
        evaluate(settings(world, workers=2, strategy="uniform", options={"token_budget": 3}))


def test_bad_videos_and_rows_are_recorded_among_good_ones(world):
    path = world / "val_qa.json"
    records = json.loads(path.read_text())
    records[0]["video_name"] = "missing.mp4"
    records[1]["video_name"] = "../videos/v1.mp4"
    records[2]["video_name"] = "https://example.org/v.mp4"
    records[3]["question"] = ""
    records[4]["answer"], records[4]["answer_number"] = "purple", None
    records[5]["question"] = "what is <image> ?"
    records[6]["question"] = "why " * 2000
    path.write_text(json.dumps(records))
    (world / "videos/v1.mp4").write_bytes(b"this is no video")
    whole = (world / "videos/v2.mp4").read_bytes()
    (world / "videos/v2.mp4").write_bytes(whole[: len(whole) // 2])
    found = evaluate(settings(world))
    status = {row["place"]: row["status"] for row in rows(world)}
    assert len(status) == 24
    assert [status[i] for i in range(7)] == [
        *("missing_video", "unsafe_name", "unsafe_name", "bad_row", "bad_row", "bad_row", "does_not_fit"),
    ]
    assert {status[i] for i in range(7, 24) if i % 6 in (1, 2)} == {"undecodable"}
    assert {status[i] for i in range(7, 24) if i % 6 not in (1, 2)} == {"answered"}
    assert all(row["reason"] for row in rows(world) if row["status"] != "answered")
    assert sum(found["unanswered"].values()) + found["answered"] == 24


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


def test_results_of_another_configuration_are_left_alone_and_the_difference_named(world):
    evaluate(settings(world, limit=2))
    before = predictions(world)
    with pytest.raises(DatasetError, match=r"max_new_tokens was 3 and is now 4\. Give this run another --name"):
        evaluate(settings(world, max_new_tokens=4))
    with pytest.raises(DatasetError, match=r"strategy\.name was 'dyto' and is now 'uniform'"):
        evaluate(settings(world, strategy="uniform"))
    write_questions(world / "val_qa.json", ["v0.mp4"], 3)
    with pytest.raises(DatasetError, match="questions was"):
        evaluate(settings(world))
    assert predictions(world) == before


def test_a_run_is_described_so_that_it_can_be_repeated(world):
    evaluate(settings(world, limit=1))
    manifest = json.loads((world / "out/artifacts/nextqa/run/manifest.json").read_text())
    assert manifest["config"]["model"] == "tiny"
    assert len(manifest["config"]["weights"]) == 16
    assert "{question}" in manifest["config"]["prompt"]
    assert manifest["config"]["strategy"]["name"] == "dyto"
    assert manifest["question_file"]["rows"] == 24
    assert set(manifest["versions"]) >= {"torch", "transformers", "dyto", "av"}
    assert manifest["device"].startswith("cpu")
    (log,) = (world / "out/logs/nextqa/run").glob("*.jsonl")
    assert {"decode", "encode", "prefill", "generate", "total"} <= set(json.loads(log.read_text().splitlines()[0]))


def test_scoring_by_likelihood_always_names_an_option(world):
    found = evaluate(settings(world, scoring="likelihood", limit=8))
    assert all(row["pred"] == row["candidates"][row["choice"]] for row in rows(world))
    assert not found["unparsed"]
    with pytest.raises(ConfigError, match="needs options"):
        evaluate(settings(world, benchmark="msvd", qa_file=open_questions(world), scoring="likelihood"))


def open_questions(world: Path) -> Path:
    """Four open questions in MSVD's prepared form."""
    asked = [{"video_name": f"v{i}", "question_id": "1", "question": f"what is {i} ?"} for i in range(4)]
    (world / "val_q.json").write_text(json.dumps(asked))
    (world / "val_a.json").write_text(json.dumps([{"answer": "red", "type": 0, "question_id": "1"}] * 4))
    return world / "val_q.json"


def test_open_answers_are_judged_and_verdicts_kept(world, stub):
    stub.script = lambda n, request: stub.say('{"pred": "yes", "score": 3}')
    run = settings(world, benchmark="msvd", qa_file=open_questions(world))
    found = evaluate(run, Judging("openai"))
    assert found["measures"]["accuracy"]["value"] == 1
    assert found["measures"]["score"]["value"] == 3
    calls = len(stub.requests)
    assert 1 <= calls <= 4
    assert evaluate(run, Judging("openai")) == found
    assert len(stub.requests) == calls, "verdicts are paid for once"
    lines = (world / "out/eval_save_dir/msvd/run/verdicts.jsonl").read_text().splitlines()
    assert len(lines) == 4


def test_a_dead_judge_leaves_the_predictions(world, stub):
    stub.script = lambda n, request: stub.fail(401)
    with pytest.raises(JudgeError):
        evaluate(settings(world, benchmark="msvd", qa_file=open_questions(world)), Judging("openai"))
    assert len(rows(world, benchmark="msvd")) == 4


def test_without_a_key_the_offline_judge_says_what_it_is(world, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    found = evaluate(settings(world, benchmark="msvd", qa_file=open_questions(world)))
    assert "exact match" in found["judge"]
    assert set(found["measures"]) == {"accuracy"}


def test_consistency_asks_both_questions(world):
    record = {"video_name": "v0", "question_id": "1", "question": ["what ?", "which ?"], "answer": "x"}
    (world / "c.json").write_text(json.dumps([record]))
    evaluate(settings(world, benchmark="consistency", qa_file=world / "c.json"), Judging("none"))
    (row,) = rows(world, benchmark="consistency")
    assert len(row["pred"]) == 2


def test_subtitles_come_before_the_question_and_their_lack_is_noted(world):
    data = world / "data"
    (data / get("videomme-subtitles").subtitles).mkdir(parents=True)
    (data / get("videomme-subtitles").subtitles / "v0.srt").write_text("1\n00:00:00,000 --> 00:59:00,000\nred star\n")
    found = evaluate(settings(world, benchmark="videomme-subtitles", data_dir=data, limit=2))
    assert found["answered"] == 2
    notes = {row["video_name"]: row["reason"] for row in rows(world, benchmark="videomme-subtitles")}
    assert notes["v0.mp4"] == ""
    assert "the video has none" in notes["v1.mp4"]


def test_encoded_videos_are_kept_and_give_the_same_rows(world):
    evaluate(settings(world, "whole"))
    kept = settings(world, "first", cache_dir=world / "cache")
    evaluate(kept)
    assert len(list((world / "cache").glob("*.safetensors"))) == 6
    for video in (world / "videos").glob("*.mp4"):
        assert video.stat().st_size
    evaluate(settings(world, "second", cache_dir=world / "cache"))
    assert predictions(world, "first") == predictions(world, "second") == predictions(world, "whole")
    logs = (world / "second/logs/nextqa/run").glob("*.jsonl")
    assert all('"encode"' not in line for log in logs for line in log.read_text().splitlines())


def test_missing_videos_are_said_before_a_model_is_loaded(world):
    with pytest.raises(DatasetError, match="no videos of NExT-QA"):
        evaluate(settings(world, video_dir=world / "nowhere", model="no-such-model"))


@pytest.mark.soak
def test_killed_fifty_times(world, crew):
    write_questions(world / "val_qa.json", [f"v{i % 6}.mp4" for i in range(6)], 600)
    evaluate(settings(world, "whole"))
    rng = random.Random(1)
    for _ in range(50):
        shape = {"workers": rng.choice([None, 2]), "shard": rng.choice([(1, 1), (1, 2), (2, 3)])}
        victim = crew(evaluate, settings(world, "killed", **shape))
        time.sleep(rng.uniform(0.5, 4.0))
        victim.kill()
        victim.join()
    evaluate(settings(world, "killed"))
    assert predictions(world, "killed") == predictions(world, "whole")
