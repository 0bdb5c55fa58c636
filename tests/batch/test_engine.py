"""What later commands and clusters rest on: other tasks than answering, and machines of several kinds."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import pytest

from batch.tables import read, settings, write
from dyto.batch.run import run_batch
from dyto.errors import DatasetError
from dyto.evaluation import workers
from dyto.evaluation.rows import ANSWERED, unanswered
from dyto.evaluation.runner import ClipWork
from dyto.evaluation.tasks import STATED, Task
from dyto.scaling.jobs import Machine, Ready
from dyto.scaling.working import attempted


class Stamps:
    """Notes when frames were taken."""

    def __init__(self, qa, benchmark, *more) -> None:
        self._spec = benchmark

    def rows(self, samples, video, seconds):
        """See `RowsOfClip.rows`."""
        frames = video.content
        stamped = {"status": ANSWERED, "pred": "", "stamps": [round(second, 2) for second in frames.seconds.tolist()]}
        return [unanswered(self._spec, sample, "", "") | stamped for sample in samples]


STAMPS = Task("stamps", Stamps, (*STATED, "stamps"))
TABLE = [{"video": f"v{n % 4}.mp4", "question": "what ?", "id": n} for n in range(6)]


def test_another_task_than_answering_is_batched_the_same_way(world, monkeypatch):
    table = write(world / "q.jsonl", TABLE)
    assert run_batch(settings(table, task=STAMPS)) == {"answered": 6}
    found = read(world / "out.jsonl")
    assert [row["id"] for row in found] == list(range(6))
    assert set(found[0]) == {"key", "video", "question", "id", *STATED, "stamps"}
    assert all(len(row["stamps"]) == 6 for row in found)
    before = (world / "out.jsonl").read_bytes()
    (world / "out.jsonl").unlink()
    monkeypatch.setattr(ClipWork, "loaded", None)  # nothing is done again
    run_batch(settings(table, task=STAMPS))
    assert (world / "out.jsonl").read_bytes() == before


def test_rows_of_one_task_are_not_taken_for_those_of_another(world):
    table = write(world / "q.jsonl", TABLE)
    run_batch(settings(table, task=STAMPS))
    before = (world / "out.jsonl").read_bytes()
    with pytest.raises(DatasetError, match="task was 'stamps' and is now None"):
        run_batch(settings(table))
    assert (world / "out.jsonl").read_bytes() == before


class InTurns:
    """Two workers that take turns; both are this process, and say that they are elsewhere."""

    def __init__(self, make, machines, changed) -> None:
        self._make, self._machines, self._changed = make, machines, changed
        self._jobs: list = []

    def start(self):
        """See `Executor.start`."""
        self._work = self._make(None)
        abouts = [self._work.about, {**self._work.about, "config": self._work.about["config"] | self._changed}]
        names = ("a", "b")
        self._told = [Ready(*about) for about in zip(names, self._machines, abouts, strict=True)]
        return list(names)

    def events(self, seconds):
        """See `Executor.events`."""
        if self._told:
            return [self._told.pop(0)]
        turn = min(range(len(self._jobs)), key=lambda place: self._jobs[place][0])
        _, worker, job = self._jobs.pop(turn)
        return [replace(attempted(self._work, job), worker=worker)]

    def submit(self, worker, job):
        """See `Executor.submit`."""
        self._jobs.append((sum(name == worker for _, name, _ in self._jobs), worker, job))

    def restart(self, worker):
        """Nobody dies."""

    def close(self):
        """See `Executor.close`."""
        self._work.close()


@pytest.fixture
def elsewhere(monkeypatch):
    """Have a run done by two workers on machines of these kinds."""

    def spread(kinds, **changed):
        machines = [Machine(f"node{n}", kind) for n, kind in enumerate(kinds)]
        made = functools.partial(InTurns, machines=machines, changed=changed)
        monkeypatch.setattr(workers, "executor_of", lambda settings, make, *, alone: made(make))

    return spread


def test_on_machines_of_several_kinds_each_row_names_its_own(world, elsewhere):
    table = write(world / "q.jsonl", TABLE)
    run_batch(settings(table, "whole.jsonl"))
    elsewhere(["slow chip", "fast chip"])
    run_batch(settings(table))
    found = read(world / "out.jsonl")
    assert {row["machine"] for row in found} == {"slow chip", "fast chip"}
    by_video = itertools.groupby(sorted(found, key=lambda row: row["video"]), key=lambda row: row["video"])
    assert all(len({row["machine"] for row in rows}) == 1 for _, rows in by_video)
    assert [{k: v for k, v in row.items() if k != "machine"} for row in found] == read(world / "whole.jsonl")


def test_on_machines_of_one_kind_the_file_is_that_of_one_machine(world, elsewhere):
    table = write(world / "q.jsonl", TABLE)
    run_batch(settings(table, "whole.jsonl"))
    elsewhere(["chip", "chip"])
    run_batch(settings(table))
    assert (world / "out.jsonl").read_bytes() == (world / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"weights": "0"}, "b on node1 has weights '0'.*give all machines the same model"),
        ({"weights": "0", "dtype": "bfloat16"}, "b on node1 has dtype 'bfloat16'.*--dtype"),
    ],
)
def test_a_machine_with_another_model_is_refused_by_name(world, elsewhere, changed, told):
    elsewhere(["chip", "chip"], **changed)
    with pytest.raises(DatasetError, match=told):
        run_batch(settings(write(world / "q.jsonl", TABLE)))
