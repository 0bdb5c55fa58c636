"""An endpoint in all kinds of failure: each is one clear error, and a passing one is tried again."""

import time

import pytest

import dyto
from dyto.cli.app import main
from dyto.errors import EndpointError

from conftest import scenes
from endpoints import fail, say


def ask(reach, **options):
    return reach("uniform", tokens_per_image=30, **options).ask(scenes(), "what ?").text


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param(fail(401, "wrong key"), "rejects our requests: .*401.*check key, model and endpoint", id="401"),
        pytest.param(fail(403, "not yours"), "rejects our requests: .*403", id="403"),
        pytest.param(fail(404, "model m is not found"), "rejects our requests: .*model m is not found", id="404"),
        pytest.param(fail(429, "pay", code="insufficient_quota"), "the endpoint's quota is used up", id="quota"),
        pytest.param((307, b"", {"Location": "http://elsewhere/"}), "sends us on to 'http://elsewhere/'", id="307"),
        pytest.param((302, b"", {"Location": "/login"}), "sends us on to '/login'", id="302"),
        pytest.param(fail(400, "context is 4096"), "refused: .*context is 4096", id="too long"),
        pytest.param(fail(413, "too large"), "too large", id="413"),
    ],
)
def test_what_no_attempt_can_change_is_told(reach, server, reply, said):
    server.script = lambda number, request: reply
    with pytest.raises(EndpointError, match=said):
        ask(reach)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param((None, None), "no reply in 2 attempts", id="hangs up"),
        pytest.param((500, b"oops"), "no reply in 2 attempts: .*500", id="500"),
        pytest.param((200, b"<html>busy</html>", {"Content-Type": "text/html"}), "did not send JSON", id="html"),
        pytest.param((200, b'{"choices": [{"mess'), "did not send JSON", id="cut off"),
        pytest.param((200, b""), "did not send JSON", id="nothing"),
        pytest.param((200, b" " * (5 << 20)), "more than 4 MB", id="huge"),
        pytest.param((200, {"choices": "none"}), "sent no chat completion", id="other shape"),
        pytest.param((200, [1]), "sent no chat completion", id="a list"),
    ],
)
def test_what_stays_broken_is_told_after_some_attempts(reach, server, reply, said):
    server.script = lambda number, request: reply
    with pytest.raises(EndpointError, match=said):
        ask(reach)
    assert 1 <= len(server.requests) <= 2


@pytest.mark.parametrize(
    "reply",
    [(None, None), (500, b""), (503, b""), fail(429, "slow down", headers={"Retry-After": "0"}), (200, b"{")],
    ids=str,
)
def test_a_passing_failure_is_tried_again(reach, server, reply):
    server.script = lambda number, request: reply if number == 0 else say("a dog")
    assert ask(reach) == "a dog"
    assert len(server.requests) == 2


def test_an_endpoint_that_says_when_to_come_back_is_waited_for(reach, server):
    server.script = lambda number, request: (
        fail(429, "slow down", headers={"Retry-After": "0.4"}) if number == 0 else say("a dog")
    )
    began = time.monotonic()
    assert ask(reach) == "a dog"
    assert time.monotonic() - began >= 0.4


def test_a_slow_endpoint_is_an_error_at_the_deadline(reach, server):
    server.script = lambda number, request: say("late", wait=5.0)
    began = time.monotonic()
    with pytest.raises(EndpointError, match="no reply in 1 attempts: .*(within 0.3 seconds|timed out)"):
        ask(reach, timeout=0.3, attempts=1)
    assert time.monotonic() - began < 4


def test_an_endpoint_that_is_not_there_is_told(server, clip, capfd):
    words = ["ask", str(clip), "what ?", "--model", "endpoint:m", "--eye", "pixels", "--base-url"]
    server.close()
    model = dyto.load_model("endpoint:m", base_url=server.url, eye="pixels", attempts=1)
    with pytest.raises(EndpointError, match=r"endpoint:m at http://127.*no reply in 1 attempts: Connection error"):
        dyto.VideoQA(model).ask(scenes(), "what ?")
    assert main([*words, "nonsense"]) == 2
    assert "expected http://HOST:PORT/v1" in capfd.readouterr().err


def test_a_refusal_and_a_filter_are_told_as_such(reach, server):
    def reply(**first):
        status, body, *rest = say(None)
        body["choices"][0] = {**body["choices"][0], **first}
        return status, body, *rest

    refused = {"message": {"role": "assistant", "content": None, "refusal": "I cannot help with that."}}
    server.script = lambda number, request: reply(**refused)
    with pytest.raises(EndpointError, match="refuses to answer: I cannot help with that"):
        ask(reach)
    server.script = lambda number, request: reply(finish_reason="content_filter")
    with pytest.raises(EndpointError, match="held its answer back"):
        ask(reach)


@pytest.mark.parametrize("choices", [[], [{"message": {"content": None}}], [{"message": {"content": ""}}]], ids=str)
def test_an_empty_answer_is_an_answer_with_a_warning(reach, server, choices):
    server.script = lambda number, request: (200, {"choices": choices})
    answer = reach("uniform").ask(scenes(), "what ?")
    assert answer.text == ""
    assert "ended its answer before the first word" in " ".join(answer.warnings)


def test_after_many_failures_in_a_row_nothing_more_is_sent(reach, server):
    server.script = lambda number, request: (500, b"")
    qa = reach("uniform", attempts=1)
    for _ in range(7):
        with pytest.raises(EndpointError, match="no reply in 1 attempts"):
            qa.ask(scenes(), "what ?")
    with pytest.raises(EndpointError, match="failed 8 times in a row"):
        qa.ask(scenes(), "what ?")
