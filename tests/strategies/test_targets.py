"""Strategies that somebody names: what is said of a name that is none."""

from __future__ import annotations

import dataclasses
import json
import threading

import pytest

from dyto.errors import ConfigError
from dyto.strategies.calling import describe_strategy
from dyto.strategies.targets import find_strategy

SOURCE = """
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Mine:
    token_budget: int = 10

    def __call__(self, frames, encode, question=None):
        return encode.patches(range(1))
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_strategy_of_a_file_is_found(module):
    assert find_strategy(f"{module}:Mine")().token_budget == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Mien", "unknown name in .*mine.py 'Mien': did you mean 'Mine'\\? Known: Mine$"),
        ("zzz", "unknown name in .*mine.py 'zzz': known are Mine$"),
        ("Mine.zzz", "unknown name in .*mine.py 'Mine.zzz': none is known$"),
        ("__doc__", "mine.py:__doc__ is a NoneType, expected a strategy"),
    ],
)
def test_of_a_name_that_is_none_the_error_says_what_the_file_defines_itself(module, name, message):
    with pytest.raises(ConfigError, match=message):
        find_strategy(f"{module}:{name}")


def test_where_a_module_defines_nothing_itself_the_error_says_what_it_passes_on(tmp_path):
    path = tmp_path / "passing.py"
    path.write_text("from collections import OrderedDict\n")
    with pytest.raises(ConfigError, match="known are OrderedDict$"):
        find_strategy(f"{path}:zzz")


def test_an_unknown_strategy_names_the_known_ones():
    with pytest.raises(ConfigError, match="unknown strategy 'zzz': known are .*FILE.py:NAME.* uniform"):
        find_strategy("zzz")


def test_a_strategy_that_holds_what_cannot_be_copied_can_be_described():
    @dataclasses.dataclass
    class Holding:
        lock: object
        grid: tuple = (1, 2)
        name = "holding"

    told = describe_strategy(Holding(threading.Lock()))
    assert told["lock"] == "<_thread.lock>"
    assert json.loads(json.dumps(told))["grid"] == [1, 2]
