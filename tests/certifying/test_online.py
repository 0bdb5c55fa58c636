"""The examination of the online form: every seeded fault is found, and nothing where nothing is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dyto
from certifying.unsteady import UNSTEADY, Steady
from dyto.certifying.online_checks import ONLINE_CHECKS
from dyto.certifying.report import FAILED, PASSED
from dyto.cli.app import run
from dyto.errors import ConfigError

HERE = Path(__file__).parent


SLOW = {"OnlyTheLast", "KeepsTimes", "KeepsInItsClass", "keeps_in_a_closure"}
"""Faults of a kind of which another is found in every run."""


def named(value):
    return getattr(value, "__name__", value)


def daily_or_soak():
    return [
        pytest.param(unsteady, check, marks=[pytest.mark.soak] * (unsteady.__name__ in SLOW))
        for unsteady, check in UNSTEADY.items()
    ]


@pytest.mark.parametrize(("unsteady", "check"), daily_or_soak(), ids=named)
def test_every_fault_is_found(small, unsteady, check):
    report = dyto.certify(unsteady, small, online=True, only=(check,))
    assert check in report.failed, str(report)


@pytest.mark.parametrize(
    "steady", [Steady, *(pytest.param(name, marks=pytest.mark.soak) for name in ("plus", "plus-query"))], ids=str
)
def test_nothing_is_found_where_nothing_is_wrong(small, steady):
    report = dyto.certify(steady, small, online=True)
    assert report.passed, str(report)
    assert {check.outcome for check in report.checks} == {PASSED}
    assert [check.name for check in report.checks] == list(ONLINE_CHECKS)


def test_a_strategy_that_looks_at_all_frames_has_no_online_form(small):
    with pytest.raises(ConfigError, match=r"uniform has no online form, expected one .*\(plus, plus-query\)"):
        dyto.certify("uniform", small, online=True)
    with pytest.raises(ConfigError, match="did you mean 'causality'"):
        dyto.certify("plus", small, online=True, only=("causalty",))


def test_the_command(small, monkeypatch, capsys):
    monkeypatch.setattr("dyto.models.loading.load.load_model", lambda name, **options: small)
    assert run(["certify", "plus", "--online", "--only", "asking"], debug=False) == 0
    assert "questions change nothing" in capsys.readouterr().out
    words = [f"{HERE / 'unsteady.py'}:OneLate", "--online", "--only", "present", "--json"]
    assert run(["certify", *words], debug=False) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["checks"][-1]["outcome"] == FAILED
    assert "the newest frame" in found["checks"][-1]["detail"]
