"""The public interface: one question, many, streams, choices, and what an answer states."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

import dyto
from dyto.answer import STAGES
from dyto.strategies import DEFAULT

from conftest import scenes
from forge import forge_model, save_stock


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """A model whose answers depend on every frame and word."""
    folder = save_stock(forge_model(seed=4), tmp_path_factory.mktemp("loud"))
    return dyto.load_model(folder, device="cpu")


def test_a_question_about_a_file(qa, clip):
    answer = qa.ask(clip, "what color is the star ?", max_new_tokens=8)
    assert isinstance(answer.text, str)
    assert str(answer) == answer.text
    assert answer.choice is None
    assert answer.uncompressed_tokens == 65 * 36  # all 65 frames of the file
    assert 0 < answer.num_visual_tokens <= answer.token_budget == 230
    assert answer.keyframes.indices.tolist() == sorted(set(answer.keyframes.indices.tolist()))
    np.testing.assert_allclose(answer.keyframes.seconds, answer.keyframes.indices / 10)
    assert tuple(answer.seconds) == STAGES or set(answer.seconds) == set(STAGES)
    assert answer.seconds["total"] == pytest.approx(sum(answer.seconds[s] for s in STAGES[:-1]))
    assert all(answer.seconds[stage] > 0 for stage in ("decode", "encode", "select", "prefill", "generate"))


def test_key_frames_are_those_the_strategy_selects(tiny, clip):
    frames = dyto.sample_frames(clip, size=84)
    release: Any = dyto.DyTo.preset("release")
    expected = release.select_keyframes(tiny.encode(frames).summary)
    assert dyto.VideoQA(tiny, release).encode(clip).keyframes.positions.tolist() == expected.tolist()


def test_where_no_strategy_is_named_it_is_the_default(tiny):
    assert dyto.VideoQA(tiny).strategy == dyto.build_strategy() == dyto.build_strategy(DEFAULT)
    assert dyto.build_strategy(preset="finest") == dyto.DyTo.preset("finest")


def test_arrays_frames_and_tokens_can_be_asked_about(qa, clip):
    pixels = dyto.sample_frames(clip, num_frames=20)
    for video in (pixels, pixels.data, list(pixels.data), qa.encode(pixels)):
        assert qa.ask(video, "what ?", max_new_tokens=2).uncompressed_tokens == 20 * 36


def test_sampling_options_reach_the_video(qa, clip):
    answer = qa.ask(clip, "what ?", start=2.0, end=4.0, max_new_tokens=2)
    assert answer.uncompressed_tokens == 20 * 36
    assert answer.keyframes.seconds.min() >= 2.0
    assert answer.keyframes.seconds.max() < 4.0
    assert qa.ask(clip, "what ?", num_frames=5, max_new_tokens=2).uncompressed_tokens == 5 * 36
    assert qa.ask(clip, "what ?", fps=2, max_new_tokens=2).uncompressed_tokens == 13 * 36
    with pytest.raises(dyto.ConfigError, match="num_frames given with tokens"):
        qa.encode(qa.encode(clip), num_frames=3)


@dataclasses.dataclass
class Counter:
    """Counts calls of a method."""

    calls: int = 0

    def around(self, function):
        def call(*args, **kwargs):
            self.calls += 1
            return function(*args, **kwargs)

        return call


def test_many_questions_cost_one_encoding_and_one_prefill(loud, clip, monkeypatch):
    qa = dyto.VideoQA(loud)
    encode, prefill = Counter(), Counter()
    monkeypatch.setattr(loud, "encode", encode.around(loud.encode))
    monkeypatch.setattr(loud, "prefill", prefill.around(loud.prefill))
    questions = ["what color ?", "is there a star at the end ?", "how many scenes ?"]
    answers = qa.ask_many(clip, questions, max_new_tokens=10)
    assert (encode.calls, prefill.calls) == (1, 1)
    tokens = qa.encode(clip)
    singles = [qa.ask(tokens, question, max_new_tokens=10) for question in questions]
    assert (encode.calls, prefill.calls) == (1, 1)
    assert [a.text for a in answers] == [a.text for a in singles]
    assert len({a.text for a in answers}) == 3
    qa.forget()
    qa.ask(tokens, questions[0], max_new_tokens=2)
    assert prefill.calls == 2


def test_an_answer_depends_on_the_video(loud):
    qa = dyto.VideoQA(loud)
    a, b = (qa.ask(scenes(seed=seed), "what ?", max_new_tokens=12).text for seed in (1, 2))
    assert a != b


def test_multiple_choice_names_an_option_or_none(loud, clip, monkeypatch):
    qa = dyto.VideoQA(loud)
    for said, expected in (("(B)", 1), ("red", 0), ("perhaps", None)):
        monkeypatch.setattr(loud, "generate", lambda *a, said=said, **k: [said])
        assert qa.ask(clip, "which color ?", choices=["red", "blue"]).choice == expected
    monkeypatch.setattr(loud, "generate", lambda prefix, after, **k: ["perhaps"] * len(after))
    answers = qa.ask_many(clip, ["which ?", "what ?"], choices=[["perhaps", "no"], None])
    assert [a.choice for a in answers] == [0, None]


def test_open_and_multiple_choice_questions_share_a_prefix(loud, clip):
    qa = dyto.VideoQA(loud)
    tokens = qa.encode(clip)
    questions, choices = ["what ?", "which ?", "why ?"], [None, ["red", "blue"], None]
    together = qa.ask_many(tokens, questions, choices=choices, max_new_tokens=10)
    apart = [qa.ask(tokens, q, choices=c, max_new_tokens=10) for q, c in zip(questions, choices, strict=True)]
    assert [a.text for a in together] == [a.text for a in apart]


def test_a_stream_gives_the_answer_in_pieces(loud, clip):
    qa = dyto.VideoQA(loud)
    tokens = qa.encode(clip)
    stream, pieces = qa.stream(tokens, "what is there ?", max_new_tokens=30), []
    with pytest.raises(StopIteration) as done:
        while True:
            pieces.append(next(stream))
    assert len(pieces) > 3
    assert "".join(pieces).strip() == done.value.value.text
    assert done.value.value.text == qa.ask(tokens, "what is there ?", max_new_tokens=30).text


def test_a_stream_holds_what_the_prompt_began(loud, clip):
    prompt = dyto.prompts.Prompt("bracket", "USER: <image>\n{question} {choices} ASSISTANT:(", separator=" ")
    qa = dyto.VideoQA(loud, choice_prompt=prompt)
    pieces = list(qa.stream(clip, "which ?", choices=["red", "blue"], max_new_tokens=4))
    answer = qa.ask(clip, "which ?", choices=["red", "blue"], max_new_tokens=4)
    assert pieces[0] == "("
    assert "".join(pieces).rstrip() == answer.text


def test_a_stream_that_is_closed_early_stops_the_model(loud, clip, monkeypatch):
    qa = dyto.VideoQA(loud)
    tokens = qa.encode(clip)
    counter = Counter()
    monkeypatch.setattr(loud.model, "forward", counter.around(loud.model.forward))
    stream = qa.stream(tokens, "what is there ?", max_new_tokens=1500)
    next(stream)
    stream.close()
    assert counter.calls < 1000


def test_what_goes_wrong_while_streaming_is_raised_to_the_caller(loud, clip, monkeypatch):
    qa = dyto.VideoQA(loud)
    tokens = qa.encode(clip)

    def fail(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(loud.model, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(qa.stream(tokens, "what ?"))


def test_a_strategy_can_be_any_callable(tiny, clip):
    seen = []

    def first_frame(frames, encode, question=None):
        seen.append(question)
        return dyto.Uniform(token_budget=36)(frames[:1], encode)

    answer = dyto.VideoQA(tiny, first_frame).ask(clip, "what ?", max_new_tokens=2)
    assert answer.num_visual_tokens == 36
    assert seen == [None]  # it did not say that it looks at the question


def test_a_strategy_that_looks_at_the_question_is_given_it(tiny, clip):
    seen = []

    class Asking:
        uses_question = True

        def __call__(self, frames, encode, question=None):
            seen.append(question)
            return dyto.Uniform()(frames, encode)

    qa = dyto.VideoQA(tiny, Asking())
    answers = qa.ask_many(clip, ["what ?", "why ?"], max_new_tokens=2)
    assert len(answers) == 2
    assert seen == ["what ?", "why ?"]


def test_frames_are_taken_as_they_are_however_many_questions_look_at_them(tiny):
    seen = []

    class Asking:
        uses_question = True

        def __call__(self, frames, encode, question=None):
            seen.append(len(frames))
            return dyto.Uniform()(frames, encode)

    frames = dyto.sample_frames(np.zeros((150, 8, 8, 3), np.uint8), num_frames=150)
    dyto.VideoQA(tiny, Asking()).ask_many(frames, ["what ?", "why ?"], max_new_tokens=1)
    assert seen == [150, 150]


def test_tokens_that_a_model_cannot_read_are_errors(qa, clip):
    tokens = qa.encode(clip)
    with pytest.raises(dyto.ModelError, match="7 dimensions, but model tiny reads 192"):
        qa.ask(dataclasses.replace(tokens, data=tokens.data[:, :7]), "q")
    with pytest.raises(dyto.ModelError, match="NaN or infinity in torch.float32"):
        qa.ask(dataclasses.replace(tokens, data=tokens.data / 0), "q")


def test_the_bundled_model_says_what_it_is(qa, clip):
    warnings = " ".join(qa.ask(clip, "what ?", max_new_tokens=2).warnings)
    assert "synthetic shapes only" in warnings
    assert "for real videos pass --model " in warnings


def test_progress_is_told_stage_by_stage(qa, clip):
    stages = []
    qa.on_stage = stages.append
    qa.ask(clip, "what ?", max_new_tokens=2)
    assert [s for s in stages if s != "encode"] == ["decode", "strategy", "prefill", "generate"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda qa, clip: qa.ask(clip, " "), "question is empty"),
        (lambda qa, clip: qa.ask(clip, "q", choices=["only"]), "1 choices given, expected 2"),
        (lambda qa, clip: qa.ask(clip, "q", max_new_tokens=0), "max_new_tokens is 0"),
        (lambda qa, clip: qa.ask(clip, "q", choices="ab"), "choices is one text"),
        (lambda qa, clip: qa.ask_many(clip, ["q"], batch_size=-1), "batch_size is -1"),
        (lambda qa, clip: qa.ask(clip, "q", generation={"top": 1}), "unknown generation option 'top'"),
        (lambda qa, clip: qa.ask(clip, "q", generation={"num_beams": 2}), "'num_beams' is not supported"),
        (lambda qa, clip: qa.ask(clip, "q", generation={"max_new_tokens": 2}), "expected a separate argument"),
        (lambda qa, clip: next(qa.stream(clip, "q", max_new_tokens=0)), "max_new_tokens is 0"),
        (lambda qa, clip: qa.ask_many(clip, "one text"), "expected a list"),
        (lambda qa, clip: qa.ask_many(clip, ["a", "b"], choices=[None]), "2 questions, but choices for 1"),
        (lambda qa, clip: dyto.VideoQA(qa.model, "dito"), "did you mean 'dyto'"),
        (lambda qa, clip: dyto.VideoQA(qa.model, prompt="tiny_choice"), "one for open questions"),
        (lambda qa, clip: dyto.VideoQA(qa.model, choice_prompt="tiny"), "one for multiple choice"),
    ],
)
def test_mistakes_are_told_in_one_line(qa, clip, call, message):
    with pytest.raises(dyto.ConfigError, match=message) as caught:
        call(qa, clip)
    assert "\n" not in str(caught.value)


def test_a_question_that_cannot_be_asked_fails_before_the_video_is_read(qa):
    with pytest.raises(dyto.ConfigError, match="question is empty"):
        qa.ask("no such file.mp4", "")


@pytest.mark.parametrize("mark", ["<s>", "</s>", "<pad>"])
def test_marks_of_the_tokenizer_in_what_is_asked_are_an_error_and_not_read_as_such(qa, mark):
    for question, choices in ((f"what {mark} is shown", None), ("what is shown", ["a cat", f"a dog{mark}"])):
        with pytest.raises(dyto.ConfigError, match=f"holds '{mark}', expected words"):
            qa.ask("no such file.mp4", question, choices=choices)
    assert qa.tokenize("is 2 < 3 and <b> a letter ?", None, 4)


def test_no_questions_give_no_answers(qa, clip):
    assert qa.ask_many(qa.encode(clip), []) == []


def test_a_prompt_can_be_named_or_given(loud, clip, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("USER: <image>\n{question} please ASSISTANT:")
    tokens = dyto.VideoQA(loud).encode(clip)
    own = dyto.VideoQA(loud, prompt=path).ask(tokens, "what ?", max_new_tokens=10).text
    assert own == dyto.VideoQA(loud).ask(tokens, "what ? please", max_new_tokens=10).text


def test_the_mathematics_alone_takes_arrays_and_tensors():
    s: Any = dyto.DyTo.preset("release")
    summary = np.cumsum(np.random.default_rng(0).normal(size=(40, 8)), 0)
    assert s.select_keyframes(summary).tolist() == s.select_keyframes(torch.tensor(summary)).tolist()
    assert dyto.finch.tw_finch(summary)[0].shape == (40,)
    assert dyto.merge.merge_tokens(torch.randn(2, 9, 8), 4, reduce="max", split="halves", order="release").shape == (
        2, 4, 8,
    )  # fmt: skip
