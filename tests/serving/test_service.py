"""The protocol: what the usual clients send and get."""

import base64
import concurrent.futures
import io
import json
import shutil
import subprocess

import openai
import pytest
from PIL import Image

import dyto
from dyto.serving.messages import where

from serving_client import KEYS, ask, chat


@pytest.fixture(scope="module")
def official(service):
    return openai.OpenAI(base_url=f"{service.address}v1", api_key=KEYS[0], max_retries=0)


@pytest.fixture(scope="module")
def expected(tiny, clip):
    """The answers of `VideoQA.ask`."""
    qa = dyto.VideoQA(tiny)
    return lambda question, **options: qa.ask(clip, question, **options)


def test_the_official_client_gets_the_answer_of_ask(official, inline, expected):
    body = chat(inline, max_tokens=12)
    reply = official.chat.completions.create(**body)
    answer = expected("what is shown ?", max_new_tokens=12)
    assert reply.choices[0].message.content == answer.text
    assert reply.choices[0].finish_reason == "stop"
    assert reply.dyto["keyframes"] == answer.to_dict()["keyframes"]
    assert reply.dyto["tokens"] == answer.to_dict()["tokens"]
    assert reply.usage.prompt_tokens > answer.num_visual_tokens
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_a_stream_is_the_plain_answer_in_pieces(official, inline):
    body = chat(inline, "what color is the square ?")
    plain = official.chat.completions.create(**body)
    chunks = list(official.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip() == plain.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens
    assert chunks[-2].dyto["keyframes"] == plain.dyto["keyframes"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_has_no_usage_unless_asked_for(client, inline):
    with client.stream("POST", "/v1/chat/completions", json=chat(inline, stream=True)) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all("usage" not in json.loads(line[6:]) for line in lines[:-1])


def test_a_known_video_is_recognised_by_its_content_however_it_comes(client, inline, clip, media_root):
    first = ask(client, inline).json()
    again = ask(client, inline.replace("video/mp4", "video/webm"), "is there a star ?").json()
    uploaded = client.post("/v1/files", files={"file": ("x.mp4", clip.read_bytes())}).json()
    by_id = ask(client, {"type": "file", "file": {"file_id": uploaded["id"]}}).json()
    assert again["dyto"]["reused"]
    assert by_id["dyto"]["reused"]
    assert by_id["usage"]["prompt_tokens_details"]["cached_tokens"] == first["dyto"]["tokens"]["used"]
    assert by_id["choices"] == first["choices"]
    client.delete(f"/v1/files/{uploaded['id']}")


def test_each_request_has_its_own_strategy_budget_and_clip(client, inline, expected):
    options = {"strategy": "uniform-pool:pool=3", "num_frames": 6, "start": 1.0, "end": 4.0}
    told = ask(client, inline, dyto=options).json()["dyto"]
    assert told["strategy"]["name"] == "uniform-pool"
    assert all(1 <= frame["second"] < 4 for frame in told["keyframes"])
    assert ask(client, inline, dyto={"token_budget": 40}).json()["dyto"]["tokens"]["used"] <= 40
    assert ask(client, inline, dyto={"preset": "finest"}).json()["dyto"]["strategy"]["partition"] == "finest"


def test_vllms_words_for_sampling_are_understood(client, inline):
    for fields in (
        {"media_io_kwargs": {"video": {"num_frames": 5}}},
        {"mm_processor_kwargs": {"num_frames": 5}},
        {"dyto": {"num_frames": 5}},
        {"dyto": {"num_frames": 5}, "mm_processor_kwargs": {"num_frames": 5}},
    ):
        told = ask(client, inline, **fields).json()["dyto"]
        assert told["tokens"]["uncompressed"] == 5 * 36
    wrong = ask(client, inline, dyto={"num_frames": 5}, media_io_kwargs={"video": {"num_frames": 6}})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"] == "media_io_kwargs.video.num_frames"


def test_multiple_choice_and_evidence_come_back_in_our_own_part(client, inline, expected):
    choices = ["a red ring", "a white square"]
    reply = ask(client, inline, dyto={"choices": choices, "evidence": True}).json()
    answer = expected("what is shown ?", choices=choices)
    assert reply["choices"][0]["message"]["content"] == answer.text
    assert reply["dyto"]["choice"] == answer.choice
    assert {"second", "weight"} <= reply["dyto"]["evidence"][0].keys()


def test_sampling_options_and_seed_are_honoured(client, inline):
    def text(**fields):
        reply = ask(client, inline, max_tokens=12, **fields).json()
        return reply["choices"][0]["message"]["content"]

    hot = [text(temperature=2.0, seed=seed) for seed in (1, 1, 2, 3, 4)]
    assert hot[0] == hot[1]
    assert len(set(hot)) > 1
    assert text(temperature=0, seed=5) == text() == text(temperature=2.0, top_p=1e-9, seed=6)
    assert text(stop="square") == text().partition("square")[0].strip()
    reply = ask(client, inline, max_completion_tokens=1).json()
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 1


def jpeg(color):
    file = io.BytesIO()
    Image.new("RGB", (64, 48), color).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def test_pictures_are_the_frames_of_a_video_in_order(client):
    frames = [jpeg((10 * number, 40, 200 - 15 * number)) for number in range(12)]
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{one}"}} for one in frames]
    body = chat(parts[0], max_tokens=6)
    body["messages"][0]["content"] = [*parts, {"type": "text", "text": "what is shown ?"}]
    one_by_one = client.post("/v1/chat/completions", json=body).json()
    together = ask(client, "data:video/jpeg;base64," + ",".join(frames), max_tokens=6).json()
    assert together["dyto"]["tokens"]["uncompressed"] == 12 * 36
    assert together["dyto"]["reused"]
    assert together["dyto"]["keyframes"] == one_by_one["dyto"]["keyframes"]
    backwards = ask(client, "data:video/jpeg;base64," + ",".join(frames[::-1]), max_tokens=6).json()
    assert not backwards["dyto"]["reused"]


def test_turns_about_one_video_keep_its_prefix_and_reach_the_model(client, inline, service):
    first = ask(client, inline).json()
    body = chat(inline)
    body["messages"] = [
        {"role": "system", "content": "answer in one word ."},
        *body["messages"],
        {"role": "assistant", "content": first["choices"][0]["message"]["content"]},
        {"role": "user", "content": "what color is it ?"},
    ]
    before = len(service.engine.kept)
    reply = client.post("/v1/chat/completions", json=body).json()
    assert reply["dyto"]["reused"]
    assert len(service.engine.kept) == before
    assert reply["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"] + 8


def test_unknown_fields_that_are_null_are_left_out(client, inline):
    """As in the requests of Ray Data, whose table gives every part the fields of all parts."""
    part = {"type": "video_url", "video_url": {"url": inline, "file_id": None}, "text": None}
    words = {"type": "text", "text": "what is shown ?", "video_url": None}
    body = {"model": "tiny", "messages": [{"role": "user", "content": [part, words], "tool_calls": None}], "n": None}
    plain, nulled = (client.post("/v1/chat/completions", json=body) for body in (chat(inline), body))
    assert nulled.status_code == 200, nulled.text
    assert nulled.json()["choices"] == plain.json()["choices"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": []}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 3, "max_completion_tokens": 3}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stop": [""]}, "stop.0"),
        ({"stop": "x" * 1001}, "stop"),
        ({"stop": ["x" * 1001]}, "stop.0"),
        ({"dyto": {"token_budget": -1}}, "dyto.token_budget"),
        ({"dyto": {"fps": -1.0}}, "dyto.fps"),
        ({"dyto": {"fps": "fast"}}, "dyto.fps"),
        ({"seed": 2**63}, "seed"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"dyto": {"strategi": "dyto"}}, "dyto.strategi"),
        ({"dyto": {"choices": ["one"]}}, "dyto.choices"),
        ({"mm_processor_kwargs": {"do_rescale": True}}, "mm_processor_kwargs.do_rescale"),
        ({"stream_options": {"sound": True}}, "stream_options.sound"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "no video"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "hello"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0"),
    ],
)
def test_what_is_not_offered_or_wrong_is_a_400_that_names_the_field(client, inline, fields, param):
    response = ask(client, inline, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == param
    assert error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"model": "gpt-4o"}, 404, "expected 'tiny'"),
        ({"dyto": {"strategy": "dyot"}}, 400, "did you mean 'dyto'"),
        ({"dyto": {"strategy": "/tmp/own.py:Mine"}}, 400, "unknown strategy"),
        ({"dyto": {"strategy": "os:getcwd"}}, 400, "unknown strategy"),
        ({"dyto": {"strategy": "concat", "token_budget": 9}}, 400, "no options"),
        ({"max_tokens": 5000}, 400, "the context is 2048"),
        ({"stop": ["x"] * 17}, 400, "stop: list should have at most 16 items"),
        ({"messages": [{"role": "user", "content": "x" * 200_001}]}, 400, "should have at most 200000 characters"),
        ({"dyto": {"start": 500.0}}, 400, "no frame begins"),
        ({"mm_processor_kwargs": {"num_frames": 3, "fps": 1.0}}, 400, "expected one"),
    ],
)
def test_what_is_impossible_is_one_clear_error(client, inline, fields, status, words):
    response = ask(client, inline, **fields)
    assert response.status_code == status, response.text
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize("question", ["", " ", "<image> what ?", "\ud800", "x" * 300_000])
def test_questions_that_no_model_can_answer_are_refused(client, inline, question):
    body = json.dumps(chat(inline, question))
    response = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"model": NaN}', b"[" * 100_000, b"\xff\xfe", b'{"a":1}' * 9, b'"text"']
)
def test_bad_json_is_a_400(client, body):
    response = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "tiny", "messages": [' + b"{}," * 60_000 + b"{}]}",
        b"[" * 200_000,
        b'{"model": "tiny", ' + b'"x": null, ' * 60_000 + b'"messages": []}',
    ],
)
def test_a_body_of_too_many_values_is_refused_before_it_is_read(client, body, monkeypatch):
    monkeypatch.setattr("json.loads", lambda *_: pytest.fail("it was read"))
    response = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    monkeypatch.undo()
    assert response.status_code == 413
    assert "more than 100,000 commas" in response.json()["error"]["message"]


def test_texts_that_are_too_long_together_are_refused_before_they_are_tokenized(client, inline, service, monkeypatch):
    monkeypatch.setattr(service.engine, "submit", lambda *_: pytest.fail("it was tokenized"))
    body = chat(inline)
    body["messages"][0]["content"] += [{"type": "text", "text": "x" * 200_000}] * 5
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert "expected 1,000,000 at most" in response.json()["error"]["message"]


def test_an_error_after_the_first_question_of_many_does_not_touch_the_others(service, inline, clip):
    poison = "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()[:700] + b"\xff" * 3000).decode()
    with service.client() as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, client, poison if number % 4 == 1 else inline) for number in range(12)]
        statuses = [one.result().status_code for one in asked]
        words = asked[1].result().json()["error"]["message"]
    assert statuses == [400 if number % 4 == 1 else 200 for number in range(12)]
    assert "/" not in words.replace("and/or", "")


def test_the_models_health_metrics_and_description_are_there(client, official):
    assert [model.id for model in official.models.list()] == ["tiny"]
    assert official.models.retrieve("tiny").id == "tiny"
    assert client.get("/v1/models/other").status_code == 404
    assert client.get("/health").json() == {"status": "ok"}
    counted = client.get("/metrics").text
    for name in ("dyto_requests_total", "dyto_tokens_total", "dyto_batch_questions", "dyto_kept_bytes", "dyto_waiting"):
        assert name in counted
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/models", "/v1/files", "/health", "/metrics"} <= paths.keys()
    assert client.get("/docs").status_code == 200
    assert client.get("/nothing").json()["error"]["message"] == "there is nothing here"
    assert client.put("/health").status_code == 405
    for path, methods in (("/v1/files", "GET, POST"), ("/v1/files/x", "DELETE, GET")):
        assert client.put(path).headers["allow"] == methods
    assert paths["/v1/files"]["get"]["security"]
    assert "security" not in paths["/health"]["get"]
    assert all({"default"} <= one["responses"].keys() for path in paths.values() for one in path.values())


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"{}", None, 415, "the body has no type, expected the header 'Content-Type: application/json'"),
        (b"{}", "application/x-www-form-urlencoded", 415, "the body is of type 'application/x-www-form-urlencoded'"),
        (b"{}", "multipart/form-data; boundary=x", 415, "the body is of type 'multipart/form-data'"),
        (b"{}", "Application/JSON; charset=utf-8", 400, "model: field required"),
        (b"{}", "application/problem+json", 400, "model: field required"),
        (b"[]", "application/json", 400, "the body is JSON, but no object"),
        (b"[" * 90_000, "application/json", 400, "the body is JSON that cannot be read"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "application/json", 400, "the body is JSON that cannot be read"),
    ],
)
def test_a_body_of_another_kind_is_told_so(client, body, kind, status, words):
    response = client.post("/v1/chat/completions", content=body, headers={"content-type": kind} if kind else {})
    assert response.status_code == status
    assert response.json()["error"]["message"].startswith(words)


def test_a_body_that_is_not_json_is_told_so(client):
    response = client.post(
        "/v1/chat/completions", content=b'{"model": tiny}', headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "the body is not JSON (Expecting value at 10), expected a chat"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_an_answer(service, inline, tmp_path):
    (tmp_path / "request.json").write_text(json.dumps(chat(inline)))
    said = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", f"{service.address}v1/chat/completions",
         "-H", f"Authorization: Bearer {KEYS[0]}", "-H", "Content-Type: application/json", "-d", "@request.json"],
        cwd=tmp_path, capture_output=True, check=True, timeout=180,
    )  # fmt: skip
    assert json.loads(said.stdout)["choices"][0]["message"]["content"]


def test_places_of_errors_are_named_as_clients_write_them():
    assert where(("messages", 0, "content", "list[tagged-union[TextPart]]", 1, "video_url", "video_url", "url")) == (
        "messages.0.content.1.video_url.url"
    )
    assert where(("stop", "list[str]", 0)) == "stop.0"
