"""A service in front of another server: what it sends there, what comes back and when, and what a client is told."""

import base64
import json
import re
import threading
import time
from typing import Any

import openai
import pytest

import dyto
from dyto.cli.app import run
from dyto.models.endpoint.service import ADDRESS, OPENAI_KEY, OWN_KEY
from dyto.models.endpoint.upstream import upstream_options

from endpoints import StubEndpoint, fail, picture_of, say, stream
from serving_client import KEYS, ask, chat, start
from subtitle_files import with_track

USAGE = {"prompt_tokens": 900, "completion_tokens": 3}


@pytest.fixture(scope="module")
def upstream():
    stub = StubEndpoint()
    yield stub
    stub.close()


@pytest.fixture(scope="module")
def front(upstream):
    """A service in front of it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (ADDRESS, OPENAI_KEY, OWN_KEY):
            patch.delenv(name, raising=False)
        options = upstream_options(upstream.url)
        model = dyto.load_model(options.pop("model"), eye="pixels", timeout=2.0, **options)
        running = start(model, engine=dyto.Engine(model, "plus", max_batch=4))
    yield running
    running.stop()


@pytest.fixture
def client(front, upstream):
    upstream.script = lambda number, request: stream("a red", " ring", usage=USAGE)
    upstream.requests.clear()
    with front.client() as client:
        yield client


def about(inline, **fields):
    return {**chat(inline, "what happens ?", **fields), "model": "m"}


def post(client, inline, **fields):
    return client.post("/v1/chat/completions", json=about(inline, **fields))


def test_the_chat_goes_on_as_it_is_with_key_frames_and_their_times_for_the_video(client, upstream, inline):
    request = about(inline, max_tokens=7, temperature=0.5, seed=3, stop=["."])
    asked = request["messages"][0]
    request["messages"] = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Hello!"},
        asked,
    ]
    told = client.post("/v1/chat/completions", json=request).json()
    (sent,) = upstream.requests
    assert {name: sent[name] for name in ("model", "max_tokens", "temperature", "seed", "stop")} == {
        "model": "m", "max_tokens": 7, "temperature": 0.5, "seed": 3, "stop": ["."],
    }  # fmt: skip
    assert sent["messages"][:3] == request["messages"][:3]
    *parts, last = sent["messages"][3]["content"]
    assert last == {"type": "text", "text": "what happens ?"}
    pictures = told["dyto"]["pictures"]
    assert len(parts) == 2 * len(pictures) > 2
    for said, shown, picture in zip(parts[::2], parts[1::2], pictures, strict=True):
        assert said["text"] == f"{picture['second']:.1f} s:\n"
        assert picture_of(shown).size == (picture["width"], picture["height"])


def test_what_is_said_goes_on_before_the_question_where_it_is_asked_for(client, upstream, tmp_path):
    film = with_track(tmp_path / "film.mkv", texts=("A red star.", "A blue ring."))
    inline = "data:video/x-matroska;base64," + base64.b64encode(film.read_bytes()).decode()
    told = post(client, inline, dyto={"subtitles": "auto"}).json()
    post(client, inline)
    said, plain = (request["messages"][-1]["content"][-1]["text"] for request in upstream.requests)
    assert said.index("0.5 s: A red star.") < said.index("1.5 s: A blue ring.") < said.index("what happens ?")
    assert "red star" not in plain
    assert told["dyto"]["subtitles"]["read"] == 2


def test_the_reply_says_what_was_sent_and_saved(client, inline):
    told = post(client, inline).json()
    assert told["choices"][0]["message"]["content"] == "a red ring"
    assert told["model"] == "m"
    assert (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) == (900, 3)
    own = told["dyto"]
    assert own["sent"]["pictures"] == len(own["pictures"]) == len(own["keyframes"])
    assert own["sent"]["tokens"] == sum(picture["tokens"] for picture in own["pictures"]) == own["tokens"]["used"]
    assert own["saved"]["tokens"] == own["tokens"]["uncompressed"] - own["tokens"]["used"] > 0
    assert "spent" not in own


def test_frames_of_a_known_video_are_chosen_once_and_each_budget_has_its_own(client, front, inline, monkeypatch):
    first = post(client, inline, dyto={"token_budget": 90}).json()["dyto"]
    encode, calls = front.engine.model.encode, []
    monkeypatch.setattr(front.engine.model, "encode", lambda *a, **k: (calls.append(1), encode(*a, **k))[1])
    again = post(client, inline, dyto={"token_budget": 90}).json()["dyto"]
    assert not calls
    assert again["reused"]
    assert again["pictures"] == first["pictures"]
    fewer = post(client, inline, dyto={"token_budget": 30}).json()["dyto"]
    assert calls
    assert fewer["sent"]["tokens"] <= 30 < first["sent"]["tokens"] <= 90
    assert front.engine.kept.nbytes > first["sent"]["bytes"]


def test_an_answer_is_passed_through_piece_by_piece_as_it_arrives(client, upstream, inline):
    go = threading.Event()
    upstream.script = lambda number, request: stream(
        "a", " red ri", "ng", usage=USAGE, before=lambda number: number < 1 or go.wait(60)
    )
    request = about(inline, stream=True, stream_options={"include_usage": True})
    found = []
    with client.stream("POST", "/v1/chat/completions", json=request) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                found.append(json.loads(line[6:]))
                go.set()  # the upstream waits until its first piece is here
    pieces = [chunk["choices"][0]["delta"].get("content") for chunk in found if chunk["choices"]]
    assert pieces == ["a", " red ri", "ng", None]
    assert found[-1]["usage"]["completion_tokens"] == 3
    assert found[-2]["dyto"]["sent"]["pictures"] > 0


def test_clients_do_not_wait_for_each_other(client, front, upstream, inline):
    together = threading.Barrier(3)
    upstream.script = lambda number, request: stream("x", before=lambda number: together.wait(60))
    post_all = [threading.Thread(target=lambda: found.append(post(client, inline).status_code)) for _ in range(3)]
    found = []
    for thread in post_all:
        thread.start()
    for thread in post_all:
        thread.join(60)
    assert found == [200, 200, 200]


def test_a_client_that_leaves_ends_the_request_at_its_next_piece(client, front, upstream, inline):
    broken = threading.Event()

    def write(number):
        time.sleep(0.02)

    def endless(file):
        try:
            stream(*["x"] * 3000, before=write)[1](file)
        except OSError:
            broken.set()

    upstream.script = lambda number, request: (200, endless)
    with client.stream("POST", "/v1/chat/completions", json=about(inline, stream=True)) as response:
        next(response.iter_lines())
    assert broken.wait(20)
    until = time.monotonic() + 20
    while front.engine.waiting + front.engine.answering and time.monotonic() < until:
        time.sleep(0.02)
    assert front.engine.waiting + front.engine.answering == 0


@pytest.mark.parametrize(
    ("said", "status", "code", "words"),
    [
        (fail(429, "slow down", headers={"retry-after": "7"}), 429, "rate_limit_exceeded", "slow down"),
        (fail(503, "loading"), 502, "upstream_failed", "loading"),
        (fail(500, "at http://10.0.0.7/v1"), 502, "upstream_failed", "the log of the server"),
        (fail(401, "bad key sk-abcdefgh"), 502, "upstream_failed", "HTTP 401"),
        (fail(404, "no such model"), 502, "upstream_failed", "HTTP 404"),
        (fail(400, "the prompt is too long"), 400, "upstream_refused", "too long"),
        (fail(422, "seed is not supported"), 400, "upstream_refused", "seed"),
        (fail(504, "gone"), 504, "upstream_late", "in time"),
        ((200, b"<html>"), 502, "upstream_failed", "JSON"),
        ((200, [1]), 502, "upstream_failed", "failed"),
        ((None, b""), 502, "upstream_failed", "reached"),
        (stream("a red", ended=None), 502, "upstream_failed", "broke off"),
        ((*say("late")[:3], 6.0), 504, "upstream_late", "in time"),
    ],
)
def test_what_fails_there_has_its_status_here(client, upstream, inline, said, status, code, words):
    upstream.script = lambda number, request: said
    response = post(client, inline, seed=1)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert (error["code"], words in error["message"]) == (code, True), error
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)
    assert "sk-" not in response.text
    assert "http:" not in response.text
    assert len(upstream.requests) == 1  # whether to ask again is up to the client


def test_a_stream_that_breaks_off_ends_with_an_error(client, upstream, inline):
    upstream.script = lambda number, request: stream("a red", ended=None)
    response = post(client, inline, stream=True)
    assert response.status_code == 200
    last = json.loads(response.text.strip().rpartition("data: ")[2])
    assert last["error"]["code"] == "upstream_failed"
    assert "[DONE]" not in response.text


def test_a_server_that_does_not_stream_and_wants_newer_words_is_asked_all_the_same(client, upstream, inline):
    def script(number, request):
        if "max_tokens" in request:
            return fail(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "stream_options" in request:
            return fail(400, "Unknown parameter: 'stream_options'.")
        return say("a blue ring")

    upstream.script = script
    assert post(client, inline).json()["choices"][0]["message"]["content"] == "a blue ring"
    assert upstream.requests[-1]["max_completion_tokens"] >= 128


def test_evidence_is_refused_before_anything_is_sent(client, upstream, inline):
    response = post(client, inline, dyto={"evidence": True})
    assert (response.status_code, upstream.requests) == (400, [])
    assert "likelihoods" in response.json()["error"]["message"]


def test_the_official_client_asks_through_it(front, client, inline):
    asker = openai.OpenAI(base_url=f"{front.address}v1", api_key=KEYS[0])
    with asker:
        reply = asker.chat.completions.create(**{**about(inline), "stream": False})
    assert reply.choices[0].message.content == "a red ring"


def test_our_own_service_answers_behind_it_as_it_does_when_asked_for_the_frames(tiny, inline, monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", KEYS[1])
    behind = start(tiny)
    try:
        options = upstream_options(f"{behind.address}v1", key_env="UPSTREAM_KEY")
        assert options["model"] == "endpoint:tiny"
        model = dyto.load_model(options.pop("model"), eye="pixels", **options)
        front = start(model, engine=dyto.Engine(model, "plus"))
        try:
            with front.client() as client, behind.client() as direct:
                told = ask(client, inline, "is there a red ring ?").json()
                assert told["choices"][0]["message"]["content"] == ask_frames(direct, front, inline, told)
                assert told["usage"]["prompt_tokens"] > 10
                streamed = ask(client, inline, "is there a red ring ?", stream=True).text
        finally:
            front.stop()
    finally:
        behind.stop()
    pieces = re.findall(r'"content": "([^"]*)"', streamed)
    assert "".join(pieces).strip() == told["choices"][0]["message"]["content"] != ""


def ask_frames(direct, front, inline, told):
    """The answer of the server behind to the pictures that were sent to it."""
    (kept,) = [one.tokens for one in front.engine.kept._videos.values()]
    content: list[dict[str, Any]] = []
    for second, picture in zip(kept.keyframes.seconds, kept.pictures, strict=True):
        content.append({"type": "text", "text": f"{second:.1f} s:\n"})
        content.append({"type": "image_url", "image_url": {"url": picture.url}})
    content.append({"type": "text", "text": "is there a red ring ?"})
    body = {"model": "tiny", "messages": [{"role": "user", "content": content}]}
    return direct.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "found no model"),
        ([{"id": "a"}, {"id": "b"}], r"found 2 models \(a, b\).*--upstream-model"),
        ("?", "found no model"),
    ],
)
def test_the_model_must_be_clear(upstream, monkeypatch, models, message):
    monkeypatch.setattr(upstream, "models", (200, {"data": models}))
    with pytest.raises(dyto.ConfigError, match=message):
        upstream_options(upstream.url)
    assert upstream_options(upstream.url, model="b")["model"] == "endpoint:b"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--upstream", "http://127.0.0.1:9/v1"], "does not tell its models"),
        (["--upstream", "127.0.0.1:9"], "expected http://HOST:PORT/v1"),
        (["--upstream", "http://127.0.0.1:9/v1", "--model", "tiny"], "found --model tiny and --upstream"),
        (["--upstream", "http://127.0.0.1:9/v1", "--upstream-key-env", "NO_SUCH_KEY"], "NO_SUCH_KEY is empty"),
        (["--upstream-model", "m"], "without --upstream"),
    ],
)
def test_a_wrong_upstream_is_told_before_the_service_starts(words, message, capsys, monkeypatch):
    monkeypatch.delenv("DYTO_MODEL", raising=False)
    assert run(["serve", "--port", "0", *words], debug=False) != 0
    assert message in " ".join(capsys.readouterr().err.split())
