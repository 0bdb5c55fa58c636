"""Workers as real processes, which die, refuse and hang."""

from __future__ import annotations

import multiprocessing

import pytest

from dyto.errors import ConfigError
from dyto.scaling import processes
from dyto.scaling.driver import DEATHS, Driver
from dyto.scaling.jobs import Job
from dyto.scaling.processes import InThisProcess, Processes
from scaling.errands import errands


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Workers come out of a server that has imported torch."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["scaling.errands", "dyto.scaling.processes"])
    monkeypatch.setattr(processes, "START_METHOD", "forkserver")


def run(executor, payloads):
    found = {}

    def record(job, rows, machine, beside):
        assert job.number not in found
        found[job.number] = rows[0]

    def refused(job, err):
        return [{"error": f"{type(err).__name__}: {err}"}]

    driver = Driver(executor, record, lambda job, why: [{"failed": why}], refused)
    driver.run([Job(n, 1.0, payload) for n, payload in enumerate(payloads)])
    return found


def test_workers_that_die_are_replaced_and_a_poison_job_is_recorded(tmp_path):
    found = run(Processes(errands(tmp_path), [None, None]), ["ok", "die", "ok", "die once", "refuse", *["ok"] * 6])
    assert found[1] == {"failed": f"it killed {DEATHS} workers (by signal 9)"}
    assert found[4] == {"error": "ConfigError: budget 1"}
    assert all("by" in found[n] for n in (0, 2, 3, 5, 6, 7, 8, 9, 10))
    assert len(list(tmp_path.glob("1-*"))) == DEATHS
    assert not multiprocessing.active_children()


def test_what_hangs_is_done_by_another(tmp_path):
    found = run(Processes(errands(tmp_path), [None, None]), ["ok"] * 6 + ["slow"])
    assert len(found) == 7
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_cannot_be_loaded_ends_the_run_with_its_own_error(tmp_path, workers):
    (tmp_path / "unloadable").touch()
    make = errands(tmp_path)
    executor = InThisProcess(make, None) if workers == 1 else Processes(make, [None] * workers)
    with pytest.raises(ConfigError, match="no such model"):
        run(executor, ["ok"])
    assert not multiprocessing.active_children()
