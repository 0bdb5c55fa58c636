"""Requests per CPU second of `dyto serve`: clients that ask together against one that asks one by one.

    python tools/bench/scripts/bench_serve.py

The service is a process of its own; its CPU seconds are those of that process, without the clients and without the
children that read videos. All sides ask the same questions about the same known video, in turns, several rounds. A
further line compares one request with `VideoQA.ask` in this process, for the same question and kept tokens.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

import dyto
from dyto.synthetic.videos import sample_video

QUESTIONS = [
    f"{ask} {color} {shape} ?"
    for ask in ("is there a", "how many times is there a")
    for color in ("red", "white", "blue", "green", "yellow")
    for shape in ("triangle", "ring")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=160, help="requests of each side in a round")
    parser.add_argument("--clients", default="1,8,32")
    options = parser.parse_args()
    sides = [int(one) for one in options.clients.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "sample.mp4")
        sample_video(video)
        with RunningService(Path(folder)) as service:
            measure(service, sides, options)
            compare(service, video, options)


class RunningService:
    """`dyto serve` as a process."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> RunningService:
        words = [sys.executable, "-m", "dyto", "serve", "--model", "tiny", "--strategy", "plus", "--port", "0"]
        self.process = subprocess.Popen(
            [*words, "--media-root", str(self._root), "--max-queue", "256"], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        found = re.search(r"http://\S+?/", self.process.stdout.readline())
        assert found, "the service did not start"
        self.client = httpx.Client(
            base_url=found[0], timeout=600, trust_env=False, limits=httpx.Limits(max_connections=64)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def ask(self, question: str) -> str:
        part = {"type": "video_url", "video_url": {"url": f"file://{self._root}/sample.mp4"}}
        content = [part, {"type": "text", "text": question}]
        body = {"model": "tiny", "messages": [{"role": "user", "content": content}]}
        response = self.client.post("/v1/chat/completions", json=body)
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"])

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(service: RunningService, sides: list[int], options: argparse.Namespace) -> None:
    wanted = [QUESTIONS[number % len(QUESTIONS)] for number in range(options.requests)]
    expected = [service.ask(question) for question in QUESTIONS] * (options.requests // len(QUESTIONS) + 1)
    rates: dict[int, list[float]] = {clients: [] for clients in sides}
    for _ in range(options.rounds):
        for clients in sides:
            begin = service.cpu_seconds
            with ThreadPoolExecutor(clients) as pool:
                answers = list(pool.map(service.ask, wanted))
            assert answers == expected[: len(wanted)], "answers differ from those one by one"
            rates[clients].append(len(wanted) / (service.cpu_seconds - begin))
    print(f"requests per CPU second of the server, one torch thread; medians of {options.rounds} rounds")
    print(f"{'clients':>8}  {'rate':>6}  against {sides[0]}")
    for clients, found in rates.items():
        ratios = [one / first for one, first in zip(found, rates[sides[0]], strict=True)]
        print(f"{clients:>8}  {statistics.median(found):>6.1f}  {statistics.median(ratios):.2f}")


def compare(service: RunningService, video: Path, options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    qa = dyto.VideoQA.from_pretrained("tiny", "plus")
    tokens = qa.encode(video)
    sides = {"VideoQA.ask": lambda question: qa.ask(tokens, question), "one request": service.ask}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.rounds):
        for name, side in sides.items():
            for question in QUESTIONS:
                begin = time.perf_counter()
                side(question)
                found[name].append(time.perf_counter() - begin)
    middle = {name: statistics.median(seconds) for name, seconds in found.items()}
    told = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in middle.items())
    print(f"a further question about a kept video: {told}, ratio {middle['one request'] / middle['VideoQA.ask']:.2f}")


if __name__ == "__main__":
    main()
