"""One error, one status: the same failure has the same name in every command; how a run is told to stop."""

from __future__ import annotations

import json

import pytest
import torch

import dyto
from dyto.errors import (
    BadQuestionError,
    ConfigError,
    DatasetError,
    MissingExtraError,
    TooManyErrorsError,
    UnsafeNameError,
)
from dyto.evaluation.evaluate import evaluate
from dyto.evaluation.outcome import ErrorLimit, reason_of, status_of
from dyto.evaluation.rows import STATUSES
from dyto.scaling import working
from dyto.scaling.working import refusal
from evaluation.world import rows, settings
from test_errors import tree


@pytest.mark.parametrize(
    ("err", "status"),
    [
        (dyto.DoesNotFitError("4148 tokens"), "does_not_fit"),
        (dyto.BadFeaturesError("NaN"), "failed"),
        (dyto.ModelError("no weights"), "failed"),
        (dyto.StrategyError("mine failed"), "failed"),
        (dyto.VideoError("cut off"), "undecodable"),
        (BadQuestionError("empty"), "bad_row"),
        (ConfigError("budget 3"), "does_not_fit"),
        (UnsafeNameError("../x"), "unsafe_name"),
        (MissingExtraError("It", "p", "e"), "failed"),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed"),
        (MemoryError(), "failed"),
        (ZeroDivisionError("division by zero"), "failed"),
        (RuntimeError("device-side assert"), "failed"),
    ],
)
def test_an_error_has_one_status(err, status):
    assert status_of(err) == status


def test_every_error_has_a_status_and_a_reason_of_one_line():
    for kind in tree(dyto.DytoError):
        err = kind("a", "b", "c") if issubclass(kind, MissingExtraError) else kind("two\nlines")
        assert status_of(err) in STATUSES
        assert "\n" not in reason_of(err)
    assert reason_of(KeyError("nothing here")) == "KeyError: 'nothing here'"
    assert "out of memory" in reason_of(torch.OutOfMemoryError("CUDA error at 0x00"))


STRANGER = """
import sys, torch, dyto
calls = []
def Mine(frames, encode, question=None, token_budget=36):
    calls.append(1)
    if len(calls) == 2:
        {failing}
    return dyto.build_strategy('uniform', token_budget=token_budget)(frames, encode)
"""
FAILING = {
    "1 / 0": "ZeroDivisionError",
    "[][1]": "IndexError",
    "torch.ones(2) @ torch.ones(3)": "RuntimeError",
    "sys.exit(4)": "SystemExit",
    "raise Exception('half \\ud800\\nsecond line')": "Exception",
    "return None": "returned NoneType",
    "import dataclasses; return dataclasses.replace("
    "dyto.build_strategy('uniform', token_budget=36)(frames, encode), budget=1)": "exceed the budget",
    "assert False": "AssertionError",
    "raise dyto.BadFeaturesError('NaN in it')": "NaN in it",
}


@pytest.mark.parametrize("failing", FAILING)
def test_an_exception_out_of_a_strategy_costs_its_video_and_stands_in_the_log(world, failing):
    (world / "mine.py").write_text(STRANGER.format(failing=failing))
    found = evaluate(settings(world, strategy=f"{world / 'mine.py'}:Mine", limit=12))
    assert found["unanswered"] == {"failed": 2}
    failed = [row for row in rows(world) if row["status"] == "failed"]
    assert all(FAILING[failing] in row["reason"] and "\n" not in row["reason"] for row in failed)
    logged = [
        json.loads(line) for path in (world / "out/logs").rglob("*.jsonl") for line in path.read_text().splitlines()
    ]
    (error,) = [line for line in logged if "traceback" in line]
    assert error["traceback"].startswith("Traceback")
    if "return" not in failing:
        assert "mine.py" in error["traceback"]
    assert error["video"] == failed[0]["video_name"]


def test_in_python_it_is_a_strategy_error_that_keeps_its_cause(tiny, clip):
    def mine(frames, encode, question=None):
        return {}["nothing"]  # type: ignore[index]

    with pytest.raises(dyto.StrategyError, match="strategy .*mine failed: KeyError: 'nothing'") as caught:
        dyto.VideoQA(tiny, mine).ask(clip, "what ?", num_frames=4)
    assert isinstance(caught.value.__cause__, KeyError)

    def stopped(frames, encode, question=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dyto.VideoQA(tiny, stopped).ask(clip, "what ?", num_frames=4)


def test_nan_is_failed_and_never_does_not_fit(world, tiny, monkeypatch):
    real = tiny.prefill

    def prefill(before, video, **options):
        tokens = video if isinstance(video, torch.Tensor) else video.data
        return real(before, torch.full_like(tokens, torch.nan), **options)

    monkeypatch.setattr(tiny, "prefill", prefill)
    assert evaluate(settings(world, limit=3))["unanswered"] == {"failed": 3}
    assert "NaN" in rows(world)[0]["reason"]


def test_a_budget_that_no_video_meets_ends_the_run_and_one_that_some_do_costs_those(world):
    with pytest.raises(ConfigError, match="raise the budget"):
        evaluate(settings(world, strategy="uniform", options={"token_budget": 3}))
    source = STRANGER.format(failing="raise dyto.ConfigError('budget 36, but a frame of this video has 40')")
    (world / "mine.py").write_text(source)
    found = evaluate(settings(world, "mine", strategy=f"{world / 'mine.py'}:Mine", limit=12))
    assert found["unanswered"] == {"does_not_fit": 2}


class OddError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_error_of_a_worker_arrives_with_class_message_and_traceback():
    def raised(err):
        try:
            raise err
        except Exception as caught:  # noqa: BLE001
            told = refusal(7, caught)
            return told.error, told.where

    err, where = raised(MissingExtraError("Reading a parquet file", "pyarrow", "parquet"))
    assert type(err) is MissingExtraError
    assert "pip install '.[parquet]'" in str(err)
    assert "raise err" in where
    err, where = raised(OddError(1, 2))
    assert type(err) is dyto.DytoError, "it cannot be put together again"
    assert str(err) == "OddError: 1 and 2"
    assert str(working.InWorker(where)).startswith("in a worker:\nTraceback")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "0.0", "nan", "inf", "x", "", "1e-1", "²", "10%", "-0.5"])
def test_a_limit_of_errors_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="expected a number of questions such as 10, or a share"):
        ErrorLimit.parse(text)


def test_one_is_a_count_and_one_with_a_point_a_share():
    assert ErrorLimit.parse("1") == ErrorLimit(count=1)
    assert ErrorLimit.parse("1.0") == ErrorLimit(share=1.0)
    assert ErrorLimit.parse(" 25 ") == ErrorLimit(count=25)
    assert ErrorLimit.parse(None) == ErrorLimit()


def test_a_share_is_told_after_twenty_rows_and_a_count_at_once():
    half = ErrorLimit(share=0.5)
    half.check(lambda: [False] * 19)
    half.check(lambda: [True] * 11 + [False] * 10)
    with pytest.raises(TooManyErrorsError, match=r"10 of 20 recorded rows .*--fail-on-error is 0.5"):
        half.check(lambda: [True] * 10 + [False] * 10)
    ErrorLimit(count=2).check(lambda: [False, True])
    with pytest.raises(TooManyErrorsError, match="kept"):
        ErrorLimit(count=2).check(lambda: [False, True, False])
    ErrorLimit().check(lambda: 1 / 0)  # type: ignore[return-value]


def test_a_run_stops_at_so_many_errors_and_keeps_what_it_has(world):
    for i in range(6):
        if i != 1:
            (world / f"videos/v{i}.mp4").write_bytes(b"broken")
    with pytest.raises(DatasetError, match="8 of 12 recorded rows have no answer"):
        evaluate(settings(world, error_limit=ErrorLimit(count=5)))
    assert len(settings(world).run_folders().journal().refresh()) == 12
    found = evaluate(settings(world))
    assert found["unanswered"] == {"undecodable": 20}
    with pytest.raises(TooManyErrorsError, match="20 of 24"):  # nothing is open any longer
        evaluate(settings(world, error_limit=ErrorLimit(count=5)))
    assert evaluate(settings(world, error_limit=ErrorLimit(count=21)))["answered"] == 4
    assert evaluate(settings(world, "share", limit=18, error_limit=ErrorLimit(share=0.1)))["answered"] == 3
    with pytest.raises(TooManyErrorsError):
        evaluate(settings(world, "all", error_limit=ErrorLimit(share=0.1)))
