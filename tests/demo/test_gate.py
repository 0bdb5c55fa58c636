"""The door before gradio, with nobody behind it: what is handed on, and as what."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyto.demo.addresses import Addresses
from dyto.demo.gate import Gate
from dyto.demo.limits import DemoLimits
from dyto.demo.messages import Call
from dyto.demo.uploads import Uploads
from dyto.demo.visitors import Visitors

pytest.importorskip("gradio")  # starlette comes with it
API = "/gradio_api"
CALLS = {4: Call(2), 5: Call(1, picked=True)}


class Site:
    """Records what it is handed."""

    def __init__(self):
        self.seen = []

    async def __call__(self, scope, receive, send):
        body = (await receive())["body"]
        self.seen.append((scope["path"], scope["query_string"], dict(scope["headers"]), body))
        headers = [(b"access-control-allow-origin", b"*"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"passed"})


@pytest.fixture
def site():
    return Site()


def gate_of(folder, site, public_url=None):
    visitors = Visitors(Uploads(folder, DemoLimits()))
    return Gate(site, Addresses("127.0.0.1", 7860, public_url), visitors, DemoLimits(), CALLS)


def request(gate, method="GET", path="/", body=b"", **headers):
    """(status, headers, body) of a response."""
    named = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in named.items() if value is not None],
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    start, *rest = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], found, b"".join(message.get("body", b"") for message in rest)


def cookie_of(headers):
    return headers["set-cookie"].partition(";")[0]


def test_of_a_question_nothing_is_handed_on_but_plain_values(tmp_path, site):
    gate = gate_of(tmp_path, site)
    cookie = cookie_of(request(gate)[1])
    sent = {
        "data": [{"path": "/etc/passwd", "url": "http://evil.example", "meta": {"_type": "gradio.FileData"}}, 3],
        "fn_index": 4, "session_hash": "page", "trigger_id": 7, "event_data": {"index": 1, "value": {"path": "/x"}},
        "simple_format": True, "event_id": "x", "batched": True, "oauth_token": "y", "api_name": "ask",
    }  # fmt: skip
    status, headers, _ = request(
        gate, "POST", f"{API}/queue/join?x=y", json.dumps(sent).encode(), cookie=cookie, authorization="z",
        x_forwarded_host="evil.example", x_gradio_server="evil.example", origin="http://127.0.0.1:7860",
    )  # fmt: skip
    assert status == 200
    assert "access-control-allow-origin" not in headers
    _, query, named, body = site.seen[-1]
    assert query == b""
    assert set(named) == {b"host", b"content-type", b"content-length"}
    kept = {"data": ["/etc/passwd", 3], "fn_index": 4, "session_hash": "page", "trigger_id": 7, "event_data": None}
    assert json.loads(body) == kept


def test_of_what_was_picked_only_its_place_is_handed_on(tmp_path, site):
    gate = gate_of(tmp_path, site)
    cookie = cookie_of(request(gate)[1])
    sent = {"data": [None], "fn_index": 5, "session_hash": "page", "event_data": {"index": 1, "value": {"path": "/x"}}}
    assert request(gate, "POST", f"{API}/queue/join", json.dumps(sent).encode(), cookie=cookie)[0] == 200
    assert json.loads(site.seen[-1][3])["event_data"] == {"index": 1, "value": None}
    for wrong in (None, {}, {"index": -1}, {"index": "0"}, {"index": [0, 1]}, {"index": True}):
        body = json.dumps({**sent, "event_data": wrong}).encode()
        assert request(gate, "POST", f"{API}/queue/join", body, cookie=cookie)[0] == 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["path", "url", "meta", "a"]), inner),
    max_leaves=8,
)


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(data=VALUES | st.lists(VALUES, min_size=2, max_size=2), number=VALUES | st.just(4), event=VALUES)
def test_whatever_is_sent_is_refused_or_becomes_plain(tmp_path_factory, data, number, event):
    site = Site()
    gate = gate_of(tmp_path_factory.getbasetemp(), site)
    cookie = cookie_of(request(gate)[1])
    sent = {"data": data, "fn_index": number, "session_hash": "page", "event_data": event, "trigger_id": event}
    status, _, _ = request(gate, "POST", f"{API}/queue/join", json.dumps(sent).encode(), cookie=cookie)
    assert status in (200, 400)
    if status == 200:
        handed = json.loads(site.seen[-1][3])
        assert len(handed["data"]) == 2
        assert not any(isinstance(value, (dict, list)) for value in handed["data"])


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "TRACE"]),
    parts=st.lists(st.sampled_from(["gradio_api", "file=", "file", "assets", "static", "..", "", "%2e%2e", "etc", "config",
                                    "queue", "join", "data", "run", "predict", "upload", "proxy=", "\\", "\0", "é"]),
                   max_size=5),
)  # fmt: skip
def test_no_address_leads_past_the_door_but_those_of_the_page(tmp_path_factory, method, parts):
    site = Site()
    status, _, _ = request(gate_of(tmp_path_factory.getbasetemp(), site), method, "/" + "/".join(parts))
    if site.seen:
        (path, query, _, _) = site.seen[0]
        assert method in ("GET", "HEAD")
        assert query == b""
        assert ".." not in path
        assert parts in ([], [""], ["config"]) or parts[0] in ("assets", "static")
    else:
        assert 400 <= status < 500


def test_a_socket_that_stays_open_is_refused(tmp_path, site):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(gate_of(tmp_path, site)({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert not site.seen


@pytest.mark.parametrize("taken", ["/videos", ""], ids=["prefix left", "prefix taken away"])
def test_behind_a_proxy_the_page_has_a_path_and_its_cookie_is_kept_from_others(tmp_path, site, taken):
    gate = gate_of(tmp_path, site, "https://a.example/videos/")
    status, headers, _ = request(gate, path=f"{taken}/", host="a.example", origin="https://a.example")
    assert status == 200
    assert site.seen[-1][0] == "/"
    for word in ("Path=/videos", "HttpOnly", "SameSite=Lax", "Secure"):
        assert word in headers["set-cookie"].split("; ")
    assert request(gate, path=f"{taken}/", host="b.example")[0] == 403
    status, headers, _ = request(gate, path="/videos", host="a.example")
    assert (status, headers["location"]) == (307, "/videos/")
    assert request(gate, path="/videosx", host="a.example")[0] == 404
    top = gate_of(tmp_path, site, "https://a.example")
    assert request(top, host="a.example")[1]["set-cookie"].startswith("__Host-dyto-demo-7860=")


def test_a_cookie_that_came_twice_is_none(tmp_path, site):
    gate = gate_of(tmp_path, site)
    mine, theirs = cookie_of(request(gate)[1]), cookie_of(request(gate)[1])
    assert request(gate, path=f"{API}/heartbeat/page", cookie=f"a=b; {mine}")[0] == 200
    assert request(gate, path=f"{API}/heartbeat/page", cookie=f"{theirs}; {mine}")[0] == 403


def test_what_nobody_foresaw_is_a_number_for_the_visitor_and_a_trace_for_the_log(tmp_path, caplog):
    async def broken(scope, receive, send):
        raise ZeroDivisionError("/home/ann")

    status, headers, body = request(gate_of(tmp_path, broken))
    assert status == 500
    number = json.loads(body)["detail"].rpartition(" ")[2]
    assert number in caplog.text
    assert "/home/ann" in caplog.text
    assert b"ann" not in body
    assert "content-security-policy" in headers
