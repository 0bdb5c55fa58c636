"""Runs of open-ended benchmarks: asked, judged, and kept when the judge fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dyto.errors import ConfigError, DatasetError, JudgeError
from dyto.evaluation.evaluate import Judging, evaluate
from dyto.evaluation.settings import Settings
from dyto.models.loading.options import Loading
from evaluation.world import rows, settings


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


def test_a_judge_may_be_asked_later_without_loading_the_model(world, stub, monkeypatch):
    run = settings(world, benchmark="msvd", qa_file=open_questions(world))
    assert evaluate(run, Judging("none"))["measures"] == {}

    def load(*words, **options):
        raise AssertionError("nothing is left to be asked of the model")

    monkeypatch.setattr("dyto.pipeline.load_model", load)
    assert evaluate(run, Judging("openai"))["measures"]["accuracy"]["value"] == 1
    with pytest.raises(DatasetError, match="max_new_tokens was 3 and is now 5"):
        evaluate(settings(world, benchmark="msvd", qa_file=open_questions(world), max_new_tokens=5))


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


def test_a_judge_that_cannot_be_asked_is_said_before_the_run(world, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(JudgeError, match="has no key"):
        evaluate(settings(world, benchmark="msvd", qa_file=open_questions(world)), Judging("openai"))
    assert not (world / "out").exists()


def test_scoring_by_likelihood_needs_options(world):
    with pytest.raises(ConfigError, match="needs options"):
        evaluate(settings(world, benchmark="msvd", qa_file=open_questions(world), scoring="likelihood"))


def test_the_former_arguments_of_settings_are_taken_with_a_warning():
    with pytest.warns(DeprecationWarning, match="loading=Loading"):
        former = Settings("nextqa", model="tiny", device="cpu", attention="eager")  # type: ignore[call-arg]
    assert former == Settings("nextqa", loading=Loading("tiny", device="cpu", attn_implementation="eager"))
