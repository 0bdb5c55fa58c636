"""Requests made by hand to a demo that runs: nothing but what this visitor uploaded is read, shown or told of."""

import re
import socket
import threading
import time
from contextlib import suppress

import httpx
import pytest

from visiting import API, NOWHERE, Visitor, demo_of

pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tmp")


def hear(visitor):
    with suppress(httpx.HTTPError), visitor.web.stream("GET", f"{API}/heartbeat/{visitor.page}") as heart:
        list(heart.iter_lines())


@pytest.fixture(scope="module")
def address(folder):
    """A demo for all tests; at its end a page is open and a question under way, and it takes no time all the same."""
    with demo_of(folder, "-m", "dyto", "demo", "--port", "0", "--max-mb", "1", "--visitor-files", "3") as found:
        yield found
        last = Visitor(found, page="last")
        last.upload(b"x")
        listening = threading.Thread(target=hear, args=(last,))
        listening.start()
        last.join("sample1.mp4")
        begun = time.monotonic()
    assert time.monotonic() - begun < 4  # one, on a machine that does nothing else
    listening.join()
    last.web.close()


@pytest.fixture
def visitor(address):
    """A fresh one; the connections are closed, so that no one waits for them."""
    made = Visitor(address, page=f"page-{time.monotonic_ns()}")
    yield made
    made.web.close()


@pytest.fixture
def other(address):
    made = Visitor(address, page=f"other-{time.monotonic_ns()}")
    yield made
    made.web.close()


def described(path, **more):
    """A file as gradio's page describes it."""
    return {"path": path, "url": None, "orig_name": "x.mp4", "meta": {"_type": "gradio.FileData"}, **more}


def pictures_in(text):
    return re.findall(r"gradio_api/file=([\w.-]+)", text)


def test_what_was_uploaded_is_answered_and_shown_to_its_visitor_alone(visitor, other, clip, folder):
    (token,) = visitor.upload(clip.read_bytes()).json()
    assert str(folder) not in token
    for named in (token, described(token)):
        said = visitor.ask(named)
        assert "key frames" in said
        assert str(folder) not in said
    seen = [f"{API}/file={name}" for name in (token, *pictures_in(said))]
    assert len(seen) > 2
    assert [place for place in seen if place.endswith(".zip")]
    for place in seen:
        mine, theirs = visitor.web.get(place), other.web.get(place)
        assert mine.status_code == 200
        kind = {"mp4": "video/mp4", "jpg": "image/jpeg", "zip": "application/zip"}[place.rpartition(".")[2]]
        assert mine.headers["content-type"] == kind
        assert mine.headers["cache-control"] == "private, no-store"
        assert theirs.status_code == 404
        assert theirs.text == other.web.get(f"{API}/file=never-was.mp4").text
    part = visitor.web.get(seen[0], headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert NOWHERE in other.ask(token)


def test_the_pictures_of_the_answer_before_are_dropped(visitor):
    first = pictures_in(visitor.ask("sample1.mp4"))
    second = pictures_in(visitor.ask("sample2.mp4"))
    assert [visitor.web.get(f"{API}/file={name}").status_code for name in first] == [404] * len(first)
    assert visitor.web.get(f"{API}/file={second[0]}").status_code == 200


def test_a_path_is_never_opened_and_nothing_tells_whether_it_is_there(visitor, clip, folder, tmp_path):
    (mine,) = folder.glob("dyto-demo-*")
    there = [
        str(clip),
        f"file://{clip}",
        str(mine / "samples" / "sample1.mp4"),
        "/etc/passwd",
        "../samples/sample1.mp4",
    ]
    away = [str(tmp_path / "no.mp4"), "http://127.0.0.1:9/x.mp4", "", "sample1.mp4/", "\x00"]
    said = set()
    for path in filter(None, there + away):
        for value in (path, described(path), described("x", url=path), {"path": path, "is_stream": True}):
            said.add(visitor.ask(value))
    (only,) = said
    assert NOWHERE in only


@pytest.mark.parametrize(
    "changes",
    [
        {"data": [["/etc/passwd"]]}, {"data": [{"path": {"path": "/etc/passwd"}}]}, {"data": "x"}, {"data": [None] * 99},
        {"fn_index": 9999}, {"fn_index": "0"}, {"fn_index": -1}, {"fn_index": None}, {"fn_index": True},
        {"session_hash": None}, {"session_hash": "a/../b"}, {"session_hash": ["x"]}, {"data": [1e300]},
        {"data": [10**30]},
    ],
)  # fmt: skip
def test_what_the_page_would_not_send_is_not_handed_on(visitor, changes):
    response = visitor.join("sample1.mp4", **changes)
    assert response.status_code in (400, 403)
    assert response.json()["detail"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"[" * 60_000, b'{"data": [NaN]}', b"\xff\xfe", b'{"session_hash": "\\ud800abcd"}'],
)
def test_bodies_that_are_none_are_told_so(visitor, body):
    for place in ("queue/join", "cancel"):
        assert visitor.web.post(f"{API}/{place}", content=body).status_code == 400


def test_a_body_that_is_too_long_is_not_read(visitor):
    response = visitor.join("sample1.mp4", data=["x" * 70_000])
    assert response.status_code == 413
    assert "8000 letters" in response.json()["detail"]


CLOSED = [
    *(f"/file={name}" for name in ("/etc/passwd", "//etc/passwd", "http://127.0.0.1:9/", "..%2f..%2fetc%2fpasswd", "")),
    *("/file/etc/passwd", "/proxy=http://127.0.0.1:9/", "/stream/a/b/1/playlist.m3u8", "/stream/a/b/1/playlist-file"),
    *(
        "/custom_component/a/client/b/c",
        "/info",
        "/openapi.json",
        "/app_id",
        "/user",
        "/token",
        "/login_check",
        "/runs",
    ),
    *(
        "/queue/status",
        "/deep_link?session_hash=x",
        "/dev/reload",
        "/run-history/records",
        "/call/ask/1",
        "/call/v2/a/1",
    ),
    *("/vibe-edit/", "/vibe-code/", "/mcp/", "/api/ask", "/process_recording"),
]


@pytest.mark.parametrize("place", CLOSED)
def test_what_gradio_offers_and_the_page_does_not_need_is_closed(visitor, place):
    response = visitor.web.get(f"{API}{place}")
    assert response.status_code == 404
    assert "root:" not in response.text


@pytest.mark.parametrize(
    "place",
    [
        *("run/predict", "api/predict", "api/ask/", "call/ask", "call/v2/ask", "component_server", "stream/x", "login"),
        *(
            "stream/x/close",
            "reset",
            "queue/data",
            "file=sample1.mp4",
            "vibe-edit/",
            "run-history/connect",
            "../upload",
        ),
    ],
)
def test_nothing_is_done_but_by_the_queue(visitor, place):
    body = {"data": [described("/etc/passwd")], "fn_index": visitor.asking, "session_hash": visitor.page}
    assert visitor.web.post(f"{API}/{place}", json=body).status_code == 404


@pytest.mark.parametrize("place", ["/docs", "/redoc", "/openapi.json", "/monitoring", "/monitoring/summary", "/login",
                                   "/logout", "/pwa_icon", "/static/../routes.py", "/static/%2e%2e/routes.py",
                                   "/assets/..%2f..%2froutes.py", "/static//etc/passwd", "/assets//etc/passwd"])  # fmt: skip
def test_the_rest_of_the_site_is_closed(visitor, place):
    response = visitor.web.get(place)
    assert response.status_code in (403, 404)
    assert "import" not in response.text
    assert visitor.web.request("OPTIONS", place).status_code == 404


def test_a_page_is_its_visitors_and_no_one_elses(visitor, other):
    assert "key frames" in visitor.ask("sample1.mp4")
    other.page = visitor.page
    assert other.join("sample1.mp4").status_code == 403
    for place in (f"queue/data?session_hash={visitor.page}", f"heartbeat/{visitor.page}"):
        assert other.web.get(f"{API}/{place}").status_code == 403
    event = {"session_hash": visitor.page, "fn_index": visitor.asking, "event_id": "0" * 32}
    assert other.web.post(f"{API}/cancel", json=event).status_code == 403
    assert visitor.web.post(f"{API}/cancel", json=event).status_code == 200


@pytest.mark.parametrize("cookie", [None, "x", "x.y", "é", "." * 80, "a" * 5000])
def test_a_cookie_that_was_not_handed_out_is_none(visitor, other, clip, cookie):
    (token,) = visitor.upload(clip.read_bytes()).json()
    (name,) = other.web.cookies.keys()
    other.web.cookies.clear()
    headers = {} if cookie is None else {"cookie": f"{name}={cookie}".encode("latin-1")}
    assert other.web.get(f"{API}/file={token}", headers=headers).status_code == 404
    other.web.headers.update(headers)
    assert other.join(token).status_code == 403


def test_by_another_name_or_from_another_page_nothing_is_answered(visitor, address):
    port = address.rstrip("/").rpartition(":")[2]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", f"localhost:{port}0",
                 f"0.0.0.0:{port}", "localhost", f"[::2]:{port}", f"localhost@evil:{port}", ""):  # fmt: skip
        assert visitor.web.get("/", headers={"host": host}).status_code in (400, 403), host
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert visitor.web.get("/", headers={"host": host}).status_code == 200, host
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://127.0.0.1",
                   f"http://localhost:{port}", "file://", ""):  # fmt: skip
        for place in ("/", "/config", f"{API}/file=sample1.mp4", f"{API}/queue/data?session_hash=abcd"):
            response = visitor.web.get(place, headers={"origin": origin})
            assert response.status_code == 403, origin
            assert not [name for name in response.headers if name.startswith("access-control")]
        assert visitor.web.post(f"{API}/upload", files={"files": b"x"}, headers={"origin": origin}).status_code == 403
    own = visitor.web.get("/config", headers={"origin": address.rstrip("/")})
    assert own.status_code == 200
    assert not [name for name in own.headers if name.startswith("access-control")]
    for place, mode in ((f"{API}/file=sample1.mp4", "no-cors"), ("/config", "navigate"), ("/", "no-cors")):
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": mode, "sec-fetch-dest": "document"}
        assert visitor.web.get(place, headers=headers).status_code == 403
    led = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert visitor.web.get("/", headers=led).status_code == 200


@pytest.mark.parametrize("head", ["GET / HTTP/1.0", "GET / HTTP/1.1\r\nHost: a\r\nHost: b"])
def test_without_one_name_nothing_is_answered(address, head):
    with socket.create_connection(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))) as line:
        line.sendall(f"{head}\r\n\r\n".encode())
        assert line.recv(99).split()[1] in (b"400", b"403")


def test_what_a_proxy_would_say_is_not_believed(visitor, address):
    lies = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "x-gradio-server": "http://evil.example"}
    assert visitor.web.get("/config", headers=lies).json()["root"] == address.rstrip("/")
    assert "evil.example" not in visitor.web.get("/", headers=lies).text


def test_every_response_carries_the_policy(visitor):
    for response in (visitor.web.get("/"), visitor.web.get("/nothing"), visitor.web.get(f"{API}/file=sample1.mp4")):
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"


def chunks(size, piece=50_000):
    """A form without a length, that sends so much of a file."""
    yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.mp4"\r\n\r\n'
    for _ in range(size // piece):
        yield b"\0" * piece
    yield b"\r\n--b--\r\n"


def test_uploads_are_bounded_with_and_without_a_length(visitor, folder):
    form = {"content-type": "multipart/form-data; boundary=b"}
    before = stored(folder)
    for large in ({"files": {"files": ("x.mp4", b"\0" * 2_000_000)}}, {"content": chunks(2_000_000), "headers": form}):
        response = visitor.web.post(f"{API}/upload", **large)
        assert response.status_code == 413
        assert "larger than the 1 MB allowed here" in response.text
    assert stored(folder) == before
    for content in (b"x" * 900_000, chunks(900_000)):
        sent = {"files": {"files": ("x.mp4", content)}} if isinstance(content, bytes) else {"content": content}
        assert visitor.web.post(f"{API}/upload", **sent, headers=form if "content" in sent else {}).status_code == 200
    response = visitor.upload(b"x" * 300_000)
    assert response.status_code == 429
    assert "2 MB that are kept for one visitor" in response.text
    assert visitor.upload(b"x").status_code == 200
    assert visitor.upload(b"x").status_code == 429
    assert len(stored(folder)) == len(before) + 3


def stored(folder):
    return [path for path in folder.glob("dyto-demo-*/*") if path.is_file()]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no form"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\nbroken off'),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; filename=a\r\n\r\nx\r\n" * 2),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"x" * 70_000),
    ],
)
def test_what_is_no_upload_is_told_so_and_leaves_nothing(visitor, folder, kind, body):
    before = stored(folder)
    assert visitor.web.post(f"{API}/upload", content=body, headers={"content-type": kind}).status_code == 400
    assert stored(folder) == before


@pytest.mark.parametrize(
    "name", ["../../x.mp4", "/etc/x.mp4", "a\\..\\b.mp4", "x.m3u8", "%2e%2e.svg", "\r\nx.html", "x" * 3000]
)
def test_the_name_of_an_upload_has_no_say_in_where_it_lies(visitor, folder, name):
    response = visitor.upload(b"<script>alert(1)</script>", name)
    if response.status_code == 400:  # the form itself was broken by it
        return
    (token,) = response.json()
    assert re.fullmatch(r"[\w-]{32}(\.mp4)?", token)
    assert [path.name for path in stored(folder) if path.name == token] == [token]
    shown = visitor.web.get(f"{API}/file={token}")
    assert (shown.status_code, shown.headers["content-type"]) in [(200, "video/mp4"), (404, "application/json")]


def test_what_a_visitor_uploaded_goes_as_the_last_page_closes(visitor, other, folder):
    (token,) = visitor.upload(b"x").json()
    (foreign,) = other.upload(b"x").json()
    there = {path.name for path in stored(folder)}
    assert {token, foreign} <= there
    with visitor.web.stream("GET", f"{API}/heartbeat/{visitor.page}") as heart:
        assert heart.status_code == 200
        next(heart.iter_lines())
    for _ in range(200):
        if token not in (names := {path.name for path in stored(folder)}):
            break
        time.sleep(0.05)
    assert token not in names
    assert foreign in names
    assert NOWHERE in visitor.ask(token)


def test_an_error_tells_the_name_that_the_visitor_gave_and_no_place(visitor, folder):
    (token,) = visitor.upload(b"just text\n" * 9, "holiday <b>.mp4").json()
    said = visitor.ask(token)
    assert "holiday" in said
    assert "cannot be opened" in said
    assert token not in said
    assert str(folder) not in said
    assert "<b>" not in said


@pytest.mark.soak
def test_a_visitor_who_hangs_up_in_the_middle_leaves_nothing(visitor, address, folder):
    before = stored(folder)
    with socket.create_connection(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))) as line:
        cookie = "; ".join(f"{name}={value}" for name, value in visitor.web.cookies.items())
        head = f"POST {API}/upload HTTP/1.1\r\nHost: {address.split('/')[2]}\r\nCookie: {cookie}\r\nContent-Length: 900000\r\n"
        line.sendall(
            head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + b"".join(chunks(50_000))[:40_000]
        )
        wait_until(lambda: len(stored(folder)) == len(before) + 1)
    wait_until(lambda: stored(folder) == before)


def wait_until(true):
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("it did not come to that")
