"""The end of a command's process: normal exit, error, signal, or a closed pipe."""

from __future__ import annotations

import atexit
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from dyto.cli.console import err
from dyto.errors import ConfigError, DytoError
from dyto.inspecting.harmless import harmless

PATIENCE = 1.0
"""Seconds that a stopped command has for cleanup. Then the process ends, even if something hangs."""

HURRY_SECONDS = 0.5
"""Seconds that the shutdown of a server may take after its files are deleted."""

LAST_SECONDS = 0.3
"""Seconds for functions registered with `atexit` when the process is ended by force."""


class Terminated(BaseException):
    """SIGTERM as an exception; a `SystemExit` inside a strategy would count as the strategy's own."""


def attend_to(command: Callable[..., int], *arguments: str) -> int:
    """Run a command as the only work of this process, and handle signals.

    Returns:
        The exit status; 143 after SIGTERM.
    """
    try:
        _attend()
        return command(*arguments)
    except Terminated:
        return 128 + signal.SIGTERM


def _attend() -> None:
    """Handle signals and missing standard streams while a command runs.

    SIGINT becomes `KeyboardInterrupt` and SIGTERM `Terminated`, so that a command can clean up. After `PATIENCE`
    seconds, or at a second signal, the process ends by force, even while foreign code hangs in the main thread.
    """
    _fill_streams()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    # Python runs handlers only in the main thread, and not while it waits for foreign code; this thread can act.
    bell, ear = socket.socketpair()
    bell.setblocking(False)
    signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(bell, ear), name="dyto-signals", daemon=True).start()
    ignored = sys.unraisablehook
    sys.unraisablehook = lambda told: None if told.exc_type in (KeyboardInterrupt, Terminated) else ignored(told)


def report_errors(command: Callable[[], Any], debug: bool) -> int:
    """Run a command; an error becomes one line on stderr and an exit code.

    Args:
        command: The command to run.
        debug: Let errors through with their tracebacks, and show the library's log.

    Returns:
        0 for success, 2 for wrong usage, 130 after Ctrl-C, 143 after SIGTERM, 1 for other errors.
    """
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")
    else:
        # We report the important part in one line ourselves. The variables affect a library that is not imported yet.
        for library, variable in (("transformers", "TRANSFORMERS_VERBOSITY"), ("huggingface_hub", "HF_HUB_VERBOSITY")):
            os.environ.setdefault(variable, "critical")
            logging.getLogger(library).setLevel(logging.CRITICAL)
    if sys.stdout is None:
        err.print("dyto: standard output is closed, expected an open one: redirect it to a file", style="red")
        return 1
    try:
        code = exit_code(command)
        sys.stdout.flush()  # flush here, so that a full disk or a closed pipe is noticed in time
        return code
    except KeyboardInterrupt:
        err.print("dyto: interrupted")
        return 128 + signal.SIGINT
    except Terminated:
        err.print("dyto: terminated")
        return 128 + signal.SIGTERM
    except DytoError as error:
        if debug:
            raise
        err.print(f"dyto: {harmless(' '.join(str(error).splitlines()))}", style="red")
        return 2 if isinstance(error, ConfigError) else 1
    except (_OutputError, BrokenPipeError) as error:
        _divert_stdout()
        err.print(f"dyto: standard output cannot be written to ({_reason(error)}): some output is lost", style="red")
        return 1
    except Exception as error:
        if debug:
            raise
        said = harmless(" ".join(str(error).split()))
        err.print(f"dyto: unexpected {type(error).__name__}: {said} (run again with --debug to see where)", style="red")
        return 1


def exit_code(command: Callable[[], Any]) -> int:
    """Run a command to its end, and return its exit code."""
    try:
        command()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


class _OutputError(Exception):
    """Error for standard output that cannot be written."""


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    return "the pipe is closed" if isinstance(cause, BrokenPipeError) else getattr(cause, "strerror", "") or str(cause)


def _divert_stdout() -> None:
    """Discard the remaining output, so that nothing complains at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _interrupt(number: int, frame: object) -> None:
    _at_signal(number)
    raise KeyboardInterrupt


def _terminate(number: int, frame: object) -> None:
    _at_signal(number)
    raise Terminated


def _at_signal(number: int) -> None:
    """Let the next signal end the process, or this one if an exception would not come through.

    While torch is imported, its C++ code calls Python, and an exception from there ends the process with SIGABRT.
    """
    spec = getattr(sys.modules.get("torch"), "__spec__", None)
    if getattr(spec, "_initializing", False):
        _end(number)
    _next_one_ends(number)


def _next_one_ends(number: int) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: _end(number))


def _watch(bell: socket.socket, ear: socket.socket) -> None:
    while number := ear.recv(1)[0]:
        if number in (signal.SIGINT, signal.SIGTERM):
            time.sleep(PATIENCE)
            _end(number)


def _end(number: int) -> None:
    """End the process by force, as a signal would, with its children."""
    for child in multiprocessing.active_children():
        child.kill()
    last = threading.Thread(target=atexit._run_exitfuncs, daemon=True)
    last.start()
    last.join(LAST_SECONDS)
    show_cursor = b"\x1b[?25h" if os.isatty(2) else b""
    with contextlib.suppress(OSError):
        os.write(2, show_cursor + (b"dyto: interrupted\n" if number == signal.SIGINT else b"dyto: terminated\n"))
    os._exit(128 + number)


def _fill_streams() -> None:
    """Fill in closed standard streams, so that no other file takes their numbers, and mark errors of writing."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open takes the lowest free number
    if sys.stdout is not None:
        sys.stdout = _Stream(sys.stdout, needed=True)
    if sys.stderr is not None:
        sys.stderr = _Stream(sys.stderr, needed=False)


class _Stream:
    """A standard stream that reports failed writes or, if it is not needed, ignores them."""

    def __init__(self, stream: TextIO, *, needed: bool) -> None:
        self._stream, self._needed = stream, needed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        with self._told():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._told():
            self._stream.flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._needed:
                raise _OutputError from error


def hurry(status: int) -> None:
    """End the process soon, even if a decoder, a model or another library holds it up.

    Args:
        status: Exit status.
    """
    # Not a daemon thread: the interpreter waits for it at exit, and it cuts the rest of the exit short.
    threading.Timer(HURRY_SECONDS, _leave, (status,)).start()


def _leave(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
