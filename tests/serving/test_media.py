"""The policy for media, as a table; and downloads."""

import asyncio
import base64
import contextlib
import http.server
import os
import socket
import threading
import time

import pytest

from dyto.serving import fetching
from dyto.serving.fetching import Fetcher, is_public
from dyto.serving.refusing import Refusal

from serving_client import ask


@pytest.mark.parametrize("name", ["clip.mp4", "inner/again.mp4", "inner/../clip.mp4", "./clip.mp4", "cl%69p.mp4"])
def test_files_inside_the_media_root_are_read(client, media_root, name):
    for url in (f"file://{media_root}/{name}", f"file://localhost{media_root}/{name}"):
        assert ask(client, url).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "file:///etc/hostname",
        "file://ROOT/../media-elsewhere/x.mp4",
        "file://ROOT/../../../../../../etc/passwd",
        "file://ROOT/%2e%2e/%2e%2e/etc/passwd",
        "file://ROOT/..%2f..%2fetc/passwd",
        "file://ROOT/out.mp4",  # a link that leads out
        "file://ROOT/up/clip.mp4",  # a folder that leads out
        "file://ROOT/inner",
        "file://ROOT/",
        "file://ROOT/none.mp4",
        "file://ROOT/clip.mp4/",
        "file://ROOT/clip.mp4%00.txt",
        "file://ROOT/clip.mp4?x=1",
        "file://other.host/ROOT/clip.mp4",
        "file:///proc/self/environ",
        "file:///dev/zero",
        "file://~/clip.mp4",
        "file:clip%FFmp4",
        "FILE:///etc/passwd",
    ],
)
def test_no_way_leads_out_of_the_media_root_and_no_reply_tells_what_is_there(client, media_root, url):
    response = ask(client, url.replace("ROOT", str(media_root)))
    assert response.status_code == 404
    assert response.json()["error"]["message"] == "there is no such file in the media folder"


def test_a_file_that_is_no_video_says_so_without_its_folder(client, media_root):
    response = ask(client, f"file://{media_root}/note.txt")
    assert response.status_code == 400
    assert str(media_root) not in response.text
    assert "note.txt" in response.text


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://169.254.169.254/latest/meta-data/", 403),
        ("http://127.0.0.1:8000/metrics", 403),
        ("http://localhost/clip.mp4", 403),
        ("http://[::1]/clip.mp4", 403),
        ("http://0x7f000001/clip.mp4", 403),
        ("http://2130706433/clip.mp4", 403),
        ("https://not-allowed.example/clip.mp4", 403),
        ("https://allowed.example:444/clip.mp4", 403),
        ("https://allowed.example.evil.example/clip.mp4", 403),
        ("https://evil.example/allowed.example", 403),
        ("https://evil.example#allowed.example", 403),
        ("https://allowed.example@evil.example/clip.mp4", 400),
        ("https://user:word@allowed.example/clip.mp4", 400),
        ("https:///clip.mp4", 400),
        ("https://", 400),
        ("http://[bad", 403),
        ("ftp://allowed.example/clip.mp4", 400),
        ("gopher://allowed.example/clip.mp4", 400),
        ("javascript:alert(1)", 400),
        ("concat:/etc/passwd", 400),
        ("/etc/passwd", 400),
        ("", 400),
        ("data:", 400),
        ("data:video/mp4,plain", 400),
        ("data:text/html;base64,AAAA", 400),
        ("data:video/mp4;base64,", 400),
        ("data:video/mp4;base64,@@@@", 400),
        ("data:video/jpeg;base64,", 400),
        ("data:video/jpeg;base64,AAAA,AAAA", 400),
        ("data:video/jpeg;base64," + "," * 5000, 400),
        ("data:video/mp4;base64,AAAA,AAAA", 400),
        ("data:application/x-mpegURL;base64,AAAA", 400),
    ],
)
def test_addresses_that_are_not_allowed_are_refused(client, url, status):
    response = ask(client, url)
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"]


def test_a_playlist_in_disguise_opens_nothing(client):
    playlist = base64.b64encode(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n").decode()
    response = ask(client, f"data:video/mp4;base64,{playlist}")
    assert response.status_code == 400


def test_a_video_over_the_limit_is_refused_whichever_way_it_comes(client):
    data = base64.b64encode(b"x" * 2_100_000).decode()
    assert ask(client, f"data:video/mp4;base64,{data}").status_code == 413
    assert client.post("/v1/files", files={"file": ("x.mp4", b"x" * 2_100_000)}).status_code == 413


PUBLIC = {
    "8.8.8.8": True,
    "1.1.1.1": True,
    "2606:4700::1111": True,
    "64:ff9b::808:808": True,
    "2606:4700::5efe:808:808": True,
}
PRIVATE = dict.fromkeys(
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
     "2002:7f00:1::", "::127.0.0.1", "ff02::1", "fec0::1", "2001:db8::1", "2606:4700::5efe:a00:1", "2606:4700::200:5efe:a00:1",
     "168.63.129.16", "::ffff:168.63.129.16", "2130706433", "0x7f.1", "", "localhost"],
    False,
)  # fmt: skip


@pytest.mark.parametrize(("address", "public"), (PUBLIC | PRIVATE).items())
def test_addresses_are_public_or_not_in_whatever_form(address, public):
    assert is_public(address) is public


class Host(http.server.ThreadingHTTPServer):
    """A host on this machine, with what it was asked and the addresses of its names."""

    asked: list
    names: dict


class Handler(http.server.BaseHTTPRequestHandler):
    """A host from which media come."""

    def do_GET(self):
        asked = (self.path, self.headers["Host"])
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/video")
            self.end_headers()
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 65536)
        elif self.path == "/packed":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
        elif self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            time.sleep(6)
        else:
            body = b"" if self.path == "/empty" else b"pixels"
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("Content-Length", str(len(body) + 5 * (self.path == "/short")))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def host(monkeypatch):
    """A host on this machine under a public name."""
    server = Host(("127.0.0.1", 0), Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    inner = socket.getaddrinfo
    names = {"media.example": ["127.0.0.1"], "mixed.example": ["8.8.8.8", "10.0.0.1"], "inside.example": ["10.0.0.1"]}

    def resolve(name, port, *args, **kwargs):
        if name in names:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[name]]
        return inner(name, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    server.names = names
    yield server
    server.shutdown()
    server.server_close()


def fetch(host, path, tmp_path, name="media.example"):
    port = host.server_address[1]
    fetcher = Fetcher(frozenset([f"{name}:{port}"]), 1_000_000)
    place = tmp_path / "got"
    return asyncio.run(fetcher.fetch(f"http://{name}:{port}{path}", place, "url")), place


def test_a_download_goes_to_the_address_that_was_checked_and_names_the_host(host, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "is_public", lambda address: True)
    digest, place = fetch(host, "/video?x=1", tmp_path)
    assert place.read_bytes() == b"pixels"
    assert len(digest) == 64
    assert host.asked == [("/video?x=1", f"media.example:{host.server_address[1]}")]


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/redirect", 400, "status 302"),
        ("/broken", 400, "status 500"),
        ("/endless", 413, "more than 1 MB"),
        ("/packed", 400, "encoded"),
        ("/empty", 400, "empty"),
        ("/short", 400, "failed"),
        ("/slow", 400, "failed"),
    ],
)
def test_downloads_that_misbehave_are_refused(host, tmp_path, monkeypatch, path, status, words):
    monkeypatch.setattr(fetching, "is_public", lambda address: True)
    monkeypatch.setattr(fetching, "READ_SECONDS", 2.0)
    with pytest.raises(Refusal, match=words) as raised:
        fetch(host, path, tmp_path)
    assert raised.value.status == status
    assert len(host.asked) == 1


@pytest.mark.parametrize("name", ["media.example", "mixed.example", "inside.example"])
def test_names_that_lead_inside_are_refused_before_anything_is_sent(host, tmp_path, name):
    with pytest.raises(Refusal, match="not public"):
        fetch(host, "/video", tmp_path, name)
    assert not host.asked


def test_a_name_that_changes_its_address_after_the_check_changes_nothing(host, tmp_path, monkeypatch):
    """The connection uses the address that was checked."""
    monkeypatch.setattr(
        fetching, "is_public", lambda address: host.names.update({"media.example": ["10.0.0.1"]}) or True
    )
    _, place = fetch(host, "/video", tmp_path)
    assert place.read_bytes() == b"pixels"


@pytest.mark.parametrize(
    ("named", "url", "allowed"),
    [
        ("a.example", "https://A.example./x", True),
        ("a.example:443", "https://a.example/x", True),
        ("a.example", "https://a.example:443/x", True),
        ("a.example:443", "http://a.example/x", False),
        ("a.example:8443", "https://a.example:8443/x", True),
        ("a.example", "https://a.example:8443/x", False),
        ("a.example:8443", "https://a.example/x", False),
    ],
)
def test_a_host_is_allowed_at_its_port(named, url, allowed):
    check = contextlib.nullcontext() if allowed else pytest.raises(Refusal, match="not allowed here")
    with check:
        Fetcher(frozenset([named]), 1)._check(url, "url")


def test_proxies_and_passwords_of_the_environment_are_not_used(host, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "is_public", lambda address: True)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    fetch(host, "/video", tmp_path)
    assert host.asked


def test_nothing_of_a_request_stays_on_the_disk(service, client, inline):
    ask(client, inline)
    ask(client, "data:video/mp4;base64,AAAA")
    folder = service.folder()
    until = time.monotonic() + 60
    while os.listdir(folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert os.listdir(folder) == []
