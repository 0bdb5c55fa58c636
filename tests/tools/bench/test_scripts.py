"""The scripts of `make bench`: each can be loaded, says how it is used, and is where the Makefile looks for it."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "tools" / "bench" / "scripts"
EVERY = sorted(path.stem for path in SCRIPTS.glob("*.py"))
WITH_OPTIONS = [name for name in EVERY if "ArgumentParser" in (SCRIPTS / f"{name}.py").read_text("utf-8")]


@pytest.fixture(scope="module", autouse=True)
def scripts():
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.mark.parametrize("name", EVERY)
def test_a_script_can_be_loaded_without_running(name, capsys):
    importlib.import_module(name)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_a_script_says_how_it_is_used(name, monkeypatch, capsys):
    module = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as left:
        module.main()
    assert left.value.code in (None, 0)
    assert f"usage: {name}.py" in capsys.readouterr().out


def test_the_makefile_names_scripts_that_are_there():
    makefile = (SCRIPTS.parents[2] / "Makefile").read_text("utf-8")
    named = re.findall(r"\$\(SCRIPTS\)/(\w+)\.py(.*)$", makefile, re.MULTILINE)
    assert len(named) > 5
    for name, words in named:
        text = (SCRIPTS / f"{name}.py").read_text("utf-8")
        for option in re.findall(r"--([\w-]+)", words):
            assert f"--{option}" in text or f'"{option}"' in text, f"{name}.py has no --{option}"
