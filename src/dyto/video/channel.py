"""Communication between two processes about frames: messages over a socket, and pixels in shared memory."""

from __future__ import annotations

import importlib.util
import json
import math
import mmap
import os
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 24
"""Largest message, in bytes."""

SEALED = 0x1 | 0x2 | 0x4  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW: the size of shared pixels is fixed
ADD_SEALS, GET_SEALS = 1033, 1034  # constants of fcntl that Python names only on some systems


def _is_available() -> bool:
    parts = (importlib.util.find_spec(name) for name in ("fcntl", "resource"))  # which the reader imports
    return hasattr(os, "memfd_create") and hasattr(socket, "send_fds") and all(parts)


AVAILABLE = _is_available()
"""Whether this system has what it takes. (Linux has.)"""


class Channel:
    """A channel for messages over a socket: a length, then JSON, with at most one file descriptor.

    Attributes:
        end: The socket.
        ended: Whether the other end is known to be gone.
    """

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.ended = False

    def send(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        """Send a message."""
        text = json.dumps(message).encode()
        head = len(text).to_bytes(4, "big")
        if descriptor is None:
            self.end.sendall(head)
        else:
            socket.send_fds(self.end, [head], [descriptor])
        self.end.sendall(text)

    def receive(self, wait: Callable[[], None] = lambda: None) -> tuple[dict[str, Any], int | None]:
        """Wait for a message.

        Args:
            wait: Called before each piece of the message; returns when there is something to read.

        Raises:
            EOFError: The other end is gone, or sent an invalid message.
        """
        wait()
        head, found, _, _ = socket.recv_fds(self.end, 4, 1)
        self.ended = not head
        try:
            while 0 < len(head) < 4:
                wait()
                head += self._some(4 - len(head))
            length = int.from_bytes(head, "big")
            if not head or length > MOST_BYTES:
                raise EOFError
            text = bytearray()
            while len(text) < length:
                wait()
                text += self._some(length - len(text))
            message = json.loads(text)
            if not isinstance(message, dict):
                raise EOFError
        except BaseException as err:
            for descriptor in found:
                os.close(descriptor)
            if isinstance(err, (ValueError, RecursionError)):
                raise EOFError from err
            raise
        return message, found[0] if found else None

    def _some(self, count: int) -> bytes:
        part = self.end.recv(count)
        self.ended = not part
        if not part:
            raise EOFError
        return part


def mapped(file: int | None, shape: list[int], most: int) -> NDArray[np.uint8]:
    """Map the pixels in a file of shared memory, copy-on-write.

    Args:
        file: Descriptor of the file.
        shape: Shape of the pixels.
        most: Largest number of bytes; a sparse file could claim any size.

    Raises:
        EOFError: The file does not hold such pixels.
    """
    import fcntl  # not every system has it

    if file is None:
        raise EOFError
    try:
        size = math.prod(shape)
        if size > most or min(shape, default=0) < 1:
            raise EOFError
        if fcntl.fcntl(file, GET_SEALS) & SEALED != SEALED or not 0 < size <= os.fstat(file).st_size:
            raise EOFError
        return np.frombuffer(mmap.mmap(file, size, access=mmap.ACCESS_COPY), np.uint8).reshape(shape)
    finally:
        os.close(file)
