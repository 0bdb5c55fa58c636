"""A conversation with a model behind an endpoint: what is sent, and what a failure costs."""

import io
import json

import pytest

from dyto.cli.app import main
from dyto.errors import DoesNotFitError, EndpointError

from conftest import scenes
from endpoints import fail, say

TOO_LONG = [
    pytest.param(fail(400, "no", code="context_length_exceeded"), id="by its code"),
    pytest.param(
        fail(400, "This model's maximum context length is 4096 tokens. However, you requested 5000"), id="vllm"
    ),
    pytest.param(fail(400, "the request exceeds the available context size, try increasing it"), id="llama.cpp"),
    pytest.param(fail(400, "prompt is too long: 9 tokens > 8 maximum"), id="prompt"),
]


def words_of(request):
    return "".join(part.get("text", "") for message in request["messages"] for part in message["content"])


def pictures_of(request):
    return [part for message in request["messages"] for part in message["content"] if part["type"] == "image_url"]


def test_each_question_is_sent_behind_the_turns_before_it_and_with_the_same_pictures(reach, server):
    server.script = lambda number, request: say(f"answer {number}")
    conversation = reach("uniform", tokens_per_image=30).chat(scenes())
    for number in range(3):
        assert conversation.ask(f"question {number} ?").text == f"answer {number}"
    said = words_of(server.requests[2])
    assert "question 0 ?\nAnswer: answer 0\nQuestion: question 1 ?\nAnswer: answer 1\nQuestion: question 2 ?" in said
    assert pictures_of(server.requests[0]) == pictures_of(server.requests[2]) != []


@pytest.mark.parametrize("refusal", TOO_LONG)
def test_an_endpoint_that_finds_it_too_long_gets_fewer_turns(reach, server, refusal):
    server.script = lambda number, request: refusal if words_of(request).count("Answer:") > 2 else say("yes")
    conversation = reach("uniform", tokens_per_image=30).chat(scenes())
    answers = [conversation.ask(f"question {number} ?") for number in range(6)]
    assert [turn.sent for turn in conversation.history] == [0, 1, 2, 2, 2, 2]
    assert any("the first 3 of 5 earlier turns do not fit" in warning for warning in answers[-1].warnings)


def test_a_question_that_is_too_long_alone_is_told_as_such(reach, server):
    server.script = lambda number, request: fail(400, "no", code="context_length_exceeded")
    with pytest.raises(DoesNotFitError, match="context_length_exceeded|refused"):
        reach("uniform", tokens_per_image=30).chat(scenes()).ask("what ?")


def test_an_endpoint_that_is_down_for_a_while_does_not_end_the_conversation(reach, server):
    conversation = reach("uniform", tokens_per_image=30).chat(scenes())
    conversation.ask("first ?")
    works, server.script = server.script, lambda number, request: (500, b"oops")
    with pytest.raises(EndpointError, match="no reply in 2 attempts"):
        conversation.ask("lost ?")
    server.script = works
    conversation.ask("second ?")
    assert [turn.question for turn in conversation.history] == ["first ?", "second ?"]
    assert "lost" not in words_of(server.requests[-1])


def test_the_command_answers_line_by_line_and_outlives_a_refusal(server, clip, capsys, monkeypatch):
    server.script = lambda number, request: fail(400, "not that") if number == 1 else say(f"answer\x1b[2J {number}")
    monkeypatch.setattr("sys.stdin", io.StringIO("first ?\n/evidence\nsecond ?\nthird ?\n"))
    words = ["--model", "endpoint:gpt-4o", "--base-url", server.url, "--eye", "pixels", "--num-frames", "6"]
    assert main(["chat", str(clip), *words]) == 1
    out, err = capsys.readouterr()
    assert [line[:6] + line[-1:] for line in out.splitlines()] == ["answer0", "answer2"]
    assert "\x1b" not in out
    assert "not that" in err
    assert "gives no likelihoods" in err
    assert "first ?\nAnswer: answer" in words_of(server.requests[2])
    assert "second" not in words_of(server.requests[2])
    assert "reads one question at a time" not in err


def test_the_command_asks_about_several_videos(server, clip, capfd, tmp_path):
    server.script = lambda number, request: fail(400, "not that") if number == 1 else say(f"answer {number}")
    (tmp_path / "asked.txt").write_text("first ?\nsecond ?\n")
    words = ["--model", "endpoint:gpt-4o", "--base-url", server.url, "--eye", "pixels", "--num-frames", "6"]
    assert main(["ask", str(clip), "gone.mp4", "--each", str(tmp_path / "asked.txt"), "--json", *words]) == 1
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [one["status"] for one in found].count("answered") >= 1
    assert [one["question"] for one in found] == ["first ?", "second ?"] * 2
    assert [one["status"] for one in found][2:] == ["undecodable"] * 2
