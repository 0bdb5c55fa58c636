"""A thousand simulated workers, with failures, against the real driver and the real journal on disk.

    python tools/bench/scripts/simulate_workers.py --jobs 100000 --rows 10 --workers 1000

Workers are of two speeds; some die now and then, one video in ten thousand kills whoever tries it, and one node
lacks some files. What is printed: rows a second through the driver, and whether a row was lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dyto.evaluation.journal import Journal
from dyto.scaling.driver import Driver
from dyto.scaling.jobs import Done, Event, Job, Machine, Row
from dyto_bench.simulated_workers import FakeWorkers


class Answering(FakeWorkers):
    """Fake workers whose rows are as large as real ones."""

    rows_a_job = 10

    def events(self, seconds: float) -> Sequence[Event]:
        """See `Executor.events`."""
        return [self._filled(event) if isinstance(event, Done) else event for event in super().events(seconds)]

    def _filled(self, event: Done) -> Done:
        return replace(event, rows=[row(event.number, n, "answered") for n in range(self.rows_a_job)])


def row(job: int, number: int, status: str) -> Row:
    """A row of about 600 bytes."""
    key = f"{job:07d}-{number:03d}"
    return {
        **{"key": key, "place": job * 1000 + number, "status": status, "reason": "", "pred": "a dog on a road " * 10},
        **{"keyframes": list(range(20)), "keyframe_seconds": [n * 0.533 for n in range(20)], "visual_tokens": 3680},
    }


def main() -> None:
    """Simulate, count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10, help="rows a job")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    jobs = [Job(n, chance.paretovariate(1.5)) for n in range(given.jobs)]
    deadly = frozenset(n for n in range(given.jobs) if chance.random() < 1e-4)
    workers = Answering(
        speeds=[chance.choice([0.2, 1.0]) for _ in range(given.workers)],
        nodes=[f"node{n // 8}" for n in range(given.workers)],
        deadly=deadly,
        lacking={"node0": frozenset(n for n in range(given.jobs) if chance.random() < 0.01)},
        mortal=[chance.choice([-1, -1, -1, 40]) for _ in range(given.workers)],
    )
    workers.rows_a_job = given.rows
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:

        def record(job: Job, rows: Sequence[Row], machine: Machine, beside: Mapping[str, Sequence[Row]]) -> None:
            journal.append(rows)

        def poisoned(job: Job, reason: str) -> Sequence[Row]:
            return [row(job.number, n, "failed") for n in range(given.rows)]

        start = time.perf_counter()
        Driver(workers, record, poisoned, lambda job, err: [], clock=lambda: workers.now).run(jobs)
        journal.sync()
        seconds = time.perf_counter() - start
        lines = [json.loads(line) for path in Path(folder).glob("*.jsonl") for line in path.open(encoding="utf-8")]
    keys = {line["key"] for line in lines}
    expected = given.jobs * given.rows
    failed = sum(line["status"] == "failed" for line in lines)
    print(f"{expected} rows of {given.jobs} jobs on {given.workers} workers in {seconds:.1f} s")
    print(f"{expected / seconds:.0f} rows and {given.jobs / seconds:.0f} jobs a second through driver and journal")
    print(
        f"lost {expected - len(keys)}, doubled {len(lines) - len(keys)}, failed {failed} of {len(deadly)} deadly jobs"
    )
    if len(keys) != expected or len(lines) != len(keys) or failed < len(deadly) * given.rows:
        raise SystemExit("rows are not what they should be")


if __name__ == "__main__":
    main()
