"""Requests per CPU second of `dyto serve`: clients that ask together against one that asks one by one.

    python tools/bench/scripts/bench_serve.py

The service is a process of its own; its CPU seconds are those of that process, without the clients and without the
children that read videos. All sides ask the same questions about the same known video, in turns, several rounds. A
further line compares one request with `VideoQA.ask` in this process, for the same question and kept tokens.

    python tools/bench/scripts/bench_serve.py --transformers

asks `dyto serve` and `transformers serve` with the same weights 20 questions about one video, which is new in each
round, and counts the CPU seconds of all their processes, those of reading the video included. `transformers serve` gets
the key frames that ours chose as pictures, since this model takes no video there: it need not read or choose. With
`--pictures 15` it gets so many frames, evenly spread, instead: its CPU time depends on their number.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from typing_extensions import Self

import dyto
from dyto.synthetic.videos import sample_video
from dyto.video.sampling import uniform_indices

STOCK = "import sys; from transformers.cli.transformers import main; sys.argv = ['transformers', *sys.argv[1:]]; main()"
ALONE = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
MOST_TOKENS = 32

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
    parser.add_argument("--transformers", action="store_true", help="compare with `transformers serve`")
    parser.add_argument("--pictures", type=int, help="evenly spread frames for `transformers serve`, not key frames")
    options = parser.parse_args()
    sides = [int(one) for one in options.clients.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "sample.mp4")
        sample_video(video)
        if options.transformers:
            compare_servers(Path(folder), video, options)
            return
        with RunningService(Path(folder)) as service:
            measure(service, sides, options)
            compare(service, video, options)


class MeasuredServer:
    """A server in a process of its own, at an address."""

    def __init__(self, process: subprocess.Popen[str], address: str, model: str) -> None:
        self.process, self.model = process, model
        limits = httpx.Limits(max_connections=64)
        self.client = httpx.Client(base_url=address, timeout=600, trust_env=False, limits=limits)

    def chat(self, parts: list[dict[str, Any]], question: str) -> str:
        content = [*parts, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}]
        body = {"model": self.model, "messages": messages, "max_tokens": MOST_TOKENS, "temperature": 0}
        response = self.client.post("/v1/chat/completions", json=body)
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"])

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the process alone."""
        return cpu_seconds(self.process.pid)

    @property
    def all_cpu_seconds(self) -> float:
        """CPU seconds of the process and of its children that are alive."""
        task = Path(f"/proc/{self.process.pid}/task")
        children = {child for thread in task.iterdir() for child in (thread / "children").read_text().split()}
        return sum(cpu_seconds(int(child)) for child in children) + self.cpu_seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait()


class RunningService(MeasuredServer):
    """`dyto serve`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        words = [sys.executable, "-m", "dyto", "serve", "--model", "tiny", "--strategy", "plus", "--port", "0"]
        process = subprocess.Popen(
            [*words, "--media-root", str(root), "--max-queue", "256"], stdout=subprocess.PIPE, text=True, env=ALONE
        )
        assert process.stdout is not None
        found = re.search(r"http://\S+?/", process.stdout.readline())
        assert found, "the service did not start"
        super().__init__(process, found[0], "tiny")

    def ask(self, question: str, name: str = "sample.mp4") -> str:
        return self.chat([{"type": "video_url", "video_url": {"url": f"file://{self._root}/{name}"}}], question)


class StockServer(MeasuredServer):
    """`transformers serve` with the weights of `tiny`."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [sys.executable, "-c", STOCK, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        with log.open("w") as file:
            process = subprocess.Popen(words, stdout=file, stderr=file, text=True, env=ALONE)
        super().__init__(process, f"http://127.0.0.1:{port}/", str(files("dyto") / "checkpoints" / "tiny"))
        for _ in range(480):
            assert process.poll() is None, f"transformers serve does not start: {log.read_text()[-500:]}"
            try:
                self.client.get("/health")
                return
            except httpx.TransportError:
                time.sleep(0.5)
        raise AssertionError("transformers serve does not answer")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare_servers(folder: Path, video: Path, options: argparse.Namespace) -> None:
    """Print requests per CPU second of both servers."""
    parts, kept = pictures(video, options.pictures)
    sides = [int(one) for one in options.clients.split(",")]
    found: dict[tuple[str, int], list[float]] = {}
    with RunningService(folder) as ours, StockServer(folder / "log") as stock:
        ours.ask(QUESTIONS[0])
        stock.chat(parts, QUESTIONS[0])  # both have loaded the model and answered once
        for turn in range(options.rounds):
            for clients in sides:
                name = f"{turn}-{clients}.mp4"
                shutil.copyfile(video, folder / name)  # another file: nothing is kept of it
                asks: list[tuple[MeasuredServer, str, Callable[[str], str]]] = [
                    (ours, "dyto serve", partial(ours.ask, name=name)),
                    (stock, "transformers serve", partial(stock.chat, parts)),
                ]
                for server, side, ask in asks:
                    begin = server.all_cpu_seconds
                    with ThreadPoolExecutor(clients) as pool:
                        list(pool.map(ask, QUESTIONS))
                    spent = server.all_cpu_seconds - begin
                    found.setdefault((side, clients), []).append(len(QUESTIONS) / spent)
    print(
        f"requests per CPU second, one torch thread, {len(QUESTIONS)} questions about a new video: {len(kept)} visual"
    )
    print(f"tokens here, {len(parts)} frames as pictures there; medians of {options.rounds} rounds")
    for clients in sides:
        ours_, theirs = found["dyto serve", clients], found["transformers serve", clients]
        ratio = statistics.median(one / other for one, other in zip(ours_, theirs, strict=True))
        told = f"dyto serve {statistics.median(ours_):.2f}, transformers serve {statistics.median(theirs):.2f}"
        print(f"{clients:>3} clients: {told}, ratio {ratio:.1f} ({min(ours_) / max(theirs):.1f} at least)")


def pictures(video: Path, count: int | None) -> tuple[list[dict[str, Any]], dyto.VisualTokens]:
    """Return the key frames of the strategy, or evenly spread frames, as parts of a message; and what ours reads."""
    qa = dyto.VideoQA.from_pretrained("tiny", "plus")
    frames = dyto.sample_frames(video, size=qa.model.image_size)
    tokens = qa.encode(frames)
    parts: list[dict[str, Any]] = []
    for position in uniform_indices(len(frames), count) if count else tokens.keyframes.positions:
        file = io.BytesIO()
        Image.fromarray(frames.data[int(position)]).save(file, "PNG")
        url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts, tokens


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
    sides: list[tuple[str, Callable[[str], object], Callable[[], float]]] = [
        ("VideoQA.ask", lambda q: qa.ask(tokens, q), time.process_time),
        ("one request", service.ask, lambda: service.cpu_seconds),
    ]
    for _, ask, _ in sides:
        ask(QUESTIONS[0])
    walls: dict[str, list[float]] = {name: [] for name, _, _ in sides}
    spent: dict[str, list[float]] = {name: [] for name, _, _ in sides}
    for _ in range(options.rounds):
        for name, ask, clock in sides:
            before = clock()
            for question in QUESTIONS:
                begin = time.perf_counter()
                ask(question)
                walls[name].append(time.perf_counter() - begin)
            spent[name].append((clock() - before) / len(QUESTIONS))
    for kind, found in (("elapsed", walls), ("of CPU, server alone", spent)):
        own, request = (statistics.median(found[name]) for name, _, _ in sides)
        told = f"VideoQA.ask {1000 * own:.1f} ms, one request {1000 * request:.1f} ms, ratio {request / own:.2f}"
        print(f"a further question about a kept video ({kind}): {told}")


if __name__ == "__main__":
    main()
