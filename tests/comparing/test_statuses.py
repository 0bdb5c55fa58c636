"""The same failure has the same status in a run, in a comparison and in its control without a video."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch

import dyto
from comparing.test_compare import BREAKS, contest, rows
from dyto.comparing.compare import compare
from dyto.errors import ConfigError, TooManyErrorsError
from dyto.evaluation.evaluate import evaluate
from dyto.evaluation.outcome import ErrorLimit
from evaluation.world import rows as eval_rows
from evaluation.world import settings as eval_settings


def statuses(found: list[dict]) -> dict[str, str]:
    """The status of the first question for every strategy, the control among them."""
    return {row["strategy"]: row["status"] for row in found if row["place"] == 0}


def ask_both_ways(world: Path) -> set[str]:
    """The status of the first question in a run, and in every cell of a comparison."""
    compare(contest(world, budgets="72"))
    evaluate(eval_settings(world, "single"))
    found = statuses(rows(world))
    assert set(found) == {"dyto", "uniform", "blind"}
    return {eval_rows(world, "single")[0]["status"], *found.values()}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"question": "why " * 3000}, "does_not_fit"),
        ({"question": "what is <image> ?"}, "bad_row"),
        ({"candidates": [str(i) for i in range(50)], "answer": "0"}, "bad_row"),
        ({"candidates": 5}, "bad_row"),
        ({"question": "half \ud800"}, "bad_row"),
    ],
)
def test_what_is_wrong_with_a_question_has_one_name(world, change, status):
    path = world / "val_qa.json"
    records = json.loads(path.read_text())
    path.write_text(json.dumps([records[0] | change, *records[1:]]))
    assert ask_both_ways(world) == {status}
    assert Counter(row["status"] for row in rows(world)) == {"answered": 15, status: 3}


@pytest.mark.parametrize(
    ("err", "status"),
    [
        (dyto.BadFeaturesError("logits hold NaN"), "failed"),
        (dyto.ModelError("it gives up"), "failed"),
        (dyto.DoesNotFitError("4148 tokens"), "does_not_fit"),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed"),
        (RuntimeError("device-side assert"), "failed"),
    ],
)
def test_what_goes_wrong_while_answering_has_one_name(world, tiny, monkeypatch, err, status):
    def generate(*words, **options):
        raise err

    monkeypatch.setattr(tiny, "generate", generate)
    assert ask_both_ways(world) == {status}


def test_a_strategy_that_breaks_leaves_its_traceback_in_the_log_of_the_comparison(world):
    compare(contest(world, strategies=f"dyto,{BREAKS}", budgets="72"))
    broken = [row for row in rows(world) if row["strategy"] == BREAKS]
    assert {row["status"] for row in broken} == {"failed"}
    assert all("KeyError: 'nothing here'" in row["reason"] for row in broken)
    lines = [json.loads(line) for path in (world / "out/logs").iterdir() for line in path.read_text().splitlines()]
    assert len(lines) == 3
    assert all("strangers.py" in line["traceback"] for line in lines)


def test_a_setting_that_no_video_meets_ends_the_comparison(world):
    with pytest.raises(ConfigError, match="num_frames"):
        compare(contest(world, budgets="72", settings={"sampling": {"num_frames": 0}}))


def test_a_comparison_stops_at_so_many_rows_without_an_answer(world):
    limit = {"error_limit": ErrorLimit(count=4)}
    with pytest.raises(TooManyErrorsError, match="4 of "):
        compare(contest(world, strategies=f"dyto,{BREAKS}", budgets="72", settings=limit))
    found = compare(contest(world, strategies=f"dyto,{BREAKS}", budgets="72"))
    assert found["questions"] == 6
    with pytest.raises(TooManyErrorsError, match="6 of 24"):  # nothing is open any longer
        compare(contest(world, strategies=f"dyto,{BREAKS}", budgets="72", settings=limit))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("field", ["sample", "rotation", "strategy", "budget"])
def test_a_row_or_a_cost_that_is_none_is_done_again(world, field):
    compare(contest(world, budgets="72"))
    before = (world / "out/predictions.jsonl").read_bytes()
    for folder in ("rows", "costs"):
        for path in (world / "out" / folder).glob("*.jsonl"):
            kept = [json.loads(line) for line in path.read_text().splitlines()]
            lost = field if folder == "rows" else {"sample": "cell", "rotation": "seconds"}.get(field, "run")
            path.write_text("".join(json.dumps({k: v for k, v in row.items() if k != lost}) + "\n" for row in kept[:2]))
    compare(contest(world, budgets="72"))
    assert (world / "out/predictions.jsonl").read_bytes() == before
