"""What the fields of the page ask for, and what is written on it."""

import sys

import pytest

import dyto
from dyto.cli.app import run
from dyto.demo.app import NOTHING, _plain, facts_of, read_wish

FIELDS = {
    "video": "v.mp4", "question": "what ?", "options": "", "model": "tiny", "strategy": "dyto", "preset": NOTHING,
    "budget": 0, "versus": NOTHING,
}  # fmt: skip


def test_fields_become_strategies_at_one_budget():
    wish = read_wish(**{**FIELDS, "preset": "finest", "budget": 99, "versus": "uniform", "options": " a \n\nb\n"})
    assert [type(strategy) for strategy in wish.strategies] == [dyto.DyTo, dyto.Uniform]
    assert [strategy.token_budget for strategy in wish.strategies] == [99, 99]  # type: ignore[attr-defined]
    assert wish.strategies[0].partition == "finest"  # type: ignore[attr-defined]
    assert wish.choices == ["a", "b"]
    assert read_wish(**FIELDS).choices is None
    assert read_wish(**{**FIELDS, "versus": "paper-34b"}).strategies[1].max_keyframes == 50  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video": None}, "no video yet"),
        ({"question": "  "}, "question is empty"),
        ({"strategy": "uniform", "preset": "finest"}, "goes with the strategy dyto only"),
        ({"budget": -3}, "expected at least 1"),
    ],
)
def test_fields_that_do_not_go_together_are_told(changes, message):
    with pytest.raises(dyto.ConfigError, match=message):
        read_wish(**{**FIELDS, **changes})


@pytest.mark.parametrize("field", ["strategy", "versus"])
def test_a_request_cannot_name_a_file_to_be_run(tmp_path, field):
    ran = tmp_path / "ran"
    (tmp_path / "mine.py").write_text(f"open({str(ran)!r}, 'w')\ndef mine(*args): pass\n")
    with pytest.raises(dyto.ConfigError, match="unknown strategy"):
        read_wish(**{**FIELDS, field: f"{tmp_path / 'mine.py'}:mine"})
    assert not ran.exists()


def test_text_from_outside_is_neither_html_nor_markdown():
    hostile = "<img src=x onerror=alert(1)> **bold** [a](http://b) `c`"
    plain = _plain(hostile)
    assert not set("<>*[]`") & set(plain)


def test_facts_name_the_chosen_option(qa, clip):
    answer = qa.ask(clip, "which ?", choices=["a*b", "c"], max_new_tokens=2)
    assert "Option: **" in facts_of(answer, ["a*b", "c"])
    assert "a*b" not in facts_of(answer, ["a*b", "c"])
    assert "Option" not in facts_of(answer, None)


def test_without_gradio_the_command_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert run(["demo", "--port", "0"], debug=False) == 1
    assert "pip install '.[demo]'" in capsys.readouterr().err
