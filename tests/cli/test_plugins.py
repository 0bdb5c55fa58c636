"""Commands of other distributions: found without being imported, and unable to break those of `dyto` itself."""

from __future__ import annotations

import sys

import pytest

from dyto.cli import plugins
from dyto.cli.app import run

from installed import write_down, write_down_bench

COUNTING = '''
import typer

def count(words: list[str], twice: bool = False) -> None:
    """Count words."""
    typer.echo(len(words) * (1 + twice))
'''

BROKEN = {
    "a module that is missing": (None, "plug:command", "ModuleNotFoundError"),
    "a name that is missing": ("", "plug:command", "AttributeError"),
    "an import that fails": ("import nothing_of_the_kind", "plug:command", "ModuleNotFoundError"),
    "an error of its own": ("raise RuntimeError('no luck')", "plug:command", "RuntimeError: no luck"),
    "no Python": ("def command(:", "plug:command", "SyntaxError"),
    "a module that ends the process": ("raise SystemExit(0)", "plug:command", "SystemExit: 0"),
    "no function": ("command = 5", "plug:command", "TypeError"),
    "an option of no known type": ("def command(x: int | list[str] | float) -> None: ...", "plug:command", ""),
    "an entry that is none": ("", "what ? ever", ""),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder of `sys.path`; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def test_a_command_of_another_distribution_runs_with_its_options(place, capsys):
    write_down(place, "word-counter", {"count": "counter_of_words:count"})
    (place / "counter_of_words.py").write_text(COUNTING)
    assert run(["count", "a", "b", "c", "--twice"], debug=True) == 0
    assert capsys.readouterr().out == "6\n"
    assert run(["count", "--help"], debug=True) == 0
    assert "Count words." in capsys.readouterr().out
    assert run(["count", "--often"], debug=False) == 2


def test_names_are_known_and_nothing_is_imported(place, capsys):
    write_down(place, "word-counter", {"count": "counter_of_words:count"}, summary="Counts [words] and [/none].")
    write_down(place, "silent", {"quiet": "silence:quiet"}, version="3.2")
    (place / "counter_of_words.py").write_text(COUNTING)
    assert run(["--help"], debug=True) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "count Counts [words] and [/none]." in told
    assert "quiet Added by silent 3.2." in told
    assert run(["list", "models"], debug=True) == 0
    assert run(["counts"], debug=False) == 2
    assert "No such command 'counts'" in capsys.readouterr().err
    assert "counter_of_words" not in sys.modules


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_command_is_one_clear_error_when_it_is_called_and_nothing_before(kind, place, capsys):
    code, function, said = BROKEN[kind]
    write_down(place, "broken-thing", {"thing": function}, version="0.3")
    if code is not None:
        (place / "plug.py").write_text(code)
    assert run(["--help"], debug=True) == 0
    assert run(["list", "models"], debug=True) == 0
    capsys.readouterr()
    assert run(["thing"], debug=False) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the command 'thing' of broken-thing 0.3 cannot be loaded" in line
    assert said in line
    assert "uninstall it" in line


def test_a_command_that_two_distributions_have_is_neither(place, capsys):
    for name in ("one-of-them", "the-other"):
        write_down(place, name, {"count": "counter_of_words:count"})
    (place / "counter_of_words.py").write_text(COUNTING)
    assert run(["count", "a"], debug=False) == 1
    err = capsys.readouterr().err
    assert "one-of-them 1.0" in err
    assert "the-other 1.0" in err


def test_no_distribution_takes_the_place_of_a_command_of_dyto(place, capsys):
    write_down(place, "greedy", {"list": "nowhere:at_all"})
    assert run(["list", "prompts"], debug=True) == 0
    assert "tiny" in capsys.readouterr().out


@pytest.mark.parametrize("damaged", ["[dyto.commands]\nno equals sign\n", b"\xff\xfe\x00"], ids=["no entry", "no text"])
def test_a_damaged_list_of_what_is_installed_leaves_dyto_as_it_is(damaged, place, capsys):
    write_down(place, "damaged", {})
    (entries,) = place.glob("*.dist-info/entry_points.txt")
    entries.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    assert run(["list", "prompts"], debug=True) == 0
    assert run(["--help"], debug=True) == 0
    capsys.readouterr()
    assert run(["bench"], debug=False) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the list of what is installed is damaged" in line


@pytest.mark.parametrize("words", [["bench"], ["bench", "--help"], ["bench", "clip.mp4", "--runs", "3"]])
def test_without_dyto_bench_one_line_says_what_is_missing(words, monkeypatch, capsys):
    monkeypatch.setattr(plugins, "entry_points", lambda **wanted: ())
    assert run(words, debug=False) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "needs dyto-bench, which is not installed: run pip install ./tools/bench in a clone of dyto's repository"
        in line
    )


def test_with_dyto_bench_its_command_is_there(place, monkeypatch, capsys):
    write_down_bench(place)
    assert run(["--help"], debug=True) == 0
    assert "bench Show where the time goes" in " ".join(capsys.readouterr().out.split())
    assert run(["bench", "--help"], debug=True) == 0
    assert "--random-weights" in capsys.readouterr().out
