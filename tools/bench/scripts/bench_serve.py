"""Requests per CPU second of `dyto serve`: clients that ask together against one that asks one by one.

    python tools/bench/scripts/bench_serve.py

The service is a process of its own; its CPU seconds are those of that process, without the clients and without the
children that read videos. All sides ask the same questions about the same known video, in turns, several rounds. A
further line compares one request with `VideoQA.ask` in this process, for the same question and kept tokens.

    python tools/bench/scripts/bench_serve.py --transformers

asks `dyto serve` and `transformers serve` with the same weights 20 questions about one video, which is new in each
round, and counts the CPU seconds of all their processes, those of reading the video included. This family takes no
video in `transformers serve`, so pictures are sent with each question, and their number makes most of the work there:

    key     the key frames that ours chose: their choice, and the reading of the video, cost nothing there
    15      so many frames, evenly spread (any number)
    most    as many evenly spread frames as the context holds

`--pictures key,15,most` asks with all three in each round.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
    parser.add_argument("--pictures", default="key,15,most", help="what `transformers serve` gets: key, most, numbers")
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
        return str(self.completion(parts, question)["choices"][0]["message"]["content"])

    def completion(self, parts: list[dict[str, Any]], question: str) -> dict[str, Any]:
        response = self.client.post("/v1/chat/completions", json=self.asking(parts, question))
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    def asking(self, parts: list[dict[str, Any]], question: str) -> dict[str, Any]:
        content = [*parts, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}]
        return {"model": self.model, "messages": messages, "max_tokens": MOST_TOKENS, "temperature": 0}

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the process alone."""
        return cpu_seconds(self.process.pid)

    def clocks(self) -> dict[int, float]:
        """CPU seconds of each thread, to the nanosecond, as Linux counts them for its scheduler."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return {int(task.name): int((task / "schedstat").read_text().split()[0]) / 1e9 for task in tasks}

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
        return self.chat([self._video(name)], question)

    def body(self, question: str) -> str:
        return json.dumps(self.asking([self._video("sample.mp4")], question))

    def _video(self, name: str) -> dict[str, Any]:
        return {"type": "video_url", "video_url": {"url": f"file://{self._root}/{name}"}}


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
    sides = [int(one) for one in options.clients.split(",")]
    found: dict[tuple[str, int], list[float]] = {}
    qa = dyto.VideoQA.from_pretrained("tiny", "plus")
    frames = dyto.sample_frames(video, size=qa.model.image_size)
    tokens = qa.encode(frames)
    with RunningService(folder) as ours, StockServer(folder / "log") as stock:
        sent = pictures(frames, tokens, stock, qa.model.context_length, options.pictures.split(","))
        ours.ask(QUESTIONS[0])
        for parts in sent.values():
            stock.chat(parts, QUESTIONS[0])  # both have loaded the model and answered once
        for turn in range(options.rounds):
            for clients in sides:
                name = f"{turn}-{clients}.mp4"
                shutil.copyfile(video, folder / name)  # another file: nothing is kept of it
                asks: list[tuple[MeasuredServer, str, Callable[[str], str]]] = [
                    (ours, "dyto serve", partial(ours.ask, name=name)),
                    *((stock, side, partial(stock.chat, parts)) for side, parts in sent.items()),
                ]
                for server, side, ask in asks:
                    begin = server.all_cpu_seconds
                    with ThreadPoolExecutor(clients) as pool:
                        list(pool.map(ask, QUESTIONS))
                    spent = server.all_cpu_seconds - begin
                    found.setdefault((side, clients), []).append(len(QUESTIONS) / spent)
    print(
        f"requests per CPU second, one torch thread, {len(QUESTIONS)} questions about a new video of which dyto serve"
    )
    print(f"reads {len(frames)} frames and keeps {len(tokens)} tokens; medians of {options.rounds} rounds")
    for clients in sides:
        mine = found["dyto serve", clients]
        print(f"{clients:>3} clients: dyto serve {statistics.median(mine):.2f}")
        for side in sent:
            theirs = found[side, clients]
            ratio = statistics.median(one / other for one, other in zip(mine, theirs, strict=True))
            told = f"{statistics.median(theirs):.2f}, ratio {ratio:.1f} ({min(mine) / max(theirs):.1f} at least)"
            print(f"     transformers serve with {side}: {told}")


def pictures(
    frames: dyto.Frames, tokens: dyto.VisualTokens, stock: StockServer, context: int, wanted: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return pictures as parts of a message, each choice under a name that says what it is."""
    found: dict[str, list[dict[str, Any]]] = {}
    for what in wanted:
        if what == "key":
            positions, name = tokens.keyframes.positions.tolist(), "our key frames"
        else:
            count = most_pictures(frames, stock, context) if what == "most" else int(what)
            positions, name = uniform_indices(len(frames), count).tolist(), "evenly spread frames"
            name += ", all that its context holds" if what == "most" else ""
        found[f"{len(positions)} {name}"] = [part_of(frames, position) for position in positions]
    return found


def most_pictures(frames: dyto.Frames, stock: StockServer, context: int) -> int:
    """Return how many pictures, the longest question and an answer fit the context, by what the server counts."""
    longest = max(QUESTIONS, key=lambda question: len(question.split()))
    one, two = (
        int(stock.completion([part_of(frames, 0)] * count, longest)["usage"]["prompt_tokens"]) for count in (1, 2)
    )
    return (context - MOST_TOKENS - (2 * one - two)) // (two - one)


def part_of(frames: dyto.Frames, position: int) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(frames.data[position]).save(file, "PNG")
    return {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()},
    }


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
    """Print what a further question costs the server, and how long it takes a client that does little itself."""
    import torch

    torch.set_num_threads(1)
    qa = dyto.VideoQA.from_pretrained("tiny", "plus")
    tokens = qa.encode(video)
    address = service.client.base_url
    door = socket.create_connection((address.host, address.port or 80))
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(question: str) -> str:
        body = service.body(question).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        door.sendall(head.encode() + body)
        response = http.client.HTTPResponse(door)
        response.begin()
        return str(json.loads(response.read())["choices"][0]["message"]["content"])

    share_a_core(service.process.pid)

    def own(question: str) -> None:
        qa.ask(tokens, question, max_new_tokens=MOST_TOKENS)

    spent: dict[str, list[list[float]]] = {"elapsed": [[], []], "of CPU, the server alone": [[], []]}
    for turn in range(options.rounds + 2):
        for question in QUESTIONS:  # both in turns, so that a noisy minute slows both
            for number, (ask, clocks) in enumerate(((own, own_clock), (request, service.clocks))):
                before, begin = clocks(), time.perf_counter()
                ask(question)
                elapsed, after = time.perf_counter() - begin, clocks()
                used = sum(seconds - before.get(thread, 0) for thread, seconds in after.items())
                if turn > 1:  # the first two rounds warm up
                    for kind, seconds in zip(spent, (elapsed, used), strict=True):
                        spent[kind][number].append(1000 * seconds)
    door.close()
    for kind, (mine, served) in spent.items():
        ratio = statistics.median(b / a for a, b in zip(mine, served, strict=True))
        told = f"VideoQA.ask {statistics.median(mine):.1f} ms, one request {statistics.median(served):.1f} ms"
        print(f"a further question about a kept video ({kind}): {told}, ratio {ratio:.2f} (median of {len(mine)})")


def share_a_core(pid: int) -> None:
    """Let another process and this one, which take turns, run on one core: two may differ by half at one moment."""
    core = {min(os.sched_getaffinity(0))}
    for thread in (0, *(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())):
        os.sched_setaffinity(thread, core)


def own_clock() -> dict[int, float]:
    """CPU seconds of this process."""
    return {0: time.process_time()}


if __name__ == "__main__":
    main()
