"""A file's fingerprint changes with the file, whoever has asked before, and is not read again without need."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dyto.video import fingerprint as module
from dyto.video.fingerprint import fingerprint


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Files count as settled 50 ms after a change."""
    monkeypatch.setattr(module, "_SETTLED_NS", 50_000_000)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(bytes(range(256)) * 2000)
    return path


def settled(path: Path) -> str:
    time.sleep(0.1)
    return fingerprint(path)


def test_a_settled_file_is_read_once(file, monkeypatch):
    first = settled(file)
    monkeypatch.setattr(module, "_read", lambda path: pytest.fail("it was read again"))
    assert fingerprint(file) == first


def test_a_file_that_changed_just_now_is_read_each_time(file, monkeypatch):
    monkeypatch.setattr(module, "_SETTLED_NS", 10**18)
    reads: list[Path] = []
    inner = module._read
    monkeypatch.setattr(module, "_read", lambda path: (reads.append(path), inner(path))[1])
    assert fingerprint(file) == fingerprint(file)
    assert len(reads) == 2


@pytest.mark.parametrize("place", [0, 70_000, -1])
def test_a_change_behind_an_old_time_is_seen_at_both_ends(file, place):
    """Same size, and the time of the last change set back, as `cp -p` and `touch -r` do."""
    before, info = settled(file), file.stat()
    data = bytearray(file.read_bytes())
    data[place] ^= 255
    file.write_bytes(data)
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    at_an_end = place in (0, -1)  # the middle is known by size and time alone
    assert (fingerprint(file) != before) == (settled(file) != before) == at_an_end


def test_another_file_in_its_place_is_seen(file, tmp_path):
    before, info = settled(file), file.stat()
    other = tmp_path / "other"
    other.write_bytes(b"\xff" * info.st_size)
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert settled(other) != before
    other.replace(file)
    assert settled(file) != before


def test_the_same_content_has_the_same_fingerprint_elsewhere(file, tmp_path):
    before, info = settled(file), file.stat()
    other = tmp_path / "other"
    other.write_bytes(file.read_bytes())
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert settled(other) == before


def test_a_file_that_is_gone_or_may_not_be_read_is_an_error_or_told(file, caplog):
    before = settled(file)
    file.unlink()
    assert fingerprint(file) != before
    assert "cannot be read" in caplog.text
    file.mkdir()
    assert settled(file) != before
