"""Claims: held by one process, shared, given back, gone with their process."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from dyto.errors import DatasetError
from dyto.evaluation.journal import Claims, _say_once
from dyto.evaluation.locks import SHARERS
from evaluation.work import hold, wait_for


def test_a_claim_is_held_until_its_process_is_gone(tmp_path, crew):
    holder = crew(hold, tmp_path / "lock", 3, tmp_path / "ready")
    wait_for(lambda: (tmp_path / "ready").exists())
    with Claims(tmp_path / "lock") as claims:
        assert not claims.take(3)
        assert claims.take(2)
        holder.kill()
        holder.join()
        assert claims.take(3)


def test_shared_claims_go_together_and_exclude_a_lone_one(tmp_path, crew):
    holder = crew(hold, tmp_path / "lock", 0, tmp_path / "ready", True)
    wait_for(lambda: (tmp_path / "ready").exists())
    with Claims(tmp_path / "lock") as claims:
        assert claims.take(0, shared=True)
        claims.release(0)
        assert not claims.take(0)
    holder.kill()


def test_claims_are_bytes_of_a_file_and_can_be_given_back(tmp_path):
    with Claims(tmp_path / "deep/down/lock") as claims:
        assert claims.take(0)
        assert claims.take(0), "a process does not keep itself out"
        claims.release(0)
    assert (tmp_path / "deep/down/lock").stat().st_size == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(claims._file)


def test_a_file_system_without_locks_is_said_once_and_the_work_is_done(tmp_path, monkeypatch, caplog):
    import fcntl

    def lockf(*words):
        raise OSError(errno.ENOLCK, "No locks available")

    _say_once.cache_clear()
    with Claims(tmp_path / "lock") as claims:
        monkeypatch.setattr(fcntl, "lockf", lockf)
        assert claims.take(0)
        assert len(caplog.records) == 1
        assert claims.take(1)
        claims.release(0)
    (record,) = caplog.records
    assert "no file locks on this system (No locks available)" in record.getMessage()


def test_what_another_process_holds_is_refused(tmp_path, monkeypatch):
    import fcntl

    asked = []

    def lockf(file, mode, length, start):
        asked.append((mode, length, start))
        if start in (3, 4):
            raise {3: BlockingIOError, 4: PermissionError}[start]

    with Claims(tmp_path / "lock") as claims:
        monkeypatch.setattr(fcntl, "lockf", lockf)
        assert [claims.take(index) for index in range(2, 6)] == [True, False, False, True]
        assert claims.take(7, shared=True)
        claims.release(7)
    exclusive, shared = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_SH | fcntl.LOCK_NB
    assert asked == [*((exclusive, 1, index) for index in range(2, 6)), (shared, 1, 7), (fcntl.LOCK_UN, 1, 7)]


def test_claims_that_cannot_be_written_are_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        Claims(tmp_path / "file/lock")


class Msvcrt:
    """Locks as Windows has them: of a handle, exclusive, refused to everybody while they are held."""

    LK_UNLCK, LK_NBLCK = 0, 2

    def __init__(self):
        self.holders = {}

    def locking(self, file, mode, count):
        start = os.lseek(file, 0, os.SEEK_CUR)
        places = range(start, start + count)
        if mode == self.LK_UNLCK:
            if any(self.holders.get(place) != file for place in places):
                raise PermissionError(errno.EACCES, "Permission denied")
            self.holders = {place: by for place, by in self.holders.items() if place not in places}
        elif any(place in self.holders for place in places):
            raise PermissionError(errno.EACCES, "Permission denied")
        else:
            self.holders.update(dict.fromkeys(places, file))


@pytest.fixture
def windows(monkeypatch):
    found = Msvcrt()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", found)
    return found


def test_on_windows_claims_exclude_each_other_and_can_be_given_back(tmp_path, windows):
    with Claims(tmp_path / "lock") as one, Claims(tmp_path / "lock") as other:
        assert one.take(3)
        assert one.take(3), "a process does not keep itself out"
        assert not other.take(3)
        assert other.take(2)
        assert other.take(4)
        one.release(3)
        assert other.take(3)
        assert len(windows.holders) == 3 * SHARERS
        one.release(3)
        assert not one.take(3), "what others hold cannot be given back"


def test_on_windows_shared_claims_go_together_and_exclude_a_lone_one(tmp_path, windows):
    with Claims(tmp_path / "lock") as one, Claims(tmp_path / "lock") as other, Claims(tmp_path / "lock") as third:
        assert one.take(0, shared=True)
        assert other.take(0, shared=True)
        assert not third.take(0)
        one.release(0)
        assert not third.take(0)
        assert other.take(0), "the last that shares it may have it alone"
        assert not one.take(0, shared=True)
        assert other.take(0, shared=True)
        assert one.take(0, shared=True)


def test_on_windows_an_error_that_is_no_refusal_is_said(tmp_path, windows, caplog, monkeypatch):
    def locking(file, mode, count):
        raise OSError(errno.EINVAL, "Invalid argument")

    _say_once.cache_clear()
    monkeypatch.setattr(windows, "locking", locking)
    with Claims(tmp_path / "lock") as claims:
        assert claims.take(0)
    assert "no file locks on this system (Invalid argument)" in caplog.text


def test_where_no_locks_are_known_that_is_said_once_and_the_work_is_done(tmp_path, monkeypatch, caplog):
    _say_once.cache_clear()
    for name in ("fcntl", "msvcrt"):
        monkeypatch.setitem(sys.modules, name, None)
    for _ in range(2):
        with Claims(tmp_path / "lock") as claims:
            assert claims.take(0)
            assert claims.take(1, shared=True)
            claims.release(0)
    assert (
        caplog.text.count(
            "no file locks on this system (No locks available): two simultaneous runs may do the same work twice"
        )
        == 1
    )
