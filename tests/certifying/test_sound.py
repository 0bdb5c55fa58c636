"""Nothing is found where nothing is wrong: in our own strategies, and in those that people write for themselves."""

from __future__ import annotations

import pytest

import dyto
from certifying.sound import SOUND
from dyto.certifying.report import FAILED
from dyto.strategies import STRATEGIES

CALLS = 60
OF_EACH_KIND = ("plus", "AsTheQuestionSays")
"""Strategies that are certified in every run: key frames and the question."""


def named(strategy):
    return strategy.__name__


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name not in OF_EACH_KIND)) for name in STRATEGIES]
)
def test_our_own_strategies_pass_or_say_what_the_model_lacks(small, name):
    report = dyto.certify(name, small, calls=CALLS)
    lacks = report.checks[0].outcome == FAILED and "does not offer it" in report.checks[0].detail
    assert report.passed or lacks, str(report)


@pytest.mark.parametrize(
    "strategy",
    [pytest.param(one, marks=[pytest.mark.soak] * (named(one) not in OF_EACH_KIND)) for one in SOUND],
    ids=named,
)
def test_nothing_is_found_where_nothing_is_wrong(small, strategy):
    budget = 32 if strategy.__name__ == "without_a_setting" else None
    report = dyto.certify(strategy, small, budget=budget, calls=CALLS)
    assert report.passed, str(report)
