"""The judge's client against endpoints that refuse parameters, never end, or send something else."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time

import pytest

from dyto.errors import JudgeError
from dyto.evaluation.journal import Journal
from dyto.evaluation.judge import Judge
from dyto.evaluation.judge_prompts import PROMPTS
from dyto.evaluation.judging import judge_cases, kept_verdicts
from dyto.evaluation.report import notes_of
from dyto.evaluation.verdicts import Case, Verdict, request_key, verdict_rank

YES = '{"pred": "yes", "score": 4}'


def case(i):
    return Case(f"s{i}", "match", {"question": f"who {i}?", "answer": "a dog", "prediction": "dog"})


def quick(**more):
    return Judge(**({"timeout": 2.0, "attempts": 2, "backoff": 0.01, "give_up_after": 4} | more))


def judge(cases, folder, *, concurrency=1, **more):
    with Journal(folder) as cache:
        return judge_cases(cases, quick(**more), PROMPTS, cache, concurrency=concurrency)


def refusing(stub, *names, error=None):
    """A script that refuses parameters as newer models of the default endpoint do."""

    def script(n, request):
        for name in names:
            if name in request:
                return error(name, request) if error else refusal(name, request)
        return stub.say(YES)

    return script


def refusal(name, request):
    instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
    return (
        400,
        {
            "error": {
                "message": message,
                "type": "invalid_request_error",
                "param": name,
                "code": "unsupported_parameter",
            }
        },
        (),
    )


ERRORS = {
    "with a value": lambda name, r: (400, {"error": {"message": f"Unsupported value: '{name}' does not support {r[name]} with this model.", "param": name, "code": "unsupported_value"}}, ()),
    "without param": lambda name, r: (400, {"error": {"message": f"'{name}' is not supported with this model."}}, ()),
    "as validation": lambda name, r: (422, {"detail": [{"loc": ["body", name], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]}, ()),
    "as text": lambda name, r: (400, f"unknown field {name}".encode(), {"Content-Type": "text/plain"}),
    "deprecated": lambda name, r: (400, {"error": {"message": f"`{name}` is deprecated for this model."}}, ()),
    "as a list": lambda name, r: (400, {"error": {"message": f"unknown field {name}", "param": [name], "code": 5}}, ()),
    "without its name": lambda name, r: (400, {"error": {"message": "This model has an unsupported parameter.", "code": "unsupported_parameter"}}, ()),
}  # fmt: skip


@pytest.mark.parametrize(
    "refused",
    [
        ["max_tokens"],
        ["temperature"],
        ["max_tokens", "temperature"],
        ["temperature", "max_tokens", "max_completion_tokens"],
    ],
)
def test_a_parameter_that_is_refused_is_left_out_and_not_sent_again(stub, tmp_path, refused):
    stub.script = refusing(stub, *refused)
    found = judge([case(i) for i in range(5)], tmp_path)
    assert all(verdict.pred == "yes" for verdict in found.values())
    assert len(stub.requests) == 5 + len(refused), "what is refused is tried once in a run"
    last = stub.requests[-1]
    assert not set(refused) & set(last)
    assert ("max_completion_tokens" in last) == ("max_tokens" in refused and "max_completion_tokens" not in refused)
    assert ("temperature" in last) == ("temperature" not in refused)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("refused", ["max_tokens", "temperature"])
def test_a_refusal_is_understood_however_it_is_worded(stub, tmp_path, refused, error):
    stub.script = refusing(stub, refused, error=error)
    assert judge([case(1)], tmp_path)["s1", "match"].pred == "yes"
    assert len(stub.requests) <= 4


def test_a_limit_by_its_newer_name_leaves_room_to_think(stub, tmp_path):
    stub.script = refusing(stub, "max_tokens")
    judge([case(1)], tmp_path)
    assert stub.requests[-1]["max_completion_tokens"] > 1000


def test_another_complaint_is_no_refusal_and_nothing_is_left_out_after_it(stub, tmp_path):
    complaint = (
        400,
        {"error": {"message": "the prompt holds temperature and max_tokens, which our filter refuses"}},
        (),
    )
    stub.script = lambda n, request: complaint if "who 1" in request["messages"][1]["content"] else stub.say(YES)
    found = judge([case(i) for i in range(3)], tmp_path)
    assert found["s1", "match"].reason.startswith("refused: ")
    assert found["s2", "match"].pred == "yes"
    assert {"temperature", "max_tokens"} <= set(stub.requests[-1])


def test_a_plain_complaint_is_not_asked_again(stub, tmp_path):
    stub.script = lambda n, request: stub.fail(400, "content filter")
    assert judge([case(1)], tmp_path)["s1", "match"].reason.startswith("refused: ")
    assert len(stub.requests) == 1


SHAPES = [[], {}, 5, None, "text", [1], {"choices": None}, {"choices": 5}, {"choices": {}}, {"choices": [5]}, {"choices": [None]}, {"choices": [[]]}, {"choices": [{}]}, {"choices": [{"message": None}]},
          {"choices": [{"message": 5}]}, {"choices": [{"message": {"content": 5}}]}, {"choices": [{"message": {"content": {"a": 1}}}]}, {"error": {"message": "busy"}}, {"choices": [{"text": YES}]}]  # fmt: skip
NOTHING = [{"choices": []}, {"choices": [{"message": {}}]}, {"choices": [{"message": {"content": None}}]}, {"choices": [{"message": {"content": ""}}]}, {"choices": [{"message": {"content": []}}]},
           {"choices": [{"message": {"content": [5, {"text": 5}]}}]}, {"choices": [{"message": {"content": "\ud800 {"}}]}]  # fmt: skip
BODIES = [
    b"<html>busy</html>",
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 200_000,
    b'{"choices":' + b"[" * 100_000,
    b"NaN",
    b'{"choices":[{"message":{"content":"' + b"x" * 5_000_000 + b'"}}]}',
]


@pytest.mark.parametrize("shape", SHAPES, ids=json.dumps)
def test_json_that_is_no_completion_is_an_unscored_row(stub, tmp_path, shape):
    stub.script = lambda n, request: (200, shape, ())
    verdict = judge([case(1)], tmp_path)["s1", "match"]
    assert not verdict.scored
    assert verdict.reason.startswith("no chat completion in 3 replies: sent ")


@pytest.mark.parametrize("shape", NOTHING, ids=json.dumps)
def test_a_completion_without_words_is_an_unscored_row(stub, tmp_path, shape):
    stub.script = lambda n, request: (200, shape, ())
    assert judge([case(1)], tmp_path)["s1", "match"].reason == "no verdict in 3 replies"


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
def test_a_body_that_is_no_json_is_an_unscored_row(stub, tmp_path, body):
    stub.script = lambda n, request: (200, body, ())
    verdict = judge([case(1)], tmp_path)["s1", "match"]
    assert not verdict.scored
    assert verdict.reason.startswith(("no reply in 2 attempts: ", "no chat completion in 3 replies: ")), verdict.reason


def test_odd_replies_end_no_run_however_many_there_are(stub, tmp_path):
    stub.script = lambda n, request: (200, SHAPES[n % len(SHAPES)], ())
    found = judge([case(i) for i in range(12)], tmp_path, give_up_after=4)
    assert len(found) == 12
    assert not any(verdict.scored for verdict in found.values())


def test_text_in_parts_is_read(stub, tmp_path):
    parts = [{"type": "text", "text": '{"pred": "yes",'}, {"type": "text", "text": ' "score": 4}'}]
    stub.script = lambda n, request: (200, {"choices": [{"message": {"content": parts}}]}, ())
    assert judge([case(1)], tmp_path)["s1", "match"].score == 4


def test_texts_that_no_request_can_hold_are_still_judged(stub, tmp_path):
    odd = Case("s1", "match", {"question": "who \ud800?", "answer": "a", "prediction": "\udfff"})
    stub.script = lambda n, request: (200, {"choices": [{"message": {"content": YES}}]}, ())
    assert judge([odd], tmp_path)["s1", "match"].pred == "yes"


@pytest.fixture
def dripping(monkeypatch):
    """A server that sends one byte of a reply at a time, for ever; `head` is what it sends at once."""
    listening = socket.create_server(("127.0.0.1", 0))
    stop, server = threading.Event(), {"head": b"", "connections": 0}

    def serve(client):
        with client:
            try:
                client.recv(1 << 16)
                client.sendall(server["head"])
                while not stop.wait(0.05):
                    client.sendall(b" ")
            except OSError:
                pass

    def accept():
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server["connections"] += 1  # type: ignore[operator]
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    yield server
    stop.set()
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 500 No\r\n\r\n", b""],
)  # fmt: skip
def test_a_reply_that_never_ends_is_an_error_at_the_deadline(dripping, tmp_path, head):
    pytest.importorskip("openai", reason="the judge needs the extra 'judge'")
    dripping["head"] = head
    start = time.monotonic()
    verdict = judge([case(1)], tmp_path, timeout=0.5)["s1", "match"]
    assert time.monotonic() - start < 5
    assert not verdict.scored
    assert verdict.reason.startswith("no reply in 2 attempts: ")
    assert dripping["connections"] == 2


def test_endpoints_that_never_answer_in_time_stop_the_judging(dripping, tmp_path):
    pytest.importorskip("openai", reason="the judge needs the extra 'judge'")
    dripping["head"] = b"HTTP/1.1 200 OK\r\n\r\n"
    with pytest.raises(JudgeError, match="failed 2 times in a row"):
        judge([case(i) for i in range(9)], tmp_path, timeout=0.2, give_up_after=2)


def test_the_report_tells_how_many_verdicts_are_missing_of_which_kind():
    unscored = {
        "1 match": "no verdict in 3 replies",
        "2 match": "refused: HTTP 400: a",
        "3 match": "refused: HTTP 400: b",
        "4 match": "no reply in 6 attempts: late",
    }
    run = {"benchmark": "x", "title": "X", "config": "c", "questions": 4, "complete": True, "unanswered": {}, "unparsed": [], "unscored": unscored, "judge": "j", "setting": None}  # fmt: skip
    (note,) = [note for note in notes_of(run) if "missing" in note]
    assert (
        note
        == "X, c: 4 verdicts are missing (2 refused, 1 no verdict in 3 replies, 1 no reply in 6 attempts); run the same command to ask again."
    )


def test_a_kept_row_without_a_verdict_is_passed_over_and_judged_again(stub, tmp_path, caplog):
    messages = PROMPTS["match"].messages(case(1).values)
    key = request_key(quick().name, messages)
    rows = [
        {"key": key},
        {"key": key, "pred": "maybe", "score": 4, "reason": "", "reply": ""},
        {"key": "x"},
        {"key": "y", "score": "4", "pred": "yes", "reason": "", "reply": ""},
    ]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with caplog.at_level(logging.WARNING):
        assert judge([case(1)], tmp_path)["s1", "match"].pred == "yes"
    assert "3 rows hold no verdict and are judged again" in caplog.text
    with Journal(tmp_path, rank=verdict_rank) as cache:
        assert kept_verdicts(cache) == {key: Verdict("yes", 4.0, reply=YES)}
    before = len(stub.requests)
    with Journal(tmp_path, rank=verdict_rank) as cache:
        judge_cases([case(1)], quick(), PROMPTS, cache)
    assert len(stub.requests) == before, "it is not judged a third time"
