"""Who is let in, and how much may be sent."""

import hmac
import os
import re
import socket
import threading
import time
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

import dyto
from dyto.serving import gate, server
from dyto.serving.answering import ServedAnswer, _gone
from dyto.serving.keys import Keys
from dyto.serving.media import MediaPolicy, Reader
from dyto.serving.refusing import Refusal
from dyto.serving.server import check_reach

from serving_client import KEYS, ask, chat, start


@pytest.mark.parametrize("path", ["/metrics", "/v1/models", "/v1/files", "/v1/files/file-1", "/nothing", "//v1/models"])
@pytest.mark.parametrize("header", [None, "Bearer wrong-wrong-wrong-wrong", "Bearer x", KEYS[0], f"Basic {KEYS[0]}"])
def test_nothing_is_told_without_a_key(service, path, header):
    with service.client(key=None) as client:
        response = client.get(path, headers={} if header is None else {"authorization": header})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_a_question_without_a_key_is_refused_before_its_body_is_read(service):
    address = urlsplit(service.address)
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 401")


def test_health_and_description_need_no_key(service):
    with service.client(key=None) as client:
        assert [client.get(path).status_code for path in ("/health", "/openapi.json", "/docs")] == [200] * 3


def test_every_key_is_compared_in_constant_time(monkeypatch):
    compared, inner = [], hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(len(a) == len(b)) or inner(a, b))
    keys = Keys.of(" ".join(KEYS))
    first, second = (keys.owner(f"Bearer {key}") for key in KEYS)
    assert first != second
    assert None not in (first, second)
    assert compared == [True] * 4  # whichever key it is, all are compared, by hashes of one length


@pytest.mark.parametrize("text", ["", " , ", "short", f"{KEYS[0]},short"])
def test_keys_that_are_none_or_short_are_refused(text):
    with pytest.raises(dyto.ConfigError, match="openssl rand"):
        Keys.of(text)


def test_a_variable_without_a_key_is_an_error_that_names_it(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(dyto.ConfigError, match="NO_SUCH_KEY is not set"):
        Keys.from_environment("NO_SUCH_KEY")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_others_are_not_let_in_without_a_key(host):
    with pytest.raises(dyto.ConfigError, match="--api-key-env"):
        check_reach(host, Keys())
    check_reach(host, Keys.of(KEYS[0]))
    check_reach("127.0.0.1", Keys())


def test_counters_belong_to_the_key_that_made_them(service, inline):
    def counted(client):
        found = re.findall(r"^(dyto_\w+_total(?:\{.*\})?) (\S+)", client.get("/metrics").text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    with service.client() as mine, service.client(key=KEYS[1]) as others, service.client(key=None) as nobody:
        before, theirs, chats = counted(mine), counted(others), 'dyto_requests_total{route="/v1/chat/completions"'
        assert ask(mine, inline).status_code == 200
        assert nobody.get("/v1/models").status_code == 401
        after, later = counted(mine), counted(others)
    name = f'{chats},status="200"}}'
    assert after[name] == before.get(name, 0) + 1
    assert after['dyto_tokens_total{kind="prompt"}'] > before.get('dyto_tokens_total{kind="prompt"}', 0)
    own = {name for name in later if "without_key" not in name and "/metrics" not in name}
    assert {name: later[name] for name in own} == {name: theirs[name] for name in theirs if name in own}
    refused = 'dyto_requests_without_key_total{route="refused",status="401"}'
    assert after[refused] == later[refused] == before.get(refused, 0) + 1


def test_files_belong_to_the_key_that_made_them(service, clip):
    with service.client() as mine, service.client(key=KEYS[1]) as others:
        made = mine.post("/v1/files", files={"file": ("clip.mp4", clip.read_bytes())}).json()
        assert made["filename"] == "clip.mp4"
        assert made["id"] in [file["id"] for file in mine.get("/v1/files").json()["data"]]
        assert mine.get(f"/v1/files/{made['id']}").json() == made
        part = {"type": "file", "file": {"file_id": made["id"]}}
        assert ask(mine, part).status_code == 200
        gone = others.get("/v1/files/file-000000000000000000000000")
        for other in (
            others.get(f"/v1/files/{made['id']}"),
            others.delete(f"/v1/files/{made['id']}"),
            ask(others, part),
        ):
            assert (other.status_code, other.json()) == (gone.status_code, gone.json())
        assert others.get("/v1/files").json()["data"] == []
        assert mine.delete(f"/v1/files/{made['id']}").json()["deleted"]
        assert ask(mine, part).status_code == 404


@pytest.mark.parametrize(
    "files", [{}, {"file": ("x.mp4", b"")}, {"other": ("x.mp4", b"x")}, {"file": ("../../x.mp4", b"data")}]
)
def test_uploads_that_are_none_are_refused_and_names_lead_nowhere(client, files):
    response = client.post("/v1/files", files=files or None, data={} if files else {"purpose": "vision"})
    if response.status_code == 200:
        assert response.json()["filename"] == "x.mp4"
        client.delete(f"/v1/files/{response.json()['id']}")
    else:
        assert response.status_code == 400
        assert response.json()["error"]["message"]


def test_one_key_has_a_limited_number_of_files(client, monkeypatch):
    monkeypatch.setattr("dyto.serving.storing.MOST_FILES", 2)
    made = [client.post("/v1/files", files={"file": ("x.mp4", bytes([n]))}) for n in range(3)]
    assert [response.status_code for response in made] == [200, 200, 429]
    for response in made[:2]:
        client.delete(f"/v1/files/{response.json()['id']}")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:80"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_elsewhere_and_names_pointed_here_are_refused(client, headers):
    assert client.get("/health", headers=headers).status_code == 403
    assert client.post("/v1/chat/completions", headers=headers, json={}).status_code == 403


def test_headers_without_an_end_are_cut_off(client):
    """With httptools, if it is installed, they would fill the memory."""
    assert server._server(None, None, 1.0, lambda: None).config.http == "h11"
    at, sent = urlsplit(str(client.base_url)), 0
    with socket.create_connection((at.hostname, at.port), timeout=20) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        with pytest.raises(OSError):  # reset, or a broken pipe
            while sent < 30 << 20:
                line.sendall(b"x-more: " + b"a" * 60_000 + b"\r\n")
                sent += 60_000
    assert sent < 30 << 20
    assert client.get("/health").status_code == 200


def test_behind_a_proxy_its_name_is_known(tiny):
    running = start(tiny, public_url="https://video.example")
    with running.client() as client:
        assert client.get("/health", headers={"host": "video.example"}).status_code == 200
        assert client.get("/health", headers={"host": "other.example"}).status_code == 403
    running.stop()


@pytest.fixture
def head(service):
    address = urlsplit(service.address)
    return address, (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {KEYS[0]}\r\n"
        "Content-Type: application/json\r\n"
    )


def status(connection):
    return int(connection.recv(200).split(b" ")[1])


def test_a_body_without_end_is_refused_when_it_is_too_large(head):
    address, text = head
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(f"{text}Transfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for _ in range(200):
                raw.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            pass
        assert status(raw) == 413


def test_a_body_that_says_it_is_too_large_is_refused_at_once(head):
    address, text = head
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(f"{text}Content-Length: 99999999\r\n\r\n".encode())
        assert status(raw) == 413


def test_a_client_that_sends_too_slowly_is_refused(head, monkeypatch):
    monkeypatch.setattr(gate, "IDLE_SECONDS", 0.3)
    address, text = head
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(f"{text}Content-Length: 100\r\n\r\n{{".encode())
        assert status(raw) == 408


def test_many_large_bodies_together_are_refused_with_a_time(service, inline, monkeypatch):
    monkeypatch.setattr(gate, "SMALL_BYTES", 10)
    inner = service.gate()
    monkeypatch.setattr(inner, "_room", 100)
    with service.client() as client:
        response = ask(client, inline)
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert inner._held == 0


def test_clients_that_vanish_leave_nothing_behind(service, head, inline):
    address, text = head
    body = httpx.Request("POST", "http://x", json=chat(inline, temperature=2.0, max_tokens=1500)).content
    for _ in range(5):
        with socket.create_connection((address.hostname, address.port), 10) as raw:
            raw.sendall(f"{text}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.05)
    until = time.monotonic() + 60
    while (service.engine.waiting or service.engine.answering) and time.monotonic() < until:
        time.sleep(0.05)
    assert service.engine.waiting == service.engine.answering == 0


def test_a_client_that_vanishes_before_its_stream_begins_leaves_nothing_behind(service, head, inline, monkeypatch):
    address, text = head
    inner, written, late = ServedAnswer.first, threading.Event(), threading.Event()

    async def first(self, request):
        event = await inner(self, request)
        written.set()
        await _gone(request)  # leaves after the first word is written, and before it is sent
        late.set()
        return event

    monkeypatch.setattr(ServedAnswer, "first", first)
    body = httpx.Request("POST", "http://x", json=chat(inline, temperature=2.0, max_tokens=1500, stream=True)).content
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(f"{text}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert written.wait(60)
    assert late.wait(60)
    until = time.monotonic() + 60
    while (service.engine.answering or os.listdir(service.folder())) and time.monotonic() < until:
        time.sleep(0.05)
    assert service.engine.answering == 0
    assert os.listdir(service.folder()) == []


@pytest.mark.parametrize("fails", [False, True])
def test_a_client_that_vanishes_while_its_video_is_looked_for_leaves_nothing_behind(service, head, monkeypatch, fails):
    address, text = head
    inside, go, over, released = (threading.Event() for _ in range(4))
    inner, inner_over = Reader._in_root, ServedAnswer.over

    def in_root(self, url, param):
        inside.set()
        assert go.wait(60)
        if fails:
            raise Refusal(404, "there is no such file in the media folder")
        return replace(inner(self, url, param), release=released.set)

    monkeypatch.setattr(Reader, "_in_root", in_root)
    monkeypatch.setattr(ServedAnswer, "over", lambda self: (inner_over(self), over.set())[0])
    body = httpx.Request("POST", "http://x", json=chat("file:clip.mp4", temperature=2.0, max_tokens=1500)).content
    with socket.create_connection((address.hostname, address.port), 10) as raw:
        raw.sendall(f"{text}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert inside.wait(60)
    assert over.wait(60)  # the loop has noticed, while the disk still keeps the thread waiting
    go.set()
    until = time.monotonic() + 60
    while (service.engine.waiting or service.engine.answering) and time.monotonic() < until:
        time.sleep(0.05)
    assert fails or released.wait(60)
    assert service.engine.waiting == service.engine.answering == 0


def test_a_full_queue_is_429_with_a_time(tiny, inline, monkeypatch):
    engine = dyto.Engine(tiny, max_queue=1)
    running = start(tiny, engine=engine)
    go, inside, inner = threading.Event(), threading.Event(), engine._worker._answer_ready
    monkeypatch.setattr(engine._worker, "_answer_ready", lambda: (inside.set(), go.wait(120), inner()))
    with running.client() as client:
        first = threading.Thread(target=ask, args=(client, inline))
        first.start()
        assert inside.wait(120)
        response = ask(client, inline)
        go.set()
        first.join()
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    running.stop()


def test_a_limit_on_media_is_a_limit_on_requests(tiny, inline):
    running = start(tiny, policy=MediaPolicy(megabytes=0.001))
    with running.client() as client:
        assert ask(client, inline).status_code == 413
    running.stop()
