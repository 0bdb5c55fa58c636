"""What `--help` says of the options of the commands that take most of them."""

import inspect
from typing import get_args

import pytest

import dyto.cli.options
from dyto.cli import options
from dyto.cli.app import run
from dyto.strategies import DEFAULT

CLASSES = [name for name, value in vars(dyto.cli.options).items() if inspect.isclass(value)]


@pytest.mark.parametrize("command", ["ask", "eval", "compare", "inspect"])
def test_help_speaks_of_frames_and_not_of_classes(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"], debug=True) == 0
    said = capsys.readouterr().out
    assert "Frames to sample" in said
    assert not [name for name in CLASSES if name.endswith("Flags") and name in said]


def test_help_names_the_default_strategy():
    option = get_args(options.StrategyName)[1]
    assert f"(default: {DEFAULT};" in option.help
