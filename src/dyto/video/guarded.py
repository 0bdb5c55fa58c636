"""Reading videos in a child process with a deadline and a memory limit.

A hostile file may hang a decoder, fill the memory or crash the process. Here that costs one request: the child is
ended, the error says why, and the next video gets a new child. A child stays alive for the next video, so its startup
is paid once; frames come back in shared memory, without a copy.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import logging
import math
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyto import errors
from dyto.errors import DytoError, VideoError
from dyto.savings import Savings
from dyto.system.children import deaf_children
from dyto.video.allowance import Allowance, resident
from dyto.video.channel import AVAILABLE, Channel, mapped
from dyto.video.limits import Limits

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""Seconds allowed for starting a new child; they do not count as reading."""

MEMORY = 4 << 30
"""Memory limit of a child, in bytes."""

LOOK_SECONDS = 0.05
"""Seconds between checks of a working child's memory."""

LAST_SECONDS = 1.0
"""Seconds for a child to exit after it has closed its end of the channel."""

MOST_IDLE = 4
"""Largest number of idle children."""

MOST_PIECES = 100
"""Largest number of pieces in which a child tells what it found."""

Receive = Callable[[], "tuple[dict[str, Any], int | None]"]

_children: set[_Child] = set()
"""All living children, working or idle."""


class _Child:
    """A process that reads one video after another."""

    reader = "dyto.video.reader"

    def __init__(self, memory: int) -> None:
        here, there = socket.socketpair()
        gone, self._lifeline = os.pipe()
        self.memory = memory
        words = [sys.executable, "-m", self.reader, str(there.fileno()), str(gone), str(memory)]
        # Fewer threads need less stack memory. The child must also find this package where the parent did.
        few = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "4"}
        paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        try:
            with deaf_children():
                self._process = subprocess.Popen(
                    words, pass_fds=(there.fileno(), gone), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, env=os.environ | few | {"PYTHONPATH": paths},
                )  # fmt: skip
        finally:
            there.close()
            os.close(gone)
        here.settimeout(LAST_SECONDS)  # a child that sends but does not read must not block us
        self._channel = Channel(here)
        self._begun = False
        self._ending = threading.Lock()  # whoever reads from it and whoever ends all may come at once
        _children.add(self)

    @property
    def alive(self) -> bool:
        """Whether the child can take a request."""
        return self._process.poll() is None

    def end(self) -> int | None:
        """End the child now.

        Returns:
            Its exit status, if it had already ended by itself.
        """
        _children.discard(self)
        with self._ending:
            try:
                status = self._process.wait(LAST_SECONDS if self._channel.ended else 0)
            except subprocess.TimeoutExpired:
                status = None
                self._process.kill()
                self._process.wait()
            self._channel.end.close()
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1
        return status

    def read(self, path: str, options: dict[str, Any]) -> tuple[dict[str, Any], list[NDArray[np.uint8]]]:
        """Read a video in the child.

        Returns:
            The description of the frames, their pixels, and the pixels of the preview if there is one.

        Raises:
            DytoError: The child reports an error about the video, or the child died; then it is not alive.
            OSError: The system gives no shared memory.
        """
        size = options.pop("size", None)
        options |= {} if callable(size) else {"size": size}

        def heard(message: dict[str, Any], file: int | None, receive: Receive) -> Any:
            if "size_of" in message:
                height, width = message["size_of"]
                self._channel.send({"size": size(int(height), int(width))})
                return None
            described = _checked(message["frames"])
            pixels = [mapped(file, described["shape"], self.memory)]
            if described["preview"]:
                pixels.append(mapped(receive()[1], described["preview"], self.memory))
            return described, pixels

        found: tuple[dict[str, Any], list[NDArray[np.uint8]]]
        found = self._request(path, {"options": options, "asks_size": callable(size)}, heard)
        return found

    def tell(self, path: str, function: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        """Let the child call a function with a file, and return what that yields.

        Raises:
            DytoError: As for `read`.
        """
        found: list[dict[str, Any]] = []

        def heard(message: dict[str, Any], file: int | None, receive: Receive) -> Any:
            if "done" in message:
                return found
            if len(found) >= MOST_PIECES or not isinstance(message["piece"], dict):
                raise ValueError("a function tells too much")
            found.append(message["piece"])
            return None

        self._request(path, {"options": options, "function": function}, heard)
        return found

    def _request(self, path: str, request: dict[str, Any], heard: Callable[..., Any]) -> Any:
        """Send a request about a file, and hear messages until one of them is the end.

        Args:
            path: The file.
            request: The request.
            heard: Called with each message, its file and a function that receives another one; returns None until the
                last.
        """
        longest = 3600 * request["options"]["limits"]["hours"]
        watch = Allowance(self._process.pid, path, self.memory, longest, 0 if self._begun else START_SECONDS)
        receive = functools.partial(self._receive, watch)
        found = None
        try:
            # This process may have changed its folder since the child started, so the path must be absolute.
            whole = os.path.abspath(path)
            self._channel.send({"path": whole, **request})
            while found is None:
                message, file = receive()
                if "begun" in message and not self._begun:
                    self._begun = True
                    watch.begin()
                elif "lasts" in message:
                    watch.allow(float(message["lasts"]))
                elif "error" in message:
                    failed = _error_said(message, whole, path)
                    break
                else:
                    found = heard(message, file, receive)
            else:
                return found
        except DytoError:  # from the watch, or from the function that was asked for a size
            self.end()
            raise
        except (EOFError, OSError, LookupError, TypeError, ValueError, OverflowError) as err:
            raise watch.died(self.end()) from err
        except BaseException:  # also interrupts: nobody reads what the child would still send
            self.end()
            raise
        if isinstance(refused := message.get("refused"), int):
            raise OSError(refused, os.strerror(refused))
        raise failed

    def _receive(self, watch: Allowance) -> tuple[dict[str, Any], int | None]:
        def wait() -> None:
            watch.check()  # also stops a child that sends without end
            while not select.select([self._channel.end], [], [], LOOK_SECONDS)[0]:
                watch.check()

        return self._channel.receive(wait)


def _checked(said: Any) -> dict[str, Any]:
    """Check a child's description of frames; a malicious file may have taken over the child."""
    lists: dict[str, Any] = {
        "shape": int,
        "preview": int,
        "indices": int,
        "seconds": (int, float),
        "source_size": int,
        "warnings": str,
    }
    sizes = {"shape": 4, "preview": 4, "source_size": 2}
    for name, kind in lists.items():
        value = [] if name == "preview" and said[name] is None else said[name]
        if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
            raise ValueError(f"{name} is not a list of {kind}")
        if value and len(value) != sizes.get(name, len(value)):
            raise ValueError(f"{name} has {len(value)} numbers")
    count = said["shape"][0]
    if not count == len(said["indices"]) == len(said["seconds"]) or said["shape"][3] != 3 or not said["source_size"]:
        raise ValueError("the parts do not fit together")
    if said["preview"] and (said["preview"][0], said["preview"][3]) != (count, 3):
        raise ValueError("the preview does not fit")
    if not isinstance(said["total"], int) or not all(map(math.isfinite, said["seconds"])):
        raise ValueError("a number is none")
    found: dict[str, Any] = said
    return found


def _error_said(message: dict[str, Any], whole: str, path: str) -> DytoError:
    """Rebuild the error that a child reported."""
    kind, words = getattr(errors, str(message["error"]), None), str(message["message"]).replace(whole, path)
    known = isinstance(kind, type) and issubclass(kind, DytoError) and kind is not errors.MissingExtraError
    failed: DytoError = kind(words) if known and kind is not None else VideoError(words)
    return failed


def can_guard() -> bool:
    """Return whether videos can be read in a child process here; if not, say so once."""
    if not AVAILABLE:
        _say_unguarded()
    return AVAILABLE


@functools.cache
def _say_unguarded() -> None:
    logger.warning("videos are read unguarded on this system: one that hangs or crashes the decoder ends the program")


def read_guarded(
    path: str,
    options: dict[str, Any],
) -> tuple[dict[str, Any], list[NDArray[np.uint8]]]:
    """Read a video in a child process, as `dyto.sample_frames` does with `guarded`.

    Args:
        path: The video.
        options: The options of `dyto.sample_frames`; `limits` and `savings` as objects.

    Returns:
        The attributes of the frames without their pixels, and the pixels.

    Raises:
        VideoError: As for `dyto.sample_frames`; or reading took too long, took too much memory, or crashed.
        OSError: The system cannot start a process or give shared memory.
    """
    limits: Limits = options.pop("limits")
    savings: Savings = dataclasses.replace(options.pop("savings"), overlap=False)
    plain = {**options, "limits": dataclasses.asdict(limits), "savings": dataclasses.asdict(savings)}
    child = _pool.take()
    try:
        return child.read(str(path), plain)
    finally:
        _pool.give(child)


def told_guarded(path: str, function: str, limits: Limits, **options: Any) -> list[dict[str, Any]]:
    """Call a function that reads a file in a child process, and return what it yields.

    Args:
        path: The file.
        function: Module and name of a generator function of this package, as in "dyto.subtitles.passing:pieces". It is
            called with the path, `limits` and the options, and yields what JSON can hold.
        limits: Limits on the file.
        **options: Options of the function, as JSON can hold them.

    Raises:
        VideoError: As from the function; or it took too long, took too much memory, or crashed.
        OSError: The system cannot start a process.
    """
    child = _pool.take()
    try:
        return child.tell(path, function, {**options, "limits": dataclasses.asdict(limits)})
    finally:
        _pool.give(child)


class _Pool:
    """The idle children, which wait for the next video."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._lock = threading.Lock()

    def take(self) -> _Child:
        """Return an idle child, or a new one."""
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                child.end()
        return _Child(MEMORY)

    def give(self, child: _Child) -> None:
        """Keep a child for the next video, or end it if it is not needed."""
        with self._lock:
            if child.alive and len(self._idle) < MOST_IDLE and resident(child._process.pid) < child.memory // 4:
                self._idle.append(child)
                return
        child.end()


def end_readers() -> None:
    """End all children, working or idle; whoever waits for one gets an error."""
    for child in list(_children):
        child.end()


_pool = _Pool()
atexit.register(end_readers)
