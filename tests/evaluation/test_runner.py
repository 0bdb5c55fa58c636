"""The runner with the bundled model over real files: what is recorded, and what goes wrong."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
import torch

from dyto.benchmarks import get
from dyto.errors import DatasetError
from dyto.evaluation import runner
from dyto.evaluation.asking import Asker
from dyto.evaluation.evaluate import evaluate
from dyto.models.loading.options import Loading
from dyto.savings import Savings
from evaluation.world import predictions, rows, settings, write_questions


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


@pytest.mark.parametrize("overlap", [True, False, None])
def test_the_next_video_is_decoded_while_one_is_asked_about_if_the_saving_is_on(world, monkeypatch, overlap):
    """On a CPU it is off unless asked for."""
    done, second = [], threading.Event()
    load, ask = runner.load_clip, Asker.rows

    def watched_load(loader, samples):
        content = load(loader, samples)
        done.append("load")
        if done.count("load") == 2:
            second.set()
        return content

    def watched_ask(*args):
        if "ask" not in done and overlap:
            assert second.wait(60)
        done.append("ask")
        return ask(*args)

    monkeypatch.setattr(runner, "load_clip", watched_load)
    monkeypatch.setattr(Asker, "rows", watched_ask)
    evaluate(settings(world, savings=Savings(overlap=overlap)))
    assert done.count("load") == done.count("ask") == 6
    assert done[:2] == ["load", "load"] if overlap else done == ["load", "ask"] * 6


def test_results_of_another_configuration_are_left_alone_and_the_difference_named(world):
    evaluate(settings(world, limit=2))
    before = predictions(world)
    with pytest.raises(DatasetError, match=r"max_new_tokens was 3 and is now 4: give this run another --name"):
        evaluate(settings(world, max_new_tokens=4))
    with pytest.raises(DatasetError, match=r"strategy\.name was 'plus' and is now 'uniform'"):
        evaluate(settings(world, strategy="uniform"))
    write_questions(world / "val_qa.json", ["v0.mp4"], 3)
    with pytest.raises(DatasetError, match="questions was"):
        evaluate(settings(world))
    assert predictions(world) == before


def test_savings_that_can_change_an_answer_are_a_part_of_the_configuration_and_others_are_not(world):
    evaluate(settings(world, limit=3))
    before = predictions(world)
    evaluate(settings(world, limit=3, savings=replace(Savings.none(), quick_resize=True)))
    assert predictions(world) == before
    with pytest.raises(DatasetError, match=r"savings was .* and is now|savings\.quick_resize was"):
        evaluate(settings(world, limit=3, savings=Savings(quick_resize=False)))
    with pytest.raises(DatasetError, match=r"savings was .* and is now|savings\.similar was"):
        evaluate(settings(world, limit=3, savings=Savings(similar=1)))
    evaluate(settings(world, "alike", limit=3, savings=Savings(similar=0, still=True)))
    manifest = json.loads((world / "alike/artifacts/nextqa/run/manifest.json").read_text())
    assert manifest["config"]["savings"] == {"similar": 0.0, "still": True}
    assert predictions(world, "alike") == before


def test_a_run_is_described_so_that_it_can_be_repeated(world):
    evaluate(settings(world, limit=1))
    manifest = json.loads((world / "out/artifacts/nextqa/run/manifest.json").read_text())
    assert manifest["config"]["model"] == "tiny"
    assert len(manifest["config"]["weights"]) == 16
    assert "{question}" in manifest["config"]["prompt"]
    assert manifest["config"]["strategy"]["name"] == "plus"
    assert manifest["question_file"]["rows"] == 24
    assert set(manifest["versions"]) >= {"torch", "transformers", "dyto", "av"}
    assert manifest["device"].startswith("cpu")
    (log,) = (world / "out/logs/nextqa/run").glob("*.jsonl")
    assert {"decode", "encode", "prefill", "generate", "total"} <= set(json.loads(log.read_text().splitlines()[0]))


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


def test_memory_that_runs_out_costs_the_question_and_not_the_run(world, monkeypatch, tiny):
    real = tiny.generate

    def generate(prefix, after, **options):
        if any(len(ids) > 100 for ids in after):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(prefix, after, **options)

    records = json.loads((world / "val_qa.json").read_text())
    records[5]["question"] = "what " * 100
    (world / "val_qa.json").write_text(json.dumps(records))
    monkeypatch.setattr(tiny, "generate", generate)
    assert evaluate(settings(world))["unanswered"] == {"failed": 1}
    assert "out of memory" in rows(world)[5]["reason"]


def test_a_strategy_of_ones_own_is_run_and_known_by_its_file(world):
    mine = world / "mine.py"
    source = "import dyto\n\ndef Mine(frames, encode, question=None, token_budget=36):\n"
    mine.write_text(f"{source}    return dyto.build_strategy('uniform', token_budget=token_budget)(frames, encode)\n")
    asked = settings(world, strategy=f"{mine}:Mine", name=None, limit=2)
    assert asked.run_folders().artifacts.name == "tiny-Mine-6frms"
    assert evaluate(asked)["coverage"] == 1
    assert evaluate(asked)["coverage"] == 1
    mine.write_text(f"{source}    return dyto.build_strategy('uniform', token_budget=18)(frames, encode)\n")
    with pytest.raises(DatasetError, match="strategy"):
        evaluate(asked)


def test_missing_subtitles_are_said_before_the_run(world):
    with pytest.raises(DatasetError, match="no subtitles of Video-MME"):
        evaluate(settings(world, benchmark="videomme-subtitles"))


def test_missing_videos_are_said_before_a_model_is_loaded(world):
    with pytest.raises(DatasetError, match="no videos of NExT-QA"):
        evaluate(settings(world, video_dir=world / "nowhere", loading=Loading("no-such-model")))


def test_scoring_by_likelihood_always_names_an_option(world):
    found = evaluate(settings(world, scoring="likelihood", limit=8))
    assert all(row["pred"] == row["candidates"][row["choice"]] for row in rows(world))
    assert not found["unparsed"]
