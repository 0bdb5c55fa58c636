"""What is kept of uploads, for whom and how long; which form they come in; what becomes of them on a full disk."""

import asyncio
import errno
import os
import time

import pytest

import dyto
from dyto.demo.limits import DemoLimits
from dyto.demo.receiving import receive_upload
from dyto.demo.uploads import RefusedError, Uploads
from dyto.demo.visitors import Visitors

FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.mp4"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


@pytest.fixture
def uploads(tmp_path):
    return Uploads(tmp_path, DemoLimits(megabytes=1, visitor_files=2, all_files=3, all_megabytes=2))


async def pieces(*chunks):
    for chunk in chunks:
        yield chunk


def send(uploads, *chunks, visitor="ann", headers=FORM):
    limits = DemoLimits(megabytes=1)
    return asyncio.run(receive_upload(headers, pieces(*chunks), uploads, limits, visitor))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_a_file_is_the_same_however_it_is_cut_into_pieces(uploads, tmp_path, size):
    content = bytes(range(256)) * 4 + b"\r\n--b\r--b\r\n-"
    whole = HEAD + content + TAIL
    clip = send(uploads, *(whole[at : at + size] for at in range(0, len(whole), size)))
    assert clip.path.read_bytes() == content
    assert clip.path.stat().st_mode & 0o777 == 0o600
    assert uploads.find("ann", clip.token) is clip


def test_each_visitor_and_all_have_their_share(uploads, tmp_path):
    half = b"x" * 600_000
    send(uploads, HEAD, half, TAIL)
    send(uploads, HEAD, half, TAIL)
    with pytest.raises(RefusedError, match="2 files and 2 MB that are kept for one visitor") as told:
        send(uploads, HEAD, TAIL)
    assert told.value.status == 429
    with pytest.raises(RefusedError, match="other visitors") as told:
        send(uploads, HEAD, half, half[:300_000], TAIL, visitor="bob")
    assert told.value.status == 503
    send(uploads, HEAD, TAIL, visitor="bob")
    with pytest.raises(RefusedError, match="other visitors"):
        send(uploads, HEAD, TAIL, visitor="cid")
    assert len(files(tmp_path)) == 3
    uploads.leave("ann")
    assert len(files(tmp_path)) == 1
    send(uploads, HEAD, half, TAIL, visitor="cid")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("when", ["open", "write"])
def test_a_disk_that_takes_nothing_is_told_without_its_places(uploads, tmp_path, monkeypatch, caplog, code, when):
    def fail(*args, **options):
        raise OSError(code, os.strerror(code), str(tmp_path))

    if when == "open":
        monkeypatch.setattr("dyto.demo.uploads.os.open", fail)
    else:
        monkeypatch.setattr("dyto.demo.receiving.Uploads.write", _writes_to(fail))
    with pytest.raises(RefusedError) as told:
        send(uploads, HEAD, b"x" * 100, TAIL)
    assert told.value.status == 507
    assert str(tmp_path) not in str(told.value)
    assert str(tmp_path) in caplog.text
    assert files(tmp_path) == []
    monkeypatch.undo()
    send(uploads, HEAD, b"x", TAIL)


def _writes_to(fail):
    write = Uploads.write

    class Full:
        write = fail

    return lambda self, clip, file, data: write(self, clip, Full(), data)


def test_an_upload_that_stops_to_come_is_broken_off(uploads, tmp_path, monkeypatch):
    monkeypatch.setattr("dyto.demo.receiving.STALL_SECONDS", 0.05)

    async def stalling():
        yield HEAD
        await asyncio.sleep(9)

    with pytest.raises(RefusedError, match="too slowly"):
        asyncio.run(receive_upload(FORM, stalling(), uploads, DemoLimits(), "ann"))
    assert files(tmp_path) == []


def test_what_comes_after_the_file_is_counted_too(uploads, tmp_path):
    for rest in (b"\r\n--b--\r\n", b"\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\n"):
        with pytest.raises(RefusedError, match="larger than the 1 MB"):
            send(uploads, HEAD, b"x" + rest, *[b"y" * 60_000] * 20)
    assert files(tmp_path) == []


def test_half_a_file_cannot_be_asked_about(uploads):
    clip, file = uploads.begin("ann", "x.mp4")
    with pytest.raises(dyto.ConfigError, match="not here"):
        uploads.find("ann", clip.token)
    file.close()


def test_what_nobody_uses_is_removed_after_a_while(uploads, tmp_path, monkeypatch):
    sample = tmp_path / "sample.mp4"
    sample.write_bytes(b"x")
    uploads.add_sample("sample.mp4", sample, "Sample")
    old, used = send(uploads, HEAD, TAIL), send(uploads, HEAD, TAIL)
    now = time.monotonic()
    monkeypatch.setattr("dyto.demo.uploads.time.monotonic", lambda: now + 20 * 60)
    uploads.find("ann", used.token)
    monkeypatch.setattr("dyto.demo.uploads.time.monotonic", lambda: now + 40 * 60)
    uploads.sweep()
    assert files(tmp_path) == sorted(["sample.mp4", used.token])
    with pytest.raises(dyto.ConfigError, match="no longer"):
        uploads.find("ann", old.token)


def test_a_file_goes_when_its_last_page_shows_another_or_closes(tmp_path):
    gone = []
    uploads = Uploads(tmp_path, DemoLimits(), gone.append)
    visitors = Visitors(uploads)
    for page in ("one-", "two-"):
        assert visitors.admit("ann", page)
        visitors.beat(page)
    first, second = send(uploads, HEAD, TAIL), send(uploads, HEAD, TAIL)
    assert visitors.clips("one-", first.token) == visitors.clips("two-", first.token) == [first]
    said = send(uploads, HEAD, TAIL)
    assert visitors.clips("one-", second.token, said.token) == [second, said]
    assert first.path.exists()
    assert visitors.clips("one-", second.token, "") == [second, None]
    assert not said.path.exists()
    visitors.rest("two-")
    assert not first.path.exists()
    assert gone == [str(said.path), str(first.path)]
    third = send(uploads, HEAD, TAIL)  # no page shows it yet
    visitors.rest("one-")
    assert not second.path.exists()
    assert not third.path.exists()


def test_pages_and_pictures_belong_to_their_visitor_and_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("dyto.demo.visitors.MOST_PAGES", 3)
    monkeypatch.setattr("dyto.demo.visitors.MOST_PICTURE_BYTES", 10)
    visitors = Visitors(Uploads(tmp_path, DemoLimits()))
    assert visitors.admit("ann", "page-a")
    visitors.beat("page-a")
    assert not visitors.admit("bob", "page-a")
    assert not visitors.admit("bob", "no page")
    (picture,) = visitors.show("page-a", [b"x" * 8])
    assert visitors.picture("ann", picture) == b"x" * 8
    assert visitors.picture("bob", picture) is None
    for number in range(9):
        assert visitors.admit("bob", f"page-{number}")
    assert visitors.of_page("page-a") == "ann"  # it is open
    assert visitors.of_page("page-0") is None
    visitors.show("page-8", [b"y" * 8])
    assert visitors.picture("ann", picture) is None


def test_a_cookie_is_known_by_its_signature_and_only_here(tmp_path):
    here, there = Visitors(Uploads(tmp_path, DemoLimits())), Visitors(Uploads(tmp_path, DemoLimits()))
    cookie = here.mint()
    assert here.of_cookie(cookie) == here.of_cookie(cookie) != here.of_cookie(here.mint())
    name, _, signature = cookie.partition(".")
    for other in (
        there.mint(),
        name,
        f"{name}x.{signature}",
        f"{name}.{signature[:-1]}",
        f".{signature}",
        "",
        "é.é",
        None,
    ):
        assert here.of_cookie(other) is None
