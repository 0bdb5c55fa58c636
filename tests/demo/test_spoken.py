"""Subtitles on the demo's page: a visitor's file, or a track inside a video."""

import copy

import pytest

import dyto
from dyto.demo.engine import DemoEngine
from dyto.demo.events import DemoQuestion, SideAnswered
from dyto.demo.handling import Handlers
from dyto.demo.limits import DemoLimits
from dyto.demo.uploads import Uploads
from dyto.demo.visitors import Visitors
from dyto.errors import ConfigError
from dyto.subtitles import finding

from subtitle_files import SRT, with_track


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return with_track(tmp_path_factory.mktemp("film") / "token.mkv", texts=("A red star.", "A blue ring."))


@pytest.fixture
def engine(tiny, monkeypatch):
    """A demo whose model reads any words, and which reads no subtitles in its own process."""
    model = copy.copy(tiny)
    model.knows, model.chat, model.name = None, "vicuna", "reader"
    monkeypatch.setattr("dyto.demo.engine.load_model", lambda name, **options: model)
    for name in ("read_lines", "read_track", "tracks_of"):
        monkeypatch.setattr(finding, name, lambda *args: pytest.fail("read in the server's process"))
    made = DemoEngine(("reader",))
    yield made
    made.close()


def ask(engine, film, *strategies, **changes):
    wish = DemoQuestion(str(film), "what ?", "reader", strategies or (dyto.Plus(),), max_new_tokens=1, **changes)
    sides = [event for event in engine.ask(wish) if isinstance(event, SideAnswered)]
    assert len(sides) == len(wish.strategies)
    return [side.answer.spoken and side.answer.spoken.told for side in sides], [side.known for side in sides]


def test_a_track_is_read_if_the_visitor_wants_it_by_both_strategies(engine, film):
    both = (dyto.Plus(), dyto.Uniform())
    assert ask(engine, film, *both, subtitles="auto")[0] == ["2 lines of track 1 (eng) of token.mkv"] * 2
    assert ask(engine, film, *both, subtitles="auto")[1] == [True, True]
    assert ask(engine, film) == ([None], [False])


def test_a_visitors_file_is_read_by_its_name(engine, film, tmp_path):
    (tmp_path / "x7f").write_text(SRT)
    said = engine.subtitles_in(str(tmp_path / "x7f"), "film.de.srt")
    assert said.optional
    assert ask(engine, film, subtitles=said)[0] == ["2 lines of film.de.srt"]
    assert ask(engine, film, subtitles=engine.subtitles_in(str(tmp_path / "x7f"), "film.de.srt"))[1] == [True]
    (tmp_path / "x7f").write_text("nothing")
    with pytest.raises(ConfigError, match=r"^film\.de\.srt has no line with times") as failed:
        engine.subtitles_in(str(tmp_path / "x7f"), "film.de.srt")
    assert "x7f" not in str(failed.value)


class Gradio:
    """What the handlers need of gradio."""

    Request = object

    @staticmethod
    def update(**changes):
        return changes.get("value")


class Request:
    session_hash = "page-1"


@pytest.fixture
def page(engine, film, tmp_path):
    """The handlers of a page, and a function that uploads a file and returns its token."""
    uploads = Uploads(tmp_path, DemoLimits())
    visitors = Visitors(uploads)
    assert visitors.admit("ann", "page-1")

    def upload(name, data):
        clip, file = uploads.begin("ann", name)
        with file:
            uploads.write(clip, file, data)
        uploads.finish(clip)
        return clip.token

    return Handlers(Gradio, engine, visitors), upload, tmp_path


def test_the_page_says_what_a_file_holds_and_what_was_read_under_the_visitors_names(page, film):
    handlers, upload, folder = page
    token, spoken = upload("holiday.mkv", film.read_bytes()), upload("holiday.srt", SRT.encode())
    hear, ask = handlers.hear(), handlers.ask()
    assert hear(token, spoken, Request) == "<bdi>holiday.srt</bdi>: 2 lines, from 1.0 s to 6.0 s"
    how = ("what ?", "", "reader", "plus", "none", 0, "none", ())

    def facts(spoken, listens):
        shown = list(ask(token, spoken, listens, *how, Request))[-1]
        return shown[2].partition('<p class="facts">')[2].partition("</p>")[0]

    assert "It read 2 lines of holiday.srt." in facts(spoken, True)
    assert "It read" not in facts(spoken, False)
    assert {path.name for path in folder.iterdir()} == {token, spoken}
    assert "It read 2 lines of track 1 (eng) of holiday.mkv." in facts("", True)
    assert {path.name for path in folder.iterdir()} == {token}
    assert "no longer" in hear(token, spoken, Request)
    bad = upload("<b>.srt", b"nothing")
    assert hear(token, bad, Request).startswith("<strong>&lt;b&gt;.srt has no line with times")
    assert hear(token, "", Request) == ""


def test_a_model_is_called_by_its_name_in_the_menu(page, film):
    """And not by its folder."""
    handlers, upload, _ = page
    handlers._models = {"mine": "reader"}
    token = upload("holiday.mkv", film.read_bytes())
    wish = (token, "", True, "what ?", "", "mine", "plus", "none", 0, "none", ())
    last = list(handlers.ask()(*wish, Request))[-1]
    assert '<p class="facts">mine with plus' in last[2]
