"""Behind the demo's page: what is kept, what is bounded, what a visitor is told, and what stays of a file."""

import os
import re
import threading
import time

import pytest

import dyto
from dyto.conversation.turns import NOT_READ
from dyto.demo.engine import CHECKS, DemoEngine
from dyto.demo.events import DemoQuestion, QuestionFailed, SideAnswered, StageBegun, TextWritten
from dyto.demo.limits import DemoLimits
from dyto.demo.places import PREFIX, make_folder
from dyto.demo.samples import FILM
from dyto.demo.views import parts_of
from dyto.video import frames as video

from forge import forge_model, save_stock


@pytest.fixture
def engine(tiny, monkeypatch):
    monkeypatch.setattr("dyto.demo.engine.load_model", lambda name, **options: tiny)
    made = DemoEngine(("tiny",))
    yield made
    made.close()


def wish(clip, question="is there a red ring ?", *strategies, **changes):
    return DemoQuestion(str(clip), question, "tiny", strategies or (dyto.DyTo(),), max_new_tokens=4, **changes)


def test_an_answer_comes_in_pieces_and_then_with_its_pictures(engine, clip):
    events = list(engine.ask(wish(clip)))
    kinds = [type(event) for event in events]
    assert kinds[0] is StageBegun
    assert kinds[-1] is SideAnswered
    end = events[-1]
    assert end.answer.text == [event for event in events if isinstance(event, TextWritten)][-1].text.strip()
    assert len(end.keyframes) == len(end.maps) == len(end.answer.keyframes)
    assert all("→" in caption for _, caption in end.maps)
    assert end.seconds > 0
    assert not end.known


def test_a_second_question_neither_reads_nor_encodes_the_video_again(engine, clip, tiny, monkeypatch):
    list(engine.ask(wish(clip)))
    for name in ("encode", "prefill"):
        monkeypatch.setattr(tiny, name, lambda *a, **k: pytest.fail("done again"))
    events = list(engine.ask(wish(clip, "what shape is the ring ?")))
    assert isinstance(events[-1], SideAnswered)
    assert events[-1].answer.seconds["prefill"] < 0.1
    assert events[-1].known
    assert "reading the video" not in [event.words for event in events if isinstance(event, StageBegun)]


def test_a_video_is_decoded_once_for_its_answer_and_its_pictures(engine, clip, monkeypatch):
    read, reading = [], video.read_guarded

    def counting(path, options):
        read.append(path)
        return reading(path, options)

    monkeypatch.setattr(video, "read_guarded", counting)
    shown = list(engine.ask(wish(clip)))[-1]
    assert read == [str(clip)]
    assert {picture.size for picture, _ in shown.keyframes} == {(480, 320)}


def test_nothing_stays_of_a_file_that_is_forgotten(engine, clip, tiny, tmp_path):
    file = tmp_path / "mine.mp4"
    file.write_bytes(clip.read_bytes())
    list(engine.ask(wish(clip)))
    list(engine.ask(wish(file, "what ?", dyto.DyTo(), dyto.Uniform())))
    kept = engine._engines["tiny"].result().kept
    assert len(kept) == 3
    engine.forget(str(file))
    assert len(kept) == 1
    file.unlink()
    assert isinstance(list(engine.ask(wish(file)))[-1], QuestionFailed)


def test_the_frames_of_a_video_are_read_once_for_two_strategies(engine, clip, monkeypatch):
    read, reading = [], video.read_guarded
    monkeypatch.setattr(video, "read_guarded", lambda *a: (read.append(a[0]), reading(*a))[1])
    events = list(engine.ask(wish(clip, "what ?", dyto.DyTo(), dyto.Uniform())))
    assert [len(event.keyframes) > 0 for event in events if isinstance(event, SideAnswered)] == [True, True]
    assert read == [str(clip)]


def test_two_strategies_answer_side_by_side_and_both_are_kept(engine, clip, tiny, monkeypatch):
    pair = (dyto.DyTo(), dyto.Uniform())
    events = list(engine.ask(wish(clip, "what ?", *pair)))
    assert [event.side for event in events if isinstance(event, SideAnswered)] == [0, 1]
    monkeypatch.setattr(tiny, "prefill", lambda *a, **k: pytest.fail("done again"))
    assert isinstance(list(engine.ask(wish(clip, "what color ?", *pair)))[-1], SideAnswered)


def test_visitors_at_once_get_the_answers_that_one_gets(engine, clip):
    questions = ["is there a red ring ?", "what color is the star ?", "which is first ?"]
    alone = [list(engine.ask(wish(clip, question)))[-1].answer.text for question in questions]
    found = {}

    def visit(number):
        strategy = dyto.DyTo(token_budget=230 - number)
        found[number] = list(engine.ask(wish(clip, questions[number % 3], strategy)))[-1]

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(found[number], SideAnswered) for number in range(6))
    again = [list(engine.ask(wish(clip, question)))[-1].answer.text for question in questions]
    assert again == alone


def test_a_visitor_who_leaves_does_not_hold_up_the_next(engine, clip):
    leaving = engine.ask(wish(clip))
    next(leaving)
    leaving.close()
    assert isinstance(list(engine.ask(wish(clip)))[-1], SideAnswered)


@pytest.fixture
def held(engine, clip, tiny, monkeypatch):
    """An engine whose model is at work on the question of a first visitor until this event, and which looks often."""
    go, begun = threading.Event(), threading.Event()
    encode = tiny.encode

    def wait(*args, **options):
        begun.set()
        assert go.wait(60)
        return encode(*args, **options)

    monkeypatch.setattr(tiny, "encode", wait)
    monkeypatch.setattr("dyto.demo.waiting.LOOK_SECONDS", 0.01)
    visit = threading.Thread(target=lambda: list(engine.ask(wish(clip))))
    visit.start()
    assert begun.wait(60)
    yield go
    go.set()
    visit.join()


def told_next(visitor, kind=StageBegun):
    """What a visitor is told when nothing has happened for a while, and his video is read."""
    for event in visitor:
        assert isinstance(event, kind)
        if event.words not in ("reading the video", "waiting for the model"):
            return event.words
    raise AssertionError("it ended")


def test_who_waits_is_told_so_and_served_in_turn(engine, held, clip):
    second, third = engine.ask(wish(clip)), engine.ask(wish(clip, "what color is the star ?"))
    assert told_next(second) == told_next(second) == "another question is being answered first"
    assert told_next(third) == "2 other questions are being answered first"
    held.set()
    events = [*second, *third]
    shown = [event.answer.text for event in events if isinstance(event, SideAnswered)]
    assert len(shown) == 2
    for _ in range(100):  # the place is given up just after the last word
        inner = engine._engines["tiny"].result()
        if not inner.waiting + inner.answering:
            return
        time.sleep(0.05)
    pytest.fail("somebody is still in the line")


def test_a_file_that_hangs_its_decoder_holds_up_nobody_else(engine, clip, tmp_path, monkeypatch):
    poison = tmp_path / "poison.mp4"
    poison.write_bytes(clip.read_bytes())
    go, reading, begun = threading.Event(), video.read_guarded, threading.Event()

    def hang(path, options):
        if path == str(poison):
            begun.set()
            assert go.wait(60)
            raise dyto.VideoError("poison.mp4 takes more than 10 s to read")
        return reading(path, options)

    monkeypatch.setattr(video, "read_guarded", hang)
    found = []
    visit = threading.Thread(target=lambda: found.extend(engine.ask(wish(poison))))
    visit.start()
    assert begun.wait(60)
    assert isinstance(list(engine.ask(wish(clip)))[-1], SideAnswered)
    assert isinstance(list(engine.ask(wish(clip, "what color is the star ?")))[-1], SideAnswered)
    assert visit.is_alive()
    go.set()
    visit.join()
    assert found[-1] == QuestionFailed("poison.mp4 takes more than 10 s to read")


def test_who_leaves_while_waiting_frees_his_place(engine, held, clip):
    engine.waiting = 1
    engine._engines["tiny"].result().max_queue = 2
    waits = engine.ask(wish(clip))
    told_next(waits)
    assert "1 question waits for this model already" in told_next(engine.ask(wish(clip)), QuestionFailed)
    waits.close()
    after = engine.ask(wish(clip))
    assert told_next(after) == "another question is being answered first"
    held.set()
    assert isinstance(list(after)[-1], SideAnswered)


def test_what_takes_long_is_told_again_so_that_it_can_be_stopped(engine, clip, tiny, monkeypatch):
    monkeypatch.setattr("dyto.demo.waiting.LOOK_SECONDS", 0.01)
    encode = tiny.encode
    monkeypatch.setattr(tiny, "encode", lambda *a, **k: (time.sleep(0.2), encode(*a, **k))[1])
    words = [event.words for event in engine.ask(wish(clip)) if isinstance(event, StageBegun)]
    assert words.count("choosing and merging") + words.count("encoding the frames") > 5


def test_who_waits_as_the_demo_ends_does_not_wait_for_ever(engine, held, clip):
    waits = engine.ask(wish(clip))
    told_next(waits)
    ending = threading.Thread(target=engine.close)
    ending.start()
    assert all(isinstance(event, StageBegun) for event in waits)
    held.set()
    ending.join()


@pytest.mark.parametrize(
    ("content", "message"), [(b"just text\n" * 9, "cannot be opened"), (b"", "is empty"), (None, "does not exist")]
)
def test_what_is_no_video_is_told_by_its_name_alone(engine, tmp_path, content, message):
    file = tmp_path / "holiday.mp4"
    if content is not None:
        file.write_bytes(content)
    (event,) = [event for event in engine.ask(wish(file)) if isinstance(event, QuestionFailed)]
    assert message in event.words
    assert "holiday.mp4" in event.words
    assert str(tmp_path) not in event.words


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A model of small random weights that reads conversations, in 500 places."""
    folder = save_stock(forge_model(seed=4, prompt="vicuna", context=500), tmp_path_factory.mktemp("reader"))
    return dyto.load_model(folder, device="cpu")


def test_a_model_that_reads_conversations_gets_the_turns_that_fit(reader, clip, monkeypatch):
    monkeypatch.setattr("dyto.demo.engine.load_model", lambda name, **options: reader)
    engine = DemoEngine(("reader",))
    asked = []

    def watch(self, question, *rest):
        asked.append(question)
        return tokenize(self, question, *rest)

    tokenize = dyto.VideoQA.tokenize
    monkeypatch.setattr(dyto.VideoQA, "tokenize", watch)
    few = [("is there a ring ?", "no"), ("what shape is it ?", "a star")]
    (shown,) = [event for event in engine.ask(wish(clip, turns=few)) if isinstance(event, SideAnswered)]
    assert asked == [
        "is there a ring ?\nAnswer: no\nQuestion: what shape is it ?\nAnswer: a star\nQuestion: is there a red ring ?"
    ]
    assert not [warning for warning in shown.answer.warnings if "turn" in warning]
    many = [("is there a ring ?", "no")] * 60
    (shown,) = [event for event in engine.ask(wish(clip, turns=many)) if isinstance(event, SideAnswered)]
    assert shown.known
    (warning,) = [warning for warning in shown.answer.warnings if "earlier turns were not read" in warning]
    assert asked[-1].count("Answer: no") == 60 - int(warning.split()[2]) > 0
    marked = [("is there a ring ?", "<image>")]
    assert isinstance(list(engine.ask(wish(clip, turns=marked)))[-1], SideAnswered)
    engine.close()


def test_a_model_that_reads_one_question_alone_says_so(engine, clip):
    alone = list(engine.ask(wish(clip)))[-1].answer
    after = list(engine.ask(wish(clip, turns=[("what ?", "a ring")])))[-1].answer
    assert after.text == alone.text
    assert [warning for warning in after.warnings if warning not in alone.warnings] == [NOT_READ]


def test_the_parts_of_the_timeline_are_the_shots_of_a_film_of_photographs():
    """Cuts as `python -m dyto_nouns.sample` prints them."""
    parts = parts_of(dyto.sample_frames(FILM, num_frames=100))
    assert len(parts) == 6
    assert all(first.end == second.start for first, second in zip(parts, parts[1:], strict=False))
    for part, cut in zip(parts, (3.4, 6.4, 8.9, 11.1, 12.8), strict=False):
        assert abs(part.end - cut) < 0.4
    assert abs(parts[-1].end - 15.0) < 0.3


def test_a_file_is_looked_at_before_anybody_asks(engine, clip, tmp_path):
    assert engine.wrong_with(str(clip)) == ""
    file = tmp_path / "holiday.mp4"
    file.write_bytes(b"just text\n" * 9)
    assert engine.wrong_with(str(file)).startswith("holiday.mp4 cannot be opened")
    engine.limits = DemoLimits(minutes=0.05)
    assert "lasts 0.108 minutes" in engine.wrong_with(str(clip))


def test_files_that_hang_their_look_hold_up_nobody_else(engine, clip, monkeypatch):
    monkeypatch.setattr("dyto.demo.engine.LOOK_SECONDS", 0.01)
    go, begun = threading.Event(), threading.Semaphore(0)

    def hang(*args, **options):
        begun.release()
        assert go.wait(60)
        raise dyto.VideoError("takes too long")

    monkeypatch.setattr("dyto.demo.engine.sample_frames", hang)
    looks = [threading.Thread(target=engine.wrong_with, args=(str(clip),)) for _ in range(CHECKS)]
    for look in looks:
        look.start()
    for _ in looks:
        assert begun.acquire(timeout=60)
    assert engine.wrong_with(str(clip)) == ""
    go.set()
    for look in looks:
        look.join()
    assert engine.wrong_with(str(clip)) == "takes too long"


def test_the_model_is_loaded_in_the_background_and_its_failure_is_told(engine, tiny, monkeypatch):
    go = threading.Event()

    def load(name, **options):
        assert go.wait(60)
        if name == "none":
            raise dyto.ModelError("there is no such model")
        return tiny

    monkeypatch.setattr("dyto.demo.engine.load_model", load)
    loading = engine.begin("tiny")
    assert not engine.ready
    go.set()
    loading.result()
    assert engine.ready
    with pytest.raises(dyto.ModelError, match="no such model"):
        engine.begin("none").result()


def test_what_nobody_foresaw_is_told_and_the_next_visitor_served(engine, clip, monkeypatch, caplog):
    with monkeypatch.context() as broken:
        broken.setattr("dyto.demo.engine.pictures_of", lambda *a, **k: 1 / 0)
        events = list(engine.ask(wish(clip)))
    (number,) = re.fullmatch(
        r"something went wrong here; the log of the demo has it as (\w{8})", events[-1].words
    ).groups()
    assert f"a question failed (reference {number})" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert isinstance(list(engine.ask(wish(clip)))[-1], SideAnswered)


def test_files_over_a_limit_are_refused_before_they_are_decoded(clip):
    assert DemoLimits(megabytes=1, minutes=1).check(str(clip)) == clip
    with pytest.raises(dyto.VideoError, match="0 MB are allowed"):
        DemoLimits(megabytes=0).check(str(clip))
    for limits, message in [
        (
            DemoLimits(minutes=0.05),
            r"clip.mp4 lasts 0.108 minutes according to its timestamps, expected 0.05 minutes at most: cut out a part$",
        ),
        (DemoLimits(pixels=100), r"clip.mp4 has 96 x 64 pixels, expected 0.0001 megapixels at most: scale it down$"),
    ]:
        with pytest.raises(dyto.VideoError, match=message):
            dyto.sample_frames(clip, guarded=True, limits=limits.bounds)


def test_an_error_that_names_a_folder_is_kept_from_the_visitor(engine, clip, monkeypatch, caplog):
    said = iter(["/home/ann/models/mine has no config.json", "org/model does not offer attention"])

    def fail(*args, **options):
        raise dyto.ModelError(next(said))

    with monkeypatch.context() as broken:
        broken.setattr("dyto.serving.engine.VideoQA", fail)
        failed, told = [list(engine.ask(wish(clip)))[-1] for _ in range(2)]
    assert "ann" not in failed.words
    assert told == QuestionFailed("org/model does not offer attention")
    assert "/home/ann/models/mine" in caplog.text


def test_at_the_end_nothing_more_is_begun_and_nobody_waits(engine, held, clip):
    waits = engine.ask(wish(clip))
    told_next(waits)
    start = time.monotonic()
    engine.stop()
    assert all(isinstance(event, StageBegun) for event in waits)
    assert time.monotonic() - start < 5
    held.set()


def test_what_a_killed_demo_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive, other = tmp_path / f"{PREFIX}99999999-x", tmp_path / f"{PREFIX}{os.getpid()}-x", tmp_path / "other"
    for folder in (dead, alive, other):
        folder.mkdir()
    fresh = make_folder()
    assert fresh.is_dir()
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()
