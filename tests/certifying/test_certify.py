"""The examination: every seeded fault is found, every correct strategy passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dyto
from certifying.faulty import FAULTS, Good, Hangs, does_nothing_without_a_setting
from dyto.certifying.certify import CHECKS
from dyto.certifying.report import FAILED, PASSED, SKIPPED
from dyto.cli.app import run
from dyto.errors import ConfigError

HERE = Path(__file__).parent


@pytest.mark.sampled(2)
@pytest.mark.parametrize(("faulty", "check"), FAULTS.items(), ids=lambda value: getattr(value, "__name__", value))
def test_every_fault_is_found(small, faulty, check):
    report = dyto.certify(faulty, small, only=(check,))
    assert check in report.failed, str(report)


def test_the_strategy_around_which_the_faults_were_built_has_none(small):
    report = dyto.certify(Good, small)
    assert report.passed, str(report)
    assert {check.outcome for check in report.checks} == {PASSED}
    assert [check.name for check in report.checks] == list(CHECKS)


@pytest.mark.soak
def test_a_strategy_that_takes_no_budget_is_held_to_the_one_that_is_stated(small):
    assert "no-op" in dyto.certify(does_nothing_without_a_setting, small, budget=40).failed
    outcomes = {check.name: check.outcome for check in dyto.certify(does_nothing_without_a_setting, small).checks}
    assert outcomes["no-op"] == outcomes["budget"] == SKIPPED


def test_only_the_checks_that_are_named_are_made(small):
    report = dyto.certify(Good, small, only=("budget", "cache"))
    assert [check.name for check in report.checks] == ["interface", "budget", "cache"]
    with pytest.raises(ConfigError, match="did you mean 'budget'"):
        dyto.certify(Good, small, only=("budgte",))


def test_a_strategy_that_does_not_work_at_all_is_examined_no_further(small):
    def needs_depth(frames, encode, question=None):
        raise ConfigError("strategy 'deep' needs depth, but this model does not offer it")

    (check,) = dyto.certify(needs_depth, small).checks
    assert check.outcome == FAILED
    assert "needs depth" in check.detail


def test_a_strategy_that_comes_to_no_end_is_stopped(small):
    report = dyto.certify(Hangs, small, seconds=1.5)
    assert report.failed == ("interface",)
    assert "longer than 1.5 s" in report.checks[0].detail


def test_an_error_commands_neither_the_table_nor_the_terminal(command):
    code, out, _ = command(f"{HERE / 'faulty.py'}:ShoutsInColor")
    assert code == 1
    assert "[/bold] \N{REPLACEMENT CHARACTER}[2Jgone" in out


@pytest.fixture
def command(small, monkeypatch, capsys):
    monkeypatch.setattr("dyto.models.loading.load.load_model", lambda name, **options: small)

    def call(*words):
        code = run(["certify", *map(str, words)], debug=False)
        return code, *capsys.readouterr()

    return call


def test_the_command_leaves_with_0_for_a_good_strategy_and_with_1_for_a_bad_one(command):
    code, out, _ = command(f"{HERE / 'faulty.py'}:Good")
    assert code == 0
    assert "no fault found" in out
    code, out, _ = command(f"{HERE / 'faulty.py'}:BackwardsInTime")
    assert code == 1
    assert "go back in time" in out


def test_the_report_as_json(command):
    code, out, _ = command(f"{HERE / 'faulty.py'}:NotANumber", "--json")
    found = json.loads(out)
    assert code == 1
    assert not found["passed"]
    assert found["checks"][0]["outcome"] == FAILED
    assert "NaN" in found["checks"][0]["detail"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("unifrom", "did you mean 'uniform'"),
        ("no_such_module:x", "no module named 'no_such_module'"),
        ("missing.py:x", "there is no file missing.py"),
        (f"{HERE / 'faulty.py'}:Goood", "did you mean 'Good'"),
        (f"{HERE / 'faulty.py'}:FAULTS", "expected a strategy"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(command, target, said):
    code, _, err = command(target)
    assert code == 2
    assert said in " ".join(err.split())
