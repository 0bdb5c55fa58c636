"""The judge against a server on loopback that fails in every way."""

from __future__ import annotations

import sys
import time

import pytest

from dyto.errors import ConfigError, JudgeError, MissingExtraError
from dyto.evaluation.journal import Journal
from dyto.evaluation.judge import Judge
from dyto.evaluation.judge_prompts import PROMPTS, read_prompts
from dyto.evaluation.judging import judge_cases
from dyto.evaluation.verdicts import Case, estimate, exact_match, parse_verdict

YES = '{"pred": "yes", "score": 4}'


def case(i, **more):
    return Case(f"s{i}", "match", {"question": f"who {i}?", "answer": "a dog", "prediction": "dog"} | more)


def quick(**more):
    return Judge(**({"timeout": 0.5, "attempts": 3, "backoff": 0.01, "give_up_after": 4} | more))


def judge(cases, folder, *, prompts=PROMPTS, concurrency=4, **more):
    with Journal(folder) as cache:
        return judge_cases(cases, quick(**more), prompts, cache, concurrency=concurrency)


def test_a_verdict_is_asked_for_once_and_kept(stub, tmp_path):
    first = judge([case(1)], tmp_path)
    again = judge([case(1)], tmp_path)
    assert first == again
    assert first["s1", "match"].pred == "yes"
    assert first["s1", "match"].score == 4
    assert len(stub.requests) == 1


def test_the_request_is_what_the_field_sends(stub, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG", "org-1")
    judge([case(1, prediction="a {question} in braces")], tmp_path)
    (request,) = stub.requests
    assert request["model"] == "gpt-3.5-turbo-0125"
    assert request["temperature"] == 0
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert "Question: who 1?" in request["messages"][1]["content"]
    assert "a {question} in braces" in request["messages"][1]["content"]
    assert stub.headers[0]["authorization"] == "Bearer secret"
    assert stub.headers[0]["openai-organization"] == "org-1"


def test_equal_cases_are_paid_for_once(stub, tmp_path):
    same = {"question": "who?", "answer": "x", "prediction": "y"}
    found = judge([Case("a", "match", same), Case("b", "match", same)], tmp_path)
    assert found["a", "match"] == found["b", "match"]
    assert len(stub.requests) == 1


def test_another_question_answer_prediction_or_model_is_another_verdict(stub, tmp_path):
    judge([case(1), case(2), case(1, answer="cat"), case(1, prediction="cat")], tmp_path)
    judge([case(1)], tmp_path, model="other")
    assert len(stub.requests) == 5


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(lambda stub: stub.fail(429, "slow down", headers={"retry-after": "0"}), id="429"),
        pytest.param(lambda stub: stub.fail(500), id="500"),
        pytest.param(lambda stub: stub.fail(503), id="503"),
        pytest.param(lambda stub: (None, None), id="hangs up"),
        pytest.param(lambda stub: stub.say(YES, wait=2.0), id="hangs"),
        pytest.param(lambda stub: (200, b"<html>busy</html>", {"Content-Type": "text/html"}), id="html"),
        pytest.param(lambda stub: (200, b"{", ()), id="no json"),
        pytest.param(lambda stub: (200, b"", ()), id="nothing"),
        pytest.param(lambda stub: (200, {"object": "list"}, ()), id="no completion"),
        pytest.param(lambda stub: (200, [1], ()), id="a list"),
    ],
)
def test_a_passing_failure_is_tried_again(stub, tmp_path, failure):
    stub.script = lambda n, request: failure(stub) if n == 0 else stub.say(YES)
    assert judge([case(1)], tmp_path)["s1", "match"].pred == "yes"
    assert len(stub.requests) == 2


@pytest.mark.parametrize("reply", ["I like dogs", "", None, '{"pred": "maybe", "score": 3}', '{"score": 7}'])
def test_a_reply_that_is_no_verdict_is_asked_again_then_unscored(stub, tmp_path, reply):
    stub.script = lambda n, request: stub.say(reply)
    verdict = judge([case(1)], tmp_path)["s1", "match"]
    assert not verdict.scored
    assert verdict.reason == "no verdict in 3 replies"
    assert (verdict.pred, verdict.score) == (None, None)
    assert len(stub.requests) == 3
    assert "JSON object" in stub.requests[1]["messages"][-1]["content"]
    stub.script = lambda n, request: stub.say(YES)
    assert judge([case(1)], tmp_path)["s1", "match"].scored, "the next run asks again"


def test_a_second_asking_may_bring_the_verdict(stub, tmp_path):
    stub.script = lambda n, request: stub.say("hm" if n == 0 else YES)
    assert judge([case(1)], tmp_path)["s1", "match"].pred == "yes"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_stops_at_once_and_keeps_what_there_is(stub, tmp_path, status):
    judge([case(0)], tmp_path)
    stub.script = lambda n, request: stub.fail(status, "wrong key")
    with pytest.raises(JudgeError, match=rf"rejects our requests: .*{status}.*check key, model and endpoint"):
        judge([case(i) for i in range(200)], tmp_path)
    assert len(stub.requests) < 20
    stub.script = lambda n, request: stub.say(YES)
    before = len(stub.requests)
    assert len(judge([case(i) for i in range(5)], tmp_path)) == 5
    assert len(stub.requests) == before + 4


def test_a_used_up_quota_stops_at_once(stub, tmp_path):
    stub.script = lambda n, request: stub.fail(429, "quota", code="insufficient_quota")
    with pytest.raises(JudgeError, match="quota is used up"):
        judge([case(1)], tmp_path)
    assert len(stub.requests) == 1


def test_a_request_the_endpoint_refuses_is_unscored_and_the_others_go_on(stub, tmp_path):
    stub.script = lambda n, request: (
        stub.fail(400, "content filter") if "who 3" in request["messages"][1]["content"] else stub.say(YES)
    )
    found = judge([case(i) for i in range(6)], tmp_path)
    assert [key for key, verdict in found.items() if not verdict.scored] == [("s3", "match")]
    assert "content filter" in found["s3", "match"].reason


def test_an_endpoint_that_is_down_stops_the_judging_and_nothing_is_lost(stub, tmp_path):
    stub.script = lambda n, request: stub.say(YES) if n < 10 else stub.fail(500)
    with pytest.raises(JudgeError, match=r"failed 4 times in a row.*same command again"):
        judge([case(i) for i in range(100)], tmp_path, concurrency=1)
    assert len(Journal(tmp_path).refresh()) == 10
    stub.script = lambda n, request: stub.say(YES)
    before = len(stub.requests)
    assert len(judge([case(i) for i in range(100)], tmp_path)) == 100
    assert len(stub.requests) - before == 90


def test_one_request_that_always_fails_is_unscored_among_good_ones(stub, tmp_path):
    stub.script = lambda n, request: stub.fail(500) if "who 3" in request["messages"][1]["content"] else stub.say(YES)
    found = judge([case(i) for i in range(20)], tmp_path)
    assert sum(verdict.scored for verdict in found.values()) == 19
    assert "no reply in 3 attempts" in found["s3", "match"].reason


def test_requests_run_at_once_but_no_more_than_allowed(stub, tmp_path):
    stub.script = lambda n, request: stub.say(YES, wait=0.05)
    judge([case(i) for i in range(24)], tmp_path, concurrency=6)
    assert 1 < stub.most_at_once <= 6


def test_the_pause_that_the_endpoint_asks_for_is_kept(stub, tmp_path):
    stub.script = lambda n, request: stub.fail(429, headers={"retry-after": "0.3"}) if n == 0 else stub.say(YES)
    start = time.monotonic()
    judge([case(1)], tmp_path)
    assert time.monotonic() - start >= 0.3


def test_without_key_or_endpoint_the_error_says_what_to_set(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(JudgeError, match="OPENAI_API_KEY.*--judge offline"):
        Judge()


def test_without_the_client_the_error_names_the_extra(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"pip install '.\[judge\]'"):
        Judge()


@pytest.mark.parametrize(
    ("reply", "aspect", "expected"),
    [
        ("{'pred': 'yes', 'score': 4.8}", "match", ("yes", 4.8)),
        ('{"pred": "No", "score": "0"}', "match", ("no", 0)),
        ('```json\n{"pred": "yes",\n "score": 5}\n```', "match", ("yes", 5)),
        ("Sure! {'score': 3}", "detail", (None, 3)),
        ('{"score": 3, "reason": "because"}', "detail", (None, 3)),
        ("{'pred': yes, 'score': 4}", "match", ("yes", 4)),
        ("{'score': 3}", "match", None),
        ("{'pred': 'yes'}", "match", None),
        ("{'pred': 'yes', 'score': 5.5}", "match", None),
        ("{'pred': 'yes', 'score': -1}", "match", None),
        ("{'pred': 'yes', 'score': 4} or {'pred': 'no', 'score': 1}", "match", None),
        ("__import__('os').system('true')", "match", None),
        ("yes 4", "match", None),
    ],
)
def test_replies_are_read_and_never_evaluated(reply, aspect, expected):
    verdict = parse_verdict(reply, aspect)
    assert (None if verdict is None else (verdict.pred, verdict.score)) == expected


def test_the_bill_counts_what_is_still_to_come(stub, tmp_path):
    cases = [case(i) for i in range(5)]
    name = quick().name
    before = estimate(cases, PROMPTS, name, set())
    assert before.calls == 5
    assert before.input_tokens > 5 * 100
    judge(cases[:2], tmp_path)
    after = estimate(cases, PROMPTS, name, Journal(tmp_path).refresh())
    assert (after.calls, after.cached) == (3, 2)
    assert len(stub.requests) == 2
    assert "3 calls to come" in str(after)


def test_the_offline_judge_wants_the_same_words_and_gives_no_score():
    assert exact_match(case(1, prediction="The dog.")).pred == "yes"
    assert exact_match(case(1, prediction="a dog runs")).pred == "no"
    assert exact_match(case(1)).score is None
    assert exact_match(case(1, prediction2="cat")).pred == "no"


def test_a_file_replaces_prompts_and_leaves_the_others(tmp_path):
    file = tmp_path / "judge.yaml"
    file.write_text("match:\n  system: You judge.\n  user: 'P: {prediction}'\n")
    prompts = read_prompts(file)
    assert prompts["match"].messages({"prediction": "x{y}"})[1]["content"] == "P: x{y}"
    assert prompts["detail"] == PROMPTS["detail"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("matsch:\n  system: a\n  user: b", "did you mean 'match'"),
        ("match:\n  system: a", "two keys system and user"),
        ("match:\n  system: a\n  user: b", "no {prediction}"),
        ("- a", "holds list"),
        ("{", "cannot be read as YAML"),
    ],
)
def test_a_prompt_file_that_does_not_fit_is_an_error(tmp_path, text, message):
    (tmp_path / "judge.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_prompts(tmp_path / "judge.yaml")


@pytest.mark.parametrize("aspect", PROMPTS)
def test_every_prompt_shows_the_case_and_asks_for_a_score(aspect):
    values = {name: f"<{name}>" for name in ("question", "answer", "prediction", "question2", "prediction2")}
    text = PROMPTS[aspect].messages(values)[1]["content"]
    assert all(f"<{name}>" in text for name in ("question", "answer", "prediction"))
    assert ("<prediction2>" in text) == (aspect == "consistency")
    assert '"score"' in text
    assert ('"pred"' in text) == (aspect == "match")
