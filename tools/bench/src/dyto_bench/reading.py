"""Reading the sampled frames of a file, beside other libraries: CPU seconds and time, run by run.

Each library reads in a process of its own, which stays for all runs: libraries that bring their own FFmpeg do not meet,
and the CPU seconds of all threads are counted. This file is also the program of these processes.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from dyto_bench.tally import OURS, middle

Request = Mapping[str, Any]
"""The `path` of a file, the `numbers` of frames, ascending, and the `size` to resize them to: height and width."""


def measure(names: Sequence[str], request: Request, runs: int, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Let this library and others read the same frames, in turn.

    Args:
        names: Libraries of `READERS`; none for no measurement.
        request: What is read.
        runs: Measured runs of each, after one that warms up.
        progress: Told what is under way.

    Returns:
        For each library, JSON-ready: its `name` and why it is `missing`, or every run's `cpu` and `seconds`, their
        `figures`, and the `ratios` of both to this library, run by run.
    """
    if not names:
        return []
    with ExitStack() as stack:
        readers = {name: stack.enter_context(_Reader(name)) for name in dict.fromkeys((OURS, *names))}
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in readers}
        for number in range(-1, runs):
            for name, reader in readers.items():
                if number < 0 or "missing" not in found[name][0]:
                    progress(f"reading, run {max(number + 1, 0)} of {runs}: {name}")
                    found[name].append(reader.read(request))
    return [_record(name, found[name], found[OURS][1:]) for name in readers]


def _record(name: str, replies: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if "missing" in replies[0]:
        return {"name": name, "missing": replies[0]["missing"]}
    runs = {what: [run[what] for run in replies[1:]] for what in ("cpu", "seconds")}
    ratios = {
        what: middle([value / run[what] for value, run in zip(values, ours, strict=True)])
        for what, values in runs.items()
    }
    return {"name": name, **runs, "figures": {what: middle(values) for what, values in runs.items()}, "ratios": ratios}


class _Reader:
    """A process in which one library reads."""

    def __init__(self, name: str) -> None:
        self._name = name
        words = [sys.executable, "-m", __name__, name]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def read(self, request: Request) -> dict[str, Any]:
        """Return the CPU seconds and the time of one reading, or why the library is missing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            reply: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            return {"missing": f"its process ended with status {self._process.wait()}"}
        return reply


def _dyto(path: str, numbers: list[int], size: tuple[int, int]) -> Any:
    from dyto.video import sample_frames

    return sample_frames(path, numbers=numbers, size=size).data


def _pyav(path: str, numbers: list[int], size: tuple[int, int]) -> Any:
    import av
    import numpy as np

    wanted, (height, width) = set(numbers), size
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        frames = (frame for number, frame in enumerate(container.decode(stream)) if number in wanted)
        return np.stack([frame.to_ndarray(format="rgb24", width=width, height=height) for frame in frames])


def _decord(path: str, numbers: list[int], size: tuple[int, int]) -> Any:
    reader = importlib.import_module("decord").VideoReader(path, width=size[1], height=size[0])
    return reader.get_batch(numbers).asnumpy()


def _torchcodec(path: str, numbers: list[int], size: tuple[int, int]) -> Any:
    import torch

    frames = importlib.import_module("torchcodec.decoders").VideoDecoder(path).get_frames_at(numbers).data
    small = torch.nn.functional.interpolate(frames, size=size, mode="bicubic", antialias=True)
    return small.permute(0, 2, 3, 1).numpy()


def _opencv(path: str, numbers: list[int], size: tuple[int, int]) -> Any:
    import numpy as np

    cv2, wanted, pictures = importlib.import_module("cv2"), set(numbers), []
    video = cv2.VideoCapture(path)
    for number in range(numbers[-1] + 1):
        video.grab()
        if number in wanted:
            small = cv2.resize(video.retrieve()[1], size[::-1], interpolation=cv2.INTER_AREA)
            pictures.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    return np.stack(pictures)


READERS: dict[str, Callable[[str, list[int], tuple[int, int]], Any]] = {
    OURS: _dyto, "pyav": _pyav, "decord": _decord, "torchcodec": _torchcodec, "opencv": _opencv,
}  # fmt: skip
"""What reads, by name. Only this library and torchcodec resize as PIL does; the others resize in a cheaper way."""


def main() -> None:
    """Answer requests, one line each, with the library that the first argument names."""
    read = READERS[sys.argv[1]]
    for line in sys.stdin:
        request = json.loads(line)
        cpu, start = time.process_time(), time.perf_counter()
        try:
            pixels = read(request["path"], request["numbers"], tuple(request["size"]))
        except Exception as err:  # noqa: BLE001 - whatever another library raises, the others are measured
            reply: dict[str, Any] = {"missing": f"{type(err).__name__}: {err}".splitlines()[0]}
        else:
            reply = {"cpu": time.process_time() - cpu, "seconds": time.perf_counter() - start}
            expected = (len(request["numbers"]), *request["size"], 3)
            if tuple(pixels.shape) != expected:
                reply = {"missing": f"it read pixels {tuple(pixels.shape)}, expected {expected}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
