"""What the fields of the page ask for, and what is written on it."""

import io
import re
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

import dyto
from dyto.cli.app import run
from dyto.demo.events import ShownPart
from dyto.demo.handling import plain
from dyto.demo.look import sample_script, sample_style
from dyto.demo.samples import make_samples
from dyto.demo.showing import MANY, ShownShot, ShownSide, ShownTurn, facts_of, player, shots, side_of, timeline, zipped
from dyto.demo.uploads import UploadedVideo
from dyto.demo.wishes import NOTHING, read_wish
from dyto.models.loading.naming import usual_model

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


HOSTILE = "<img src=x onerror=alert(1)> **bold** [a](http://b) `c` ${alert(1)} {{c}} \"'"


def test_text_from_outside_is_neither_html_nor_markdown():
    assert not set("<>*[]`$") & set(plain(HOSTILE))
    side = ShownSide(HOSTILE, HOSTILE, HOSTILE, "", (HOSTILE,), True)
    page = ShownTurn(HOSTILE, [HOSTILE], (side, side)).html()
    page += player(UploadedVideo("token.mp4", Path("token.mp4"), HOSTILE, "me"))
    page += shots("frames", [(HOSTILE, [ShownShot("x.jpg", 1.0, HOSTILE)])] * 2)
    assert "<img src=x" not in page
    assert HTML(page).attributes <= {"class", "id", "src", "alt", "title", "type", "loading", "data-second", "hidden",
                                     "controls", "playsinline", "preload", "aria-label"}  # fmt: skip


class HTML(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.attributes = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes |= {name for name, _ in attrs}


def test_facts_name_the_chosen_option_and_the_time_that_really_went_by(qa, clip):
    answer = qa.ask(clip, "which ?", choices=["a*b", "c"], max_new_tokens=2)
    fresh = facts_of("plus", answer, ["a<b", "c"], 3.21, False)
    assert "Option: <strong>" in fresh
    assert "a<b" not in fresh
    assert "Answered after 3.2 s, of which reading the video took" in fresh
    again = facts_of("plus", answer, None, 0.04, True)
    assert "Option" not in again
    assert "Answered after 0.0 s; the video had been read before" in again


def test_a_note_names_a_menu_or_what_starts_the_page_and_no_flag_alone(qa, clip):
    answer = qa.ask(clip, "which ?", max_new_tokens=2)
    (flag,) = [warning for warning in answer.warnings if "pass --model" in warning]
    name = flag.partition("--model ")[2].partition(" ")[0]
    (note,) = side_of("plus", answer, None, 1.0, False, ["tiny"]).notes
    assert f"start the page with dyto demo --model {name} (" in note
    (note,) = side_of("plus", answer, None, 1.0, False, ["tiny", name]).notes
    assert f"choose {name} in the menu Model (" in note


@pytest.mark.parametrize(
    ("token", "tag"), [("a.mp4", "<video"), ("a.gif", "<img"), ("a", "browsers do not show"), ("a.mkv", "<video")]
)
def test_only_what_browsers_may_play_gets_a_player(token, tag):
    shown = player(UploadedVideo(token, Path(token), "holiday", "me"))
    assert tag in shown
    assert ("<video" in shown) == (tag == "<video")


def test_the_pictures_of_many_key_frames_are_smaller():
    def page(count):
        return shots("frames", [("plus", [ShownShot(f"{n}.jpg", float(n), "1 s") for n in range(count)])])

    assert page(0) != ""
    assert shots("frames", []) == ""
    assert "many" not in page(MANY)
    assert "many" in page(MANY + 1)
    assert page(100).count('<button type="button" class="shot"') == 100


def test_the_timeline_shows_the_parts_in_proportion_and_marks_key_frames():
    parts = (ShownPart(0.0, 2.0, (1, 2, 3)), ShownPart(2.0, 10.0, (250, 0, 0)))
    shown = timeline(parts, [1.0, 5.0])
    assert re.findall(r'data-second="([\d.]+)"', shown) == ["0.000", "2.000"]
    assert re.findall(r"flex-grow:([\d.]+);background:rgb([^\"]+)", shown) == [
        ("2.000", "(1, 2, 3)"), ("8.000", "(250, 0, 0)")
    ]  # fmt: skip
    assert re.findall(r"left:([\d.]+)%", shown) == ["10.00", "50.00"]
    assert "2 parts" in shown
    assert timeline((), []) == ""


def test_the_key_frames_are_in_one_file_with_a_table(qa, clip):
    keyframes = qa.ask(clip, "which ?", max_new_tokens=2).keyframes
    pictures = [f"picture {number}".encode() for number in range(len(keyframes))]
    with zipfile.ZipFile(io.BytesIO(zipped(pictures, keyframes))) as archive:
        assert archive.testzip() is None
        lines = archive.read("keyframes.csv").decode().splitlines()
        assert lines[0] == "file,index,second"
        rows = [line.split(",") for line in lines[1:]]
        assert [archive.read(name) for name, _, _ in rows] == pictures
        assert [int(index) for _, index, _ in rows] == keyframes.indices.tolist()


def test_every_sample_has_a_name_a_picture_and_a_question_for_a_bundled_model(tmp_path):
    samples = make_samples(tmp_path / "samples")
    assert len({sample.name for sample in samples}) == len(samples) >= 3
    assert {sample.model for sample in samples} == {"tiny", "nouns"}
    style = sample_style(samples)
    for number, sample in enumerate(samples, start=1):
        assert sample.question
        assert f"#sample-{number} " in style
    assert len(set(re.findall(r"data:image/jpeg;base64,([\w+/=]{1000,})", style))) == len(samples)


def test_a_sample_chooses_its_model_where_that_is_offered(tmp_path):
    (photographs, drawn, _) = make_samples(tmp_path / "samples")
    assert sample_script(photographs, ["nouns", "tiny"]).endswith(""", "nouns", null, '']""")
    assert sample_script(drawn, ["nouns", "tiny"]).endswith(""", "tiny", null, '']""")
    assert sample_script(drawn, ["qwen3-vl-2b"]).endswith("model, null, '']")


@pytest.mark.parametrize(
    ("eye", "words", "offered"),
    [
        (True, [], ["nouns", "tiny"]),
        (False, [], ["tiny"]),
        (True, ["--model", "tiny"], ["tiny"]),
        (True, ["--model", "tiny", "--model", "nouns"], ["tiny", "nouns"]),
    ],
)
def test_without_a_name_the_bundled_models_are_offered_that_of_ask_first(monkeypatch, capsys, eye, words, offered):
    monkeypatch.delenv("DYTO_MODEL", raising=False)
    monkeypatch.setattr("dyto.models.loading.naming.can_see", lambda: eye)
    served = []
    monkeypatch.setattr("dyto.demo.app.serve", lambda names, **options: served.append(names))
    assert run(["demo", "--port", "0", *words], debug=False) == 0
    assert served == [offered]
    assert usual_model(None) == ("nouns" if eye else "tiny")
    assert f"starting, with the model {offered[0]}" in capsys.readouterr().err


def test_a_model_that_is_none_is_told_before_anything_starts(capsys):
    assert run(["demo", "--port", "0", "--model", "nuons"], debug=False) == 2
    said = capsys.readouterr()
    assert "nouns" in said.err
    assert "starting" not in said.err
    assert said.out == ""


def test_the_address_stands_alone_in_its_line(monkeypatch, capsys):
    monkeypatch.setattr("dyto.demo.app.serve", lambda names, ready, **options: ready("http://127.0.0.1:7860/"))
    assert run(["demo"], debug=False) == 0
    assert capsys.readouterr().out.splitlines() == ["listening on http://127.0.0.1:7860/", "stop with ctrl-c"]


def test_without_gradio_the_command_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert run(["demo", "--port", "0"], debug=False) == 1
    assert "pip install '.[demo]'" in capsys.readouterr().err
