"""The driver: one result a job, whatever workers do."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyto.errors import ConfigError, ModelError
from dyto.scaling.driver import DEATHS, Driver
from dyto.scaling.jobs import Job, Machine, Ready, Refused
from dyto_bench.simulated_workers import STARTING, FakeWorkers


def run(workers, sizes, **more):
    """Run jobs of these sizes, and return the rows by job."""
    found = {}

    def record(job, rows, machine, beside):
        assert job.number not in found, "a job was recorded twice"
        found[job.number] = [row.get("status", "answered") for row in rows]

    def poisoned(job, reason):
        return [{"status": "failed", "reason": reason}]

    options = {"refused": lambda job, err: [{"status": "refused"}], "clock": lambda: workers.now} | more
    Driver(workers, record, poisoned, **options).run([Job(n, size) for n, size in enumerate(sizes)])
    assert workers.closed
    return found


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_every_job_has_exactly_one_result(data):
    sizes = data.draw(st.lists(st.floats(0.1, 50), min_size=1, max_size=40))
    speeds = data.draw(st.lists(st.floats(0.1, 10), min_size=1, max_size=6))
    numbers = st.frozensets(st.integers(0, len(sizes) - 1), max_size=2)
    nodes = data.draw(st.lists(st.sampled_from("ab"), min_size=len(speeds), max_size=len(speeds)))
    deadly, refusing = data.draw(numbers), data.draw(numbers)
    lacking = {node: data.draw(numbers) for node in set(nodes)}
    mortal = data.draw(st.sampled_from([(), [3] * len(speeds), [7] * len(speeds)]))
    workers = FakeWorkers(speeds, nodes, deadly, lacking, refusing, mortal)
    if mortal == [3] * len(speeds):
        deadly = frozenset(range(len(sizes)))  # workers that die often may take any job with them
    found = run(workers, sizes)
    assert set(found) == set(range(len(sizes)))
    for number, statuses in found.items():
        expected = {"answered"}
        expected |= {"failed"} if number in deadly or mortal else set()
        expected |= {"refused"} if number in refusing else set()
        expected |= {"missing"} if any(number in lacking[node] for node in set(nodes)) else set()
        assert set(statuses) <= expected


def test_a_job_that_kills_its_workers_is_recorded_after_three_deaths_and_costs_no_other():
    workers = FakeWorkers([1.0, 1.0], deadly=frozenset({4}))
    found = run(workers, [1.0] * 12)
    assert found.pop(4) == ["failed"]
    assert set(map(tuple, found.values())) == {("answered",)}
    assert Counter(number for _, number in workers.tried)[4] == DEATHS


def test_a_dead_worker_costs_at_most_the_two_jobs_that_it_held():
    class Counted(FakeWorkers):
        submitted = 0

        def submit(self, worker, job):
            self.submitted += 1
            super().submit(worker, job)

    workers = Counted([1.0], mortal=[4])  # each of its lives ends at the fifth job
    assert set(map(tuple, run(workers, [1.0] * 30).values())) == {("answered",)}
    deaths = workers._lives["w0"] - 1
    assert deaths >= 5
    assert 30 < workers.submitted <= 30 + 2 * deaths


def test_the_largest_jobs_go_first():
    workers = FakeWorkers([1.0])
    run(workers, [1.0, 9.0, 3.0])
    assert [number for _, number in workers.tried] == [1, 2, 0]


def test_a_slow_worker_does_not_hold_up_the_end():
    alone = FakeWorkers([10.0])
    run(alone, [10.0] * 20)
    together = FakeWorkers([10.0, 0.01])
    found = run(together, [10.0] * 20)
    assert len(found) == 20
    assert together.now <= alone.now + 2 * STARTING


def test_what_hangs_is_taken_over_by_a_worker_that_has_done_nothing_yet():
    class Late(FakeWorkers):
        def restart(self, worker):
            super().restart(worker)
            if worker == "w1":  # ready only when the other one is at its last job
                self._coming.pop()
                self._expect(100.0, Ready(worker, Machine("here", "simulated")))

    workers = Late([1.0, 1.0])
    begin = workers._begin

    def hangs(worker):
        if worker == "w0" and workers._jobs[worker][0].number == 3:
            return  # and never ends
        begin(worker)

    workers._begin = hangs
    assert len(run(workers, [1.0] * 4)) == 4
    assert workers.now < 1000


def test_workers_are_used_by_their_speed():
    workers = FakeWorkers([8.0, 1.0])
    run(workers, [4.0] * 90)
    done = Counter(name for name, _ in workers.tried)
    assert 5 < done["w0"] / done["w1"] < 12


def test_a_video_that_one_node_lacks_is_asked_about_on_another():
    workers = FakeWorkers([1.0, 1.0], nodes=["a", "b"], lacking={"a": frozenset({0, 3})})
    assert set(map(tuple, run(workers, [1.0] * 6).values())) == {("answered",)}


def test_a_video_that_all_nodes_lack_is_missing():
    workers = FakeWorkers([1.0, 1.0], nodes=["a", "b"], lacking={"a": frozenset({3}), "b": frozenset({3})})
    found = run(workers, [1.0] * 6)
    assert found.pop(3) == ["missing"]
    assert set(map(tuple, found.values())) == {("answered",)}


def test_a_worker_that_cannot_start_is_given_up_and_the_others_go_on():
    workers = FakeWorkers([1.0, 1.0], hopeless=frozenset({0}))
    assert len(run(workers, [1.0] * 5)) == 5
    with pytest.raises(ModelError, match="all workers died"):
        run(FakeWorkers([1.0], hopeless=frozenset({0})), [1.0] * 5)


def test_where_every_video_kills_its_workers_the_videos_are_not_blamed():
    with pytest.raises(ModelError, match="videos are unlikely to be the cause"):
        run(FakeWorkers([1.0, 1.0], deadly=frozenset(range(20))), [1.0] * 20)


def test_an_error_that_concerns_the_whole_run_ends_it():
    class Misconfigured(FakeWorkers):
        def events(self, seconds):
            return [Refused("w0", None, ConfigError("budget 1"), "Traceback of the worker")]

    workers = Misconfigured([1.0])
    with pytest.raises(ConfigError, match="budget 1") as caught:
        run(workers, [1.0])
    assert "Traceback of the worker" in str(caught.value.__cause__)
    assert workers.closed
