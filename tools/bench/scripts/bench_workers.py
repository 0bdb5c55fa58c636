"""How much sooner two workers are done than one, once they have started.

    python bench_workers.py [--videos 60] [--questions 10] [--rounds 3] [--unbound]

Each worker is a process with one thread and one decoder, bound to a core of its own (unless --unbound). One worker and
two take turns, and must give the same rows. Seconds count from the moment when every worker is ready to the last row;
the videos that a worker did while the other was still starting are not counted.
"""

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from dyto.batch.questions import ask_each
from dyto.batch.settings import BatchSettings
from dyto.evaluation.runner import ClipWork, clips
from dyto.models.loading.options import Loading
from dyto.savings import Savings
from dyto.scaling.driver import Driver
from dyto.scaling.jobs import Job
from dyto.scaling.processes import Processes
from dyto.synthetic.videos import sample_video


def bound(settings, taken, device):
    """The work of a worker on the first core that no other has taken; `taken` is a folder, None to leave it unbound."""
    cores = sorted(os.sched_getaffinity(0)) if taken else []
    for core in cores:
        try:
            (taken / str(core)).touch(exist_ok=False)
        except FileExistsError:
            continue
        os.sched_setaffinity(0, {core})
        break
    return ClipWork.loaded(settings, device)


def timed(settings, samples, workers, taken):
    """Videos a second, and the rows."""
    found, times, ready = {}, [], []

    def record(job, rows, machine, beside):
        found[job.number] = rows
        times.append(time.perf_counter())

    def refused(job, err):
        raise err

    def poisoned(job, why):
        raise SystemExit(f"a worker died: {why}")

    def began(event, first):
        ready.append(time.perf_counter())

    jobs = [Job(number, 1.0, about) for number, about in samples]
    Driver(Processes(partial(bound, settings, taken), ["cpu"] * workers), record, poisoned, refused, began).run(jobs)
    start = max(ready)
    counted = sum(at > start for at in times)
    return counted / (times[-1] - start), counted, [found[number] for number in sorted(found)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("videos", 60), ("questions", 10), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--unbound", action="store_true", help="leave it to the system where each worker runs")
    options = parser.parse_args()
    torch.set_num_threads(1)  # and so has every worker
    rates = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(options.videos):
            sample_video(folder / f"v{number}.mp4", seed=number)
        asked = [f"what is shape {number} ?" for number in range(options.questions)]
        samples = clips(ask_each(str(folder / "*.mp4"), asked).questions)
        settings = BatchSettings(loading=Loading("tiny", device="cpu"), savings=Savings(parallel=False, overlap=False))
        first = None
        for number in range(options.rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                taken = None if options.unbound else folder / f"taken-{number}-{workers}"
                if taken:
                    taken.mkdir()
                rate, counted, rows = timed(settings, samples, workers, taken)
                first = first or rows
                assert rows == first, "one worker and two do not answer alike"
                rates[workers].append(rate)
                print(f"round {number + 1}, {workers} workers: {rate:.2f} videos a second, {counted} videos counted")
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    cores = len(os.sched_getaffinity(0))
    print(f"{options.videos} videos of {options.questions} questions, {cores} cores, load {os.getloadavg()[0]:.1f}")
    print(f"two workers: {statistics.median(ratios):.2f} times the videos a second of one, median of {options.rounds}")


if __name__ == "__main__":
    main()
