"""What is said in a video, through the engine and the service."""

import base64
import copy
from collections import Counter

import pytest

import dyto
from dyto.errors import ConfigError
from dyto.subtitles import finding
from dyto.subtitles.finding import Subtitles
from dyto.subtitles.parsing import Subtitle

from serving_client import ask, start
from subtitle_files import SRT, with_track

SAYS = Subtitles((Subtitle(0.5, 1.0, "red star"),), "said.srt")
PROMPTS = {"prompt": "image_seq_v3", "choice_prompt": "multiple_choice_allvideo_v4"}


@pytest.fixture(scope="module")
def listener(tiny):
    """The smallest weights that there are, as a model that reads any words."""
    model = copy.copy(tiny)
    model.knows = None
    return model


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return with_track(tmp_path_factory.mktemp("film") / "film.mkv", texts=("A red star.", "A blue ring."))


@pytest.fixture
def engine(listener):
    with dyto.Engine(listener, **PROMPTS) as engine:
        yield engine


@pytest.fixture
def heard(listener, monkeypatch):
    """The words that the model reads behind the video, row by row."""
    found, write = [], type(listener).write

    def listen(self, prefixes, after, rows, **options):
        found.extend(str(self.tokenizer.decode(ids.tolist())) for ids in after)
        return write(self, prefixes, after, rows, **options)

    monkeypatch.setattr(type(listener), "write", listen)
    return found


def test_the_engine_answers_as_the_pipeline_does_from_the_lines_of_a_file(engine, listener, film, heard):
    qa = dyto.VideoQA(listener, **PROMPTS)
    for which in (None, "auto", "track:1", SAYS):
        reply = engine.ask(film, "what is it ?", subtitles=which, max_new_tokens=3)
        answer = qa.ask(film, "what is it ?", subtitles=which, max_new_tokens=3)
        assert reply.text == answer.text
        assert reply.answer.to_dict()["subtitles"] == answer.to_dict()["subtitles"]
    assert ["red star" in words.lower() for words in heard[:4]] == [False, True, True, True]
    assert all(words.index("what is it") > words.lower().index("red star") for words in heard[1:4])


def test_tokens_take_what_is_said_along_and_may_get_it_later(engine, listener, film, heard):
    tokens = dyto.VideoQA(listener, **PROMPTS).encode(film, subtitles=SAYS)
    engine.ask(tokens, "what is it ?", max_new_tokens=1)
    plain = dyto.VideoQA(listener, **PROMPTS).encode(film)
    engine.ask(plain, "what is it ?", subtitles=SAYS, max_new_tokens=1)
    engine.ask(plain, "what is it ?", max_new_tokens=1)
    assert ["red star" in words for words in heard] == [True, True, False]


def test_twenty_questions_read_video_and_subtitles_once(engine, film, monkeypatch):
    read = []
    for module, name in (("dyto.serving.reading", "said_in"), ("dyto.serving.reading", "sample_frames")):
        real = getattr(__import__(module, fromlist=[name]), name)
        monkeypatch.setattr(
            f"{module}.{name}", lambda *a, real=real, name=name, **k: (read.append(name), real(*a, **k))[1]
        )
    counted = Counter()
    for name in ("encode", "prefill"):
        real = getattr(engine.model, name)
        monkeypatch.setattr(
            engine.model, name, lambda *a, real=real, name=name, **k: (counted.update([name]), real(*a, **k))[1]
        )
    turns = []
    for number in range(20):
        reply = engine.ask(film, f"what is {number} ?", subtitles="auto", turns=turns, max_new_tokens=1)
        turns += [("user", f"what is {number} ?"), ("assistant", "a ring")]
        assert reply.reused == (number > 0)
        assert reply.answer.spoken.told == "2 lines of track 1 (eng) of film.mkv"
    assert read == ["said_in", "sample_frames"]
    assert counted == {"encode": 1, "prefill": 1}


def test_a_file_is_read_again_when_it_has_changed(engine, film, heard):
    beside = film.with_name("film.srt")
    beside.write_text(SRT)
    try:
        engine.ask(film, "what ?", subtitles="auto", max_new_tokens=1)
        beside.write_text(SRT.replace("The password", "A red star"))
        reply = engine.ask(film, "what ?", subtitles="auto", max_new_tokens=1)
    finally:
        beside.unlink()
    assert not reply.reused
    assert ["red star" in words.lower() for words in heard] == [False, True]


def test_what_cannot_be_read_is_an_error_and_a_model_that_reads_nothing_says_so(engine, tiny, film):
    for which, message in (("track:9", "found the number 9"), ("nowhere.srt", "a file that exists")):
        with pytest.raises(dyto.DytoError, match=message):
            engine.ask(film, "what ?", subtitles=which)
    with dyto.Engine(tiny) as other:
        reply = other.ask(film, "is there a star ?", subtitles="auto", max_new_tokens=1)
        assert "reads no subtitles" in " ".join(reply.answer.warnings)
        with pytest.raises(ConfigError, match="reads only its own kind of question"):
            other.ask(film, "is there a star ?", subtitles="track:1")


def test_the_service_reads_them_in_a_child_where_a_request_asks_for_them(listener, film, heard, monkeypatch):
    monkeypatch.setattr(finding, "read_track", lambda *args: pytest.fail("read in the server's process"))
    inline = "data:video/x-matroska;base64," + base64.b64encode(film.read_bytes()).decode()
    service = start(listener, engine=dyto.Engine(listener, **PROMPTS))
    try:
        with service.client() as client:
            plain = ask(client, inline, max_tokens=1).json()
            said = ask(client, inline, max_tokens=1, dyto={"subtitles": "auto"}).json()
            assert ask(client, inline, dyto={"subtitles": "/etc/passwd"}).status_code == 400
    finally:
        service.stop()
    assert "subtitles" not in plain["dyto"]
    assert said["dyto"]["subtitles"]["read"] == 2
    assert said["dyto"]["subtitles"]["source"] == "track 1 (eng) of the video"
    assert ["red star" in words.lower() for words in heard] == [False, True]
