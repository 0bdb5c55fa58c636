"""The child process that reads for `dyto.video.guarded`: one video after another, until its parent is gone.

It imports neither torch nor transformers. It takes JSON requests over a socket and answers in JSON; the pixels are in
a shared memory file, whose descriptor is sent along.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import resource
import socket
import sys
import threading
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dyto.errors import DytoError
from dyto.savings import Savings
from dyto.video import sampling as _sampling
from dyto.video.channel import ADD_SEALS, SEALED, Channel
from dyto.video.frames import Frames, sample_frames
from dyto.video.limits import Limits


class _Shared:
    """Arrays in memory that can be passed to another process without a copy.

    Attributes:
        refused: Why the system refused such memory, if it did; the video is not at fault.
    """

    def __init__(self) -> None:
        self.refused: OSError | None = None
        self._files: list[tuple[int, NDArray[np.uint8]]] = []

    def empty(self, shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[np.uint8]:
        """Make an array like `np.empty`, in its own file."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        try:
            file = os.memfd_create("dyto", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        except OSError as err:
            self.refused = err
            raise MemoryError from err
        try:
            self._extend(file, max(size, 1))
            array = np.frombuffer(mmap.mmap(file, max(size, 1)), dtype)[: size // np.dtype(dtype).itemsize]
        except (OSError, ValueError) as err:
            os.close(file)
            raise MemoryError from err
        self._files.append((file, array.reshape(shape)))
        return self._files[-1][1]

    def _extend(self, file: int, size: int) -> None:
        try:
            os.ftruncate(file, size)
        except OSError as err:
            self.refused = err
            raise

    def file_of(self, array: NDArray[np.uint8]) -> int:
        """Return the file that holds an array; an array in ordinary memory is copied into one."""
        file = next((file for file, there in self._files if there is array), None)
        if file is None:
            self.empty(array.shape)[...] = array
            file, _ = self._files[-1]
        fcntl.fcntl(file, ADD_SEALS, SEALED)
        return file

    def clear(self) -> None:
        """Free all the memory."""
        for file, _ in self._files:
            os.close(file)
        self._files.clear()
        self.refused = None


def main() -> None:
    """Answer requests on the socket whose number is the first argument."""
    number, lifeline, memory = (int(word) for word in sys.argv[1:4])
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 256)):
        _, hardest = resource.getrlimit(what)
        least = most if hardest == resource.RLIM_INFINITY else min(most, hardest)  # the hard limit may not be raised
        resource.setrlimit(what, (least, least))
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    channel, shared = Channel(socket.socket(fileno=number)), _Shared()
    _sampling.empty = shared.empty  # frames are decoded directly into shared memory
    _TellingLimits.channel = channel
    channel.send({"begun": True})
    while True:
        try:
            request, _ = channel.receive()
        except EOFError:
            return
        _answer(channel, shared, request)
        shared.clear()


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)  # nothing is ever written to it: this returns when the parent is gone
    os._exit(0)


class _TellingLimits(Limits):
    """Limits that report the duration of a video as soon as it is known."""

    channel: ClassVar[Channel]

    def check_duration(self, name: str, seconds: float) -> None:
        """Override `Limits.check_duration`: also report the duration."""
        self.channel.send({"lasts": seconds})
        super().check_duration(name, seconds)


def _answer(channel: Channel, shared: _Shared, request: dict[str, Any]) -> None:
    asking, known = threading.Lock(), dict[tuple[int, int], tuple[int, int]]()

    def size_of(height: int, width: int) -> tuple[int, int]:
        with asking:  # several decoders may check at the same time
            if (height, width) not in known:
                channel.send({"size_of": [height, width]})
                known[height, width] = tuple(channel.receive()[0]["size"])
            return known[height, width]

    path, options = request["path"], request["options"]
    options["limits"] = _TellingLimits(**options["limits"])
    try:
        if "function" in request:
            module, _, name = request["function"].partition(":")
            for piece in getattr(import_module(module), name)(path, **options):
                channel.send({"piece": piece})
            channel.send({"done": True})
            return
        options["savings"] = Savings(**options["savings"])
        if request["asks_size"]:
            options["size"] = size_of
        if os.path.isdir(path):
            channel.send({"lasts": len(os.listdir(path)) / options.get("source_fps", 1.0)})
        frames = sample_frames(path, **options)
        files = [shared.file_of(part) for part in (frames.data, frames.preview) if part is not None]
    except Exception as err:  # noqa: BLE001 - any error costs only this request
        said = str(err) if isinstance(err, DytoError) else f"{os.path.basename(path)} cannot be read: {_named(err)}"
        kind = type(err).__name__ if isinstance(err, DytoError) else "VideoError"
        refused = shared.refused.errno if shared.refused else None
        channel.send({"error": kind, "message": said, "refused": refused})
    else:
        channel.send({"frames": _described(frames)}, files[0])
        for file in files[1:]:
            channel.send({}, file)


def _named(err: Exception) -> str:
    return f"{type(err).__name__}: {err}"


def _described(frames: Frames) -> dict[str, Any]:
    return {
        "shape": frames.data.shape,
        "indices": frames.indices.tolist(),
        "seconds": frames.seconds.tolist(),
        "source_size": frames.source_size,
        "total": frames.total,
        "warnings": frames.warnings,
        "preview": None if frames.preview is None else frames.preview.shape,
    }


if __name__ == "__main__":
    main()
