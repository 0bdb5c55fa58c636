"""A model behind an endpoint answers as the same model does here, and is asked in every way that others are."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

import dyto
from dyto.cli.app import main
from dyto.errors import ConfigError, EndpointError
from dyto.inspecting import inspect_video
from dyto.models.endpoint.model import EndpointModel
from dyto.models.endpoint.service import ADDRESS, OPENAI_KEY, OWN_KEY, Service
from dyto.prompts import Prompt

from conftest import scenes
from endpoints import picture_of, say

PLAIN = Prompt("plain", "<image>\n{question}")


def content_of(request):
    (message,) = request["messages"]
    assert message["role"] == "user"
    return message["content"]


def test_the_answer_is_the_one_of_stock_generate_with_the_same_pictures_and_prompt(reach, server, stock):
    server.script = stock.script
    frames = dyto.sample_frames(scenes(size=(72, 84)), num_frames=40)
    qa = reach(dyto.build_strategy("plus", token_budget=200), tokens_per_image=40)
    qa = dyto.VideoQA(qa.model, qa.strategy, prompt=PLAIN)
    for question in ("what is shown ?", "what color is the background at the end ?", "how many scenes are there ?"):
        answer = qa.ask(frames, question, max_new_tokens=6)
        shown = answer.keyframes.positions
        content = [
            part
            for position, second in zip(shown, answer.keyframes.seconds, strict=True)
            for part in (
                {"type": "text", "text": f"{second:.1f} s:\n"},
                {"type": "image", "image": Image.fromarray(frames.data[position])},
            )
        ]
        expected, read = stock.answer([*content, {"type": "text", "text": f"\n{question}"}], 6)
        assert answer.text == expected != ""
        assert len(shown) > 1
        assert isinstance(qa.model, EndpointModel)
        assert qa.model.spent.tokens >= read


def test_the_request_holds_the_times_and_the_pictures_that_inspect_shows(reach, server):
    qa = reach("plus")
    qa.ask(scenes(), "what is shown ?")
    content = content_of(server.requests[-1])
    seen = inspect_video(qa, scenes())
    (view,) = seen.views
    frames = seen.frames.data[view.tokens.keyframes.positions]
    pictures = [np.asarray(picture_of(part)) for part in content if part["type"] == "image_url"]
    assert len(pictures) == len(frames) > 1
    for picture, frame in zip(pictures, frames, strict=True):
        assert picture.shape == frame.shape
        assert np.abs(picture.astype(int) - frame).mean() < 25
    times = [part["text"] for part in content if part["type"] == "text"][:-1]
    assert times == [f"{second:.1f} s:\n" for second in view.tokens.keyframes.seconds]
    assert "Question: what is shown ?" in content[-1]["text"]
    assert server.requests[-1]["temperature"] == 0
    assert server.requests[-1]["model"] == "m"


def test_times_can_be_left_out_and_generation_can_be_asked_for(reach, server):
    qa = reach("uniform")
    qa.model.time_text = ""
    qa.ask(scenes(), "what ?", max_new_tokens=7, generation={"do_sample": True, "temperature": 0.3})
    request = server.requests[-1]
    assert [part["type"] for part in content_of(request)].count("text") == 1
    assert (request["temperature"], request["max_tokens"]) == (0.3, 7)
    with pytest.raises(ConfigError, match="unknown generation option of an endpoint 'top_k'"):
        qa.ask(scenes(), "what ?", generation={"top_k": 3})


def test_choices_are_read_from_the_text_of_the_answer(reach, server):
    server.script = lambda number, request: say("The best option is (B).")
    answer = reach().ask(scenes(), "what is it ?", choices=["a dog", "a cat"])
    assert answer.choice == 1
    assert "(A) a dog" in content_of(server.requests[-1])[-1]["text"]


def test_streaming_and_many_questions_give_the_same_answers(reach, server):
    server.script = lambda number, request: say(
        content_of(request)[-1]["text"].split("Question: ")[1] + " Äß ☃", wait=0.1
    )
    qa = reach()
    questions = [f"who is number {number} ?" for number in range(6)]
    answers = [answer.text for answer in qa.ask_many(scenes(), questions)]
    assert answers == [f"{question} Äß ☃" for question in questions]
    assert server.most_at_once > 1
    assert "".join(qa.stream(scenes(), questions[0])).strip() == answers[0]


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("evs", "makes tokens that are not key frames"),
        ("image_grid", "makes tokens that are not key frames"),
        ("uniform-pool", "makes tokens that are not key frames"),
        ("query", "an endpoint gives no embeddings of words: name a CLIP or SigLIP checkpoint"),
        ("aks", "an endpoint gives no embeddings of words"),
        (lambda frames, encode, question=None: None, "picks_keyframes = True"),
    ],
)
def test_a_strategy_without_key_frames_is_refused_before_the_video_is_read(reach, strategy, said):
    with pytest.raises(ConfigError, match=said):
        reach(strategy)


def test_every_strategy_is_either_taken_or_refused_in_words(reach):
    taken = set()
    for name in dyto.strategies.STRATEGIES:
        try:
            taken.add(name) if reach(name).encode(scenes()) else None
        except ConfigError as err:
            assert "endpoint" in str(err), name
    assert {"plus", "plus-2025", "dyto", "uniform", "uniform-merge", "kmeans", "random-frames"} <= taken
    assert not taken & {"evs", "visionzip", "uniform-pool", "random", "concat"}


def test_a_strategy_of_your_own_can_pick_key_frames(reach):
    def ends(frames, encode, question=None):
        return dyto.Uniform(token_budget=60)(frames[[0, len(frames) - 1]], encode)

    ends.picks_keyframes = True  # type: ignore[attr-defined]
    assert len(reach(ends, tokens_per_image=30).encode(scenes()).pictures) == 2


@pytest.mark.parametrize("limit", [{"max_requests": 2}, {"max_tokens": 2000}])
def test_a_limit_of_a_run_is_kept_before_anything_is_sent(reach, server, limit):
    qa = reach("uniform", tokens_per_image=100, **limit)
    for number in range(2):
        qa.ask(scenes(), f"who is {number} ?")
    with pytest.raises(EndpointError, match=next(iter(limit))):
        qa.ask(scenes(), "who else ?")
    assert len(server.requests) == 2


def test_what_was_spent_is_what_the_endpoint_counted(reach, server):
    status, body, *rest = say("yes")
    server.script = lambda number, request: (
        status,
        body | {"usage": {"prompt_tokens": 70, "completion_tokens": 3}},
        *rest,
    )
    qa = reach("uniform", tokens_per_image=100)
    document = [qa.ask(scenes(), "who ?").to_dict() for _ in range(2)][1]
    assert document["spent"] == {"requests": 2, "tokens": 146}
    assert [picture["tokens"] for picture in document["pictures"]] == [100] * 6
    assert document["answer"] == "yes"


def test_keys_go_only_where_they_belong(monkeypatch):
    for name in (ADDRESS, OPENAI_KEY, OWN_KEY):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="found neither --base-url nor OPENAI_API_KEY"):
        Service().key()
    monkeypatch.setenv(OPENAI_KEY, "openais")
    assert Service().key() == "openais"
    assert Service("https://api.openai.com/v1").key() == "openais"
    assert Service("http://127.0.0.1:1/v1").key() == "none", "OpenAI's key is for nobody else"
    monkeypatch.setenv(ADDRESS, "http://127.0.0.1:1/v1")
    assert Service("http://127.0.0.1:1/v1").key() == Service().key() == "openais", "named beside the address"
    monkeypatch.setenv(OWN_KEY, "own")
    assert Service("http://127.0.0.1:1/v1").key() == "own"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "127.0.0.1:8000"}, "expected http://HOST:PORT/v1"),
        ({"base_url": "file:///etc/passwd"}, "expected http://HOST:PORT/v1"),
        ({"base_url": "http://me:word@host/v1"}, "holds a name, password or query"),
        ({"base_url": "http://host/v1", "max_requests": 0}, "max_requests of an endpoint is 0"),
        ({"base_url": "http://host/v1", "base_ulr": "x"}, "unknown option of an endpoint 'base_ulr': did you mean"),
        ({"base_url": "http://host/v1", "revision": "main"}, "revision was given, but model endpoint:m has none"),
        ({"base_url": "http://host/v1", "eye": "nuons"}, "unknown eye 'nuons': did you mean 'nouns'"),
    ],
)
def test_impossible_options_are_told_at_once(options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        dyto.load_model("endpoint:m", **options)
    assert "word@" not in str(caught.value)


def test_options_of_an_endpoint_are_refused_for_other_models():
    with pytest.raises(ConfigError, match="base_url was given with model tiny"):
        dyto.load_model("tiny", base_url="http://host/v1")


def command(server, *words):
    return [*words, "--model", "endpoint:gpt-4o", "--base-url", server.url, "--eye", "pixels"]


def test_ask_prints_one_document_of_the_usual_shape(server, clip, capfd):
    assert main(command(server, "ask", str(clip), "what ?", "--json", "--strategy", "plus")) == 0
    own = json.loads(capfd.readouterr().out)
    assert main(["ask", str(clip), "what ?", "--json", "--strategy", "plus", "--model", "tiny"]) == 0
    usual = json.loads(capfd.readouterr().out)
    assert {name: type(value) for name, value in usual.items()} == {name: type(own[name]) for name in usual}
    assert own["answer"] == "a red ring"


def test_a_dry_run_says_what_it_would_take_and_asks_nothing(server, clip, capfd):
    assert main(command(server, "ask", str(clip), "what ?", "--dry-run", "--json")) == 0
    plan = json.loads(capfd.readouterr().out)
    assert not server.requests
    assert plan["tokens"]["video"] == sum(picture["tokens"] for picture in plan["pictures"])
    assert main(command(server, "ask", str(clip), "what ?", "--json")) == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer["keyframes"] == plan["keyframes"]
    assert answer["tokens"]["used"] == plan["tokens"]["video"]
    assert answer["spent"]["tokens"] == plan["tokens"]["total"], "the stub counts nothing, so the estimate stands"
    assert main(["ask", str(clip), "what ?", "--dry-run", "--model", "tiny"]) == 0
    assert "nothing was asked" in capfd.readouterr().out


def test_evidence_needs_likelihoods_and_is_refused_in_words(server, clip, capfd):
    assert main(command(server, "ask", str(clip), "what ?", "--evidence")) == 2
    assert "gives no likelihoods" in capfd.readouterr().err
    assert not server.requests, "nothing is spent on it"


def test_the_log_holds_no_key_and_no_picture(reach, server, monkeypatch, caplog):
    monkeypatch.setenv(OWN_KEY, "sk-very-secret-123")
    server.script = lambda number, request: (500, {"error": {"message": "bad key sk-very-secret-123"}}, ())
    with caplog.at_level(logging.DEBUG, logger="dyto"), pytest.raises(EndpointError) as caught:
        reach().ask(scenes(), "what ?")
    assert "secret" not in str(caught.value) + caplog.text
    assert "base64" not in caplog.text
