"""A conversation: the video is read once, earlier turns reach the model, and nothing that fails ends it."""

import numpy as np
import pytest

import dyto
from dyto.conversation.turns import NOT_READ, with_turns
from dyto.errors import BadQuestionError, ConfigError, DoesNotFitError, VideoError
from dyto.video import container as _container

from conftest import scenes
from forge import forge_model, save_stock

QUESTIONS = [f"is there a star at {number} ?" for number in range(20)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A model of small random weights that reads conversations, in 500 places."""
    folder = save_stock(forge_model(seed=4, prompt="vicuna", context=500), tmp_path_factory.mktemp("reader"))
    return dyto.load_model(folder, device="cpu")


@pytest.fixture
def counted(monkeypatch):
    """How often files are opened, frames encoded and videos prefilled."""
    counts = {"open": 0, "encode": 0, "prefill": 0}

    def counting(owner, name, key):
        before = getattr(owner, name)

        def call(*args, **options):
            counts[key] += 1
            return before(*args, **options)

        monkeypatch.setattr(owner, name, call)

    def count(model):
        counting(_container.av, "open", "open")
        counting(model, "encode", "encode")
        counting(model, "prefill", "prefill")
        return counts

    return count


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "strategy", ["plus", "uniform", lambda frames, encode, question=None: dyto.Plus()(frames, encode)]
)
def test_twenty_questions_read_the_video_once(reader, clip, counted, strategy):
    once = counted(reader)
    dyto.VideoQA(reader, strategy, savings=dyto.Savings(parallel=False)).encode(clip)
    alone = dict(once)
    once.update(dict.fromkeys(once, 0))
    conversation = dyto.VideoQA(reader, strategy, savings=dyto.Savings(parallel=False)).chat(clip, max_new_tokens=2)
    for question in QUESTIONS:
        conversation.ask(question)
    assert once == alone | {"prefill": 1}
    assert [turn.question for turn in conversation.history] == QUESTIONS


def test_a_strategy_that_reads_the_question_decodes_once(reader, clip, counted):
    once = counted(reader)
    conversation = dyto.VideoQA(reader, dyto.Query(token_budget=72)).chat(clip, max_new_tokens=2)
    conversation.prepare()
    opened = once["open"]
    first = conversation.ask("is there a ring ?")
    conversation.ask("what color is the star ?")
    assert opened > 0
    assert once["open"] == opened
    alone = dyto.VideoQA(reader, dyto.Query(token_budget=72)).ask(clip, "is there a ring ?", max_new_tokens=2)
    assert (first.text, first.keyframes.indices.tolist()) == (alone.text, alone.keyframes.indices.tolist())


def test_what_is_prepared_is_not_made_again(reader, clip, counted):
    once = counted(reader)
    conversation = dyto.VideoQA(reader).chat(clip, max_new_tokens=2)
    conversation.prepare()
    before = dict(once)
    conversation.ask("what ?")
    assert once == before
    assert before["prefill"] == 1


def test_the_first_answer_is_that_of_ask_and_a_later_one_that_of_the_written_turns(reader, clip):
    qa = dyto.VideoQA(reader)
    conversation = qa.chat(clip, max_new_tokens=6)
    first = conversation.ask("what is shown ?")
    second = conversation.ask("what color is it ?")
    written = f"what is shown ?\nAnswer: {first.text}\nQuestion: what color is it ?"
    assert first.text == qa.ask(clip, "what is shown ?", max_new_tokens=6).text
    assert conversation.history[1].asked == written
    assert second.text == qa.ask(clip, written, max_new_tokens=6).text
    assert [turn.sent for turn in conversation.history] == [0, 1]


def test_a_stream_is_the_same_conversation(reader, clip):
    asked = dyto.VideoQA(reader).chat(clip, max_new_tokens=6)
    streamed = dyto.VideoQA(reader).chat(clip, max_new_tokens=6)
    for question in QUESTIONS[:3]:
        pieces = list(streamed.stream(question))
        assert "".join(pieces).strip() == asked.ask(question).text
    assert [turn.asked for turn in streamed.history] == [turn.asked for turn in asked.history]


def test_an_answer_that_is_given_up_is_no_turn(reader, clip):
    conversation = dyto.VideoQA(reader).chat(clip, max_new_tokens=30)
    pieces = conversation.stream("what ?")
    next(pieces)
    pieces.close()
    assert not conversation.history
    conversation.ask("who ?")
    assert conversation.history[0].sent == 0


def test_the_oldest_turns_are_forgotten_where_the_context_ends_and_the_answer_says_so(reader, clip):
    conversation = dyto.VideoQA(reader, dyto.Plus(token_budget=230)).chat(clip, max_new_tokens=8)
    answers = [conversation.ask(question) for question in QUESTIONS]
    said = [warning for answer in answers for warning in answer.warnings if "do not fit" in warning]
    assert said
    assert said[0].startswith("the first ")
    sent = [turn.sent for turn in conversation.history]
    assert sent[:3] == [0, 1, 2]
    for before, now, answer in zip(sent, sent[1:], answers[1:], strict=False):
        left_out = before + 1 - now
        assert (left_out > 0) == any("do not fit" in warning for warning in answer.warnings), "said when it happens"
        assert 0 <= left_out <= 2 + before // 4, "no more than is needed, an eighth at a time"
    last = conversation.history[-1]
    assert last.asked == with_turns(conversation.history[19 - last.sent : 19], QUESTIONS[19])
    assert len(conversation.history) == 20, "the caller still sees all of them"


def test_a_question_that_does_not_fit_alone_is_an_error_and_costs_no_turn(reader, clip):
    conversation = dyto.VideoQA(reader).chat(clip, max_new_tokens=4)
    conversation.ask("what ?")
    with pytest.raises(DoesNotFitError):
        conversation.ask("what is there and " * 200)
    assert [turn.question for turn in conversation.history] == ["what ?"]
    conversation.ask("who ?")
    assert conversation.history[1].sent == 1


@pytest.mark.parametrize("question", ["", "  \n", "what is <image> ?"])
def test_a_bad_question_is_an_error_and_the_conversation_goes_on(reader, clip, question):
    conversation = dyto.VideoQA(reader).chat(clip, max_new_tokens=2)
    conversation.ask("what ?")
    with pytest.raises(BadQuestionError):
        conversation.ask(question)
    conversation.ask("who ?")
    assert [turn.question for turn in conversation.history] == ["what ?", "who ?"]


@pytest.mark.parametrize("said", ["look: <image>", "it ends </s> here", "<image>"])
def test_an_answer_with_marks_of_the_prompt_does_not_end_the_conversation(reader, clip, monkeypatch, said):
    conversation = dyto.VideoQA(reader).chat(clip, max_new_tokens=2)

    def says(prefix, after, *, streamer=None, **options):
        streamer.put(reader.tokenizer("red", return_tensors="pt").input_ids[0])
        streamer.end()
        return [said]

    with monkeypatch.context() as patch:
        patch.setattr(reader, "generate", says)
        assert conversation.ask("what ?").text == said
    conversation.ask("who ?")
    assert [turn.sent for turn in conversation.history] == [0, 0]


def test_a_model_that_reads_one_question_is_asked_it_alone_and_says_so(qa, clip):
    conversation = qa.chat(clip, max_new_tokens=2)
    assert not conversation.reads_history
    first, second = (conversation.ask(question) for question in ("is there a star ?", "which ?"))
    assert conversation.history[1].asked == "which ?"
    assert NOT_READ not in first.warnings
    assert NOT_READ in second.warnings


def test_an_option_is_quoted_by_its_words(reader, clip):
    conversation = dyto.VideoQA(reader).chat(clip, max_new_tokens=2)
    answer = conversation.ask("which ?", choices=["a red ring", "a star"])
    conversation.ask("why ?")
    quoted = answer.text if answer.choice is None else ["a red ring", "a star"][answer.choice]
    assert conversation.history[1].asked == f"which ?\nAnswer: {quoted}\nQuestion: why ?"
    assert conversation.history[0].choices == ("a red ring", "a star")


def test_another_strategy_reads_the_video_anew_and_keeps_the_turns(reader, clip):
    qa = dyto.VideoQA(reader, dyto.Plus(token_budget=200))
    conversation = qa.chat(clip, max_new_tokens=2)
    assert conversation.ask("what ?").num_visual_tokens > 72
    qa.strategy = dyto.Uniform(token_budget=72)
    assert conversation.ask("who ?").num_visual_tokens == 72
    assert conversation.history[1].sent == 1


def test_a_video_that_cannot_be_read_is_an_error_of_each_question(reader, tmp_path):
    conversation = dyto.VideoQA(reader).chat(tmp_path / "gone.mp4")
    for _ in range(2):
        with pytest.raises(VideoError, match="does not exist"):
            conversation.ask("what ?")
    assert conversation.tokens is None


def test_arrays_frames_and_tokens_can_be_talked_about(reader):
    qa = dyto.VideoQA(reader)
    frames = dyto.sample_frames(scenes(), num_frames=12)
    texts = []
    for video in (frames, frames.data, qa.encode(frames)):
        conversation = qa.chat(video, max_new_tokens=4)
        texts.append([conversation.ask(question).text for question in QUESTIONS[:2]])
        positions = qa.encode(frames).keyframes.positions
        np.testing.assert_array_equal(conversation.tokens.keyframes.positions, positions)
    assert texts[0] == texts[1] == texts[2]
    with pytest.raises(ConfigError, match="sampling options"):
        qa.chat(qa.encode(frames), num_frames=3).ask("what ?")
