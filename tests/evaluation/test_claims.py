"""Claims: held by one process, shared, given back, gone with their process."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.journal import Claims
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

    with Claims(tmp_path / "lock") as claims:
        monkeypatch.setattr(fcntl, "lockf", lockf)
        assert claims.take(0)
        assert len(caplog.records) == 1
        assert claims.take(1)
        claims.release(0)
    (record,) = caplog.records
    assert "no file locks here (No locks available)" in record.getMessage()


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


def test_claims_where_there_are_none_are_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        Claims(tmp_path / "file/lock")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(ConfigError, match="POSIX file locks.*WSL"):
        Claims(tmp_path / "lock")
