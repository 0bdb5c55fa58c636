"""The engine: what it answers, in which batches, and how questions and engines end."""

import copy
import threading
import time

import numpy as np
import pytest
import torch

import dyto
from dyto.errors import BadFeaturesError, BusyError, ClosedError
from dyto.models.generation.rows import Row
from dyto.serving.events import Answered, EngineQuestion, Failed, TextPiece

QUESTIONS = ["what is shown ?", "is there a star ?", "what color is the ring ?", "how many stars are there ?"]


def film(seed=0, frames=12):
    return np.random.default_rng(seed).integers(0, 255, (frames, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def videos(tiny):
    qa = dyto.VideoQA(tiny)
    return [qa.encode(film(seed)) for seed in range(3)]


@pytest.fixture
def engine(tiny):
    with dyto.Engine(tiny) as engine:
        yield engine


class Held:
    """Holds the engine's thread, so that questions gather behind it."""

    def __init__(self, engine, monkeypatch):
        self.go, self.inside, self.sizes = threading.Event(), threading.Event(), []
        inner = engine._worker._answer_ready

        def answer():
            self.inside.set()
            self.go.wait(120)
            inner()

        monkeypatch.setattr(engine._worker, "_answer_ready", answer)
        engine.on_batch(lambda questions, seconds: self.sizes.append(questions))
        self.engine = engine

    def batches(self):
        """The sizes of all batches, when the last has ended."""
        self.engine.close()
        return self.sizes


class Asked:
    """A question, and the events told about it."""

    def __init__(self, engine, video, question=QUESTIONS[0], **options):
        self.events, self.over, self.first = [], threading.Event(), threading.Event()
        self.ticket = engine.submit(EngineQuestion(video, question, **options), self.tell)

    def tell(self, event):
        self.events.append(event)
        self.first.set()
        if not isinstance(event, TextPiece):
            self.over.set()

    @property
    def end(self):
        assert self.over.wait(120), "nothing came back"
        return self.events[-1]

    @property
    def text(self):
        event = self.end
        assert isinstance(event, Answered), event
        assert "".join(e.text for e in self.events[:-1]).strip() == event.reply.text
        return event.reply.text


def test_whoever_else_asks_the_answers_are_those_of_ask(tiny, engine, videos, monkeypatch):
    qa, held = dyto.VideoQA(tiny), Held(engine, monkeypatch)
    lengths = (1, 2, 5, 12)
    asked = [
        (Asked(engine, video, question, max_new_tokens=length), video, question, length)
        for video, length in zip(videos * 2, lengths * 2, strict=False)
        for question in QUESTIONS
    ]
    noise = Asked(engine, videos[0], temperature=5.0, seed=1, max_new_tokens=12)
    held.go.set()
    for one, video, question, length in asked:
        assert one.text == qa.ask(video, question, max_new_tokens=length).text
    assert noise.text
    assert max(held.batches()) > 8  # all that waited went together, whatever its length and sampling


@pytest.mark.parametrize("stop", [(), ("s",)])
def test_who_wants_no_pieces_is_told_only_the_end(engine, videos, stop):
    options = {"max_new_tokens": 12, "stop": stop}
    whole, pieces = Asked(engine, videos[0], pieces=False, **options), Asked(engine, videos[0], **options)
    assert whole.end.reply.text == pieces.text
    assert len(whole.events) == 1 < len(pieces.events)


def test_a_choice_is_answered_as_ask_does(tiny, engine, videos):
    choices = ["a red ring", "a blue star"]
    expected = dyto.VideoQA(tiny).ask(videos[0], QUESTIONS[0], choices=choices)
    reply = engine.ask(videos[0], QUESTIONS[0], choices=choices)
    assert (reply.answer.text, reply.answer.choice) == (expected.text, expected.choice)


def test_a_row_that_samples_draws_from_its_own_generator(engine, videos, monkeypatch):
    options = {"temperature": 1.5, "top_p": 0.9, "max_new_tokens": 6}
    alone = {seed: engine.ask(videos[0], QUESTIONS[0], seed=seed, **options).text for seed in range(4)}
    held = Held(engine, monkeypatch)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    rows = [Asked(engine, videos[0], QUESTIONS[0], seed=seed, **options) for seed in (3, 1, 0, 2)]
    others = [Asked(engine, videos[1], QUESTIONS[1], seed=9, **options) for _ in range(2)]
    held.go.set()
    assert {seed: row.text for seed, row in zip((3, 1, 0, 2), rows, strict=True)} == alone
    assert len({other.text for other in others}) == 1
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's numbers are used up
    assert len(set(alone.values())) > 1


def test_a_seed_samples_by_the_given_probabilities():
    scores = torch.tensor([0.0, 1.0, 2.0, -50.0])
    row = Row(1, temperature=2.0, seed=0)
    drawn = torch.tensor([row.choose(scores) for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(shares, (scores / 2).softmax(-1), atol=0.03)
    nucleus = Row(1, temperature=2.0, top_p=0.4, seed=0)
    assert {nucleus.choose(scores) for _ in range(50)} == {2}


def test_an_answer_ends_before_a_stop_text_and_never_tells_a_part_of_it(tiny, engine, videos):
    whole = engine.ask(videos[0], QUESTIONS[0], max_new_tokens=20, temperature=3.0, seed=4).text
    word = whole.split()[2]
    one = Asked(
        engine, videos[0], QUESTIONS[0], max_new_tokens=20, temperature=3.0, seed=4, stop=[word[:3], "not there"]
    )
    expected = whole[: whole.index(word[:3])].strip()
    assert one.text == expected
    assert one.end.reply.reason == "stop"
    assert word[:3] not in "".join(event.text for event in one.events[:-1])


def test_the_reason_says_what_ended_the_answer(engine, videos):
    assert engine.ask(videos[0], QUESTIONS[0], max_new_tokens=1).reason == "length"
    reply = engine.ask(videos[0], QUESTIONS[1], max_new_tokens=20)
    assert reply.reason == "stop"
    assert 1 < reply.completion_tokens < 20
    assert reply.prompt_tokens > len(videos[0])


def test_questions_about_one_new_video_share_its_reading(engine, clip, monkeypatch):
    counted, inner = [], dyto.serving.reading.sample_frames
    monkeypatch.setattr(
        "dyto.serving.reading.sample_frames", lambda *a, **k: counted.append(a) or (time.sleep(0.1), inner(*a, **k))[1]
    )
    asked = [Asked(engine, str(clip), question, sampling={"num_frames": 8}) for question in QUESTIONS * 2]
    texts = [one.text for one in asked]
    assert texts[:4] == texts[4:]
    later = engine.ask(str(clip), QUESTIONS[0], sampling={"num_frames": 8})
    assert len(counted) == 1
    assert later.reused
    assert later.text == texts[0]


def test_a_short_answer_does_not_wait_for_a_long_one_in_its_batch(engine, videos, monkeypatch):
    held = Held(engine, monkeypatch)
    options = {"temperature": 30.0, "max_new_tokens": 300}  # hot rows rarely end by themselves
    long = [Asked(engine, videos[0], seed=seed, **options) for seed in range(3)]
    short = Asked(engine, videos[0], max_new_tokens=1)
    held.go.set()
    assert isinstance(short.end, Answered)
    assert any(not one.over.is_set() for one in long)
    for one in long:
        one.ticket.leave()


def test_a_client_that_leaves_frees_its_row_within_a_step(engine, videos, monkeypatch):
    steps, rows = [], []
    inner = engine.model.write.__func__

    def write(self, prefixes, after, some, **more):
        rows.extend(some)
        return inner(self, prefixes, after, some, **more)

    monkeypatch.setattr(type(engine.model), "write", write)
    one = Asked(engine, videos[0], temperature=30.0, seed=0, max_new_tokens=1000)
    assert one.first.wait(120)
    one.ticket.leave()
    steps.append(len(rows[0].ids))
    assert engine.ask(videos[0], QUESTIONS[1]).text  # the batch is over
    assert len(rows[0].ids) <= steps[0] + 1
    assert rows[0].reason == "asked"
    assert engine.answering == engine.waiting == 0


def test_one_who_leaves_while_waiting_is_never_answered(engine, videos, monkeypatch):
    held = Held(engine, monkeypatch)
    stays, leaves = Asked(engine, videos[0]), Asked(engine, videos[0])
    assert held.inside.wait(120)
    leaves.ticket.leave()
    held.go.set()
    assert stays.text
    assert held.batches() == [1]
    assert not leaves.events


def test_a_full_queue_is_an_error_with_a_time(tiny, videos, monkeypatch):
    with dyto.Engine(tiny, max_queue=2) as engine:
        held = Held(engine, monkeypatch)
        asked = [Asked(engine, videos[0]) for _ in range(2)]
        with pytest.raises(BusyError, match="2 questions wait, expected at most 2") as raised:
            engine.ask(videos[0], QUESTIONS[0])
        assert raised.value.retry_after >= 1
        held.go.set()
        assert all(one.text for one in asked)
        assert engine.ask(videos[0], QUESTIONS[0]).text


def test_a_poison_file_fails_alone(engine, videos, clip, tmp_path):
    poison = tmp_path / "poison.mp4"
    poison.write_bytes(clip.read_bytes()[:700] + b"\xff" * 3000)
    asked = [Asked(engine, str(path), sampling={"num_frames": 4}) for path in (clip, poison, clip, poison)]
    assert [type(one.end) for one in asked] == [Answered, Failed, Answered, Failed]
    assert isinstance(asked[1].end.error, dyto.VideoError)


def test_one_question_that_breaks_the_model_does_not_spoil_its_batch(tiny, engine, videos, monkeypatch):
    expected = [dyto.VideoQA(tiny).ask(videos[0], question, max_new_tokens=4).text for question in QUESTIONS]
    inner = engine.model.write.__func__

    def write(self, prefixes, after, rows, **more):
        if any(row.seed == 666 for row in rows):
            for row in rows:  # after some steps, in which the others have told text already
                row.take(tiny.tokenizer("red").input_ids[-1], frozenset())
            raise BadFeaturesError("NaN")
        return inner(self, prefixes, after, rows, **more)

    held = Held(engine, monkeypatch)
    monkeypatch.setattr(type(engine.model), "write", write)
    good = [Asked(engine, videos[0], question, max_new_tokens=4) for question in QUESTIONS]
    bad = Asked(engine, videos[0], seed=666)
    held.go.set()
    assert isinstance(bad.end, Failed)
    for one, text in zip(good, expected, strict=True):
        assert one.end.reply.text == text


def test_answers_are_given_while_a_video_is_encoded(tiny, engine, videos, monkeypatch):
    """The tower sees 16 frames at a time; between them, those who wait are answered."""
    began, asked, spent = threading.Event(), [], []
    inner = engine._worker._answer_ready

    def answer():
        begin = time.perf_counter()
        inner()
        time.sleep(0.5 if asked else 0)
        spent.append(time.perf_counter() - begin)

    monkeypatch.setattr(engine._worker, "_answer_ready", answer)

    def slowly(module, args):
        began.set()
        if not asked:
            time.sleep(0.3)

    hook = tiny.tower().register_forward_pre_hook(slowly, prepend=True)
    try:
        begin = time.perf_counter()
        new = Asked(engine, film(7, frames=64), sampling={"num_frames": 64})
        assert began.wait(120)
        asked.append(Asked(engine, videos[0]))
        assert asked[0].text
        assert not new.over.is_set()
        assert new.over.wait(120)
        elapsed = time.perf_counter() - begin
        assert new.text == dyto.VideoQA(tiny).ask(film(7, frames=64), QUESTIONS[0]).text
        seconds = new.end.reply.answer.seconds["encode"]  # without the answers in between
        assert seconds + max(spent) <= elapsed
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": 100_000}, "but the context is 2048"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0"),
        ({"stop": [""]}, "stop has 1 texts"),
        ({"seed": 2**63}, "seed is"),
        ({"strategy": "dyot"}, "did you mean 'dyto'"),
        ({"choices": ["one"]}, "1 choices given"),
        ({"sampling": {"num_frames": 0}}, "num_frames=0"),
    ],
)
def test_wrong_options_are_one_clear_error(engine, options, words):
    with pytest.raises(dyto.DytoError, match=words):
        engine.ask(film(), QUESTIONS[0], **options)
    assert engine.waiting == engine.answering == 0


def test_draining_answers_what_is_there_and_takes_nothing_new(tiny, videos, monkeypatch):
    engine = dyto.Engine(tiny)
    held = Held(engine, monkeypatch)
    asked = [Asked(engine, video) for video in videos]
    drained = []
    thread = threading.Thread(target=lambda: drained.append(engine.drain(120)))
    thread.start()
    while not engine._closed:
        time.sleep(0.01)
    with pytest.raises(ClosedError):
        engine.ask(videos[0], QUESTIONS[0])
    held.go.set()
    thread.join()
    assert drained == [True]
    assert all(one.text for one in asked)
    engine.close()


def test_a_stop_in_the_middle_tells_everybody_and_leaves_no_thread(tiny, videos, clip, monkeypatch):
    before = set(threading.enumerate())
    engine = dyto.Engine(tiny)
    inside = Asked(engine, videos[0], temperature=30.0, seed=0, max_new_tokens=1000)
    assert inside.first.wait(120)
    waiting = [Asked(engine, video) for video in (videos[1], str(clip), film(3))]
    engine.close()
    for one in [inside, *waiting]:
        assert isinstance(one.end, Failed)
        assert isinstance(one.end.error, ClosedError)
    until = time.monotonic() + 60
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.05)
    assert not set(threading.enumerate()) - before
    assert len(engine.kept) == 0
    assert not engine.drain(0) or not engine._open


def test_evidence_comes_with_the_reply(tiny, engine, videos):
    reply = engine.ask(videos[0], QUESTIONS[0], evidence=True)
    expected = dyto.find_evidence(dyto.VideoQA(tiny), videos[0], QUESTIONS[0], reply.text)
    assert [one.keyframe for one in reply.evidence] == [one.keyframe for one in expected]
    assert engine.ask(videos[0], QUESTIONS[0]).evidence is None


def test_the_bundled_grammar_answers_too(clip):
    with dyto.Engine("nouns", "uniform") as engine:
        asked = [Asked(engine, str(clip), question, sampling={"num_frames": 4}) for question in ("What is shown?",) * 3]
        qa = dyto.VideoQA(engine.model, "uniform")
        assert {one.text for one in asked} == {qa.ask(str(clip), "What is shown?", num_frames=4).text}


def test_an_adapter_that_writes_in_its_own_way_is_asked_in_its_own_way(tiny, videos, monkeypatch):
    asked = []

    def generate(self, prefix, after, *, max_new_tokens, **options):
        asked.append((len(after), max_new_tokens, options.get("temperature")))
        return ["a red ring"] * len(after)

    own = copy.copy(tiny)
    own.__class__ = type("Own", (type(tiny),), {"generate": generate})
    with dyto.Engine(own) as engine:
        held = Held(engine, monkeypatch)
        rows = [
            Asked(engine, videos[0], max_new_tokens=most, temperature=hot) for most, hot in ((5, 0), (5, 0), (2, 1))
        ]
        held.go.set()
        assert [row.text for row in rows] == ["a red ring", "a red ring", "a red"]
        assert [row.end.reply.reason for row in rows] == ["stop", "stop", "length"]
    assert sorted(asked, key=str) == [(1, 2, 1), (2, 5, None)]
