"""How the process of a command ends: by its own end, an error, a signal, or a reader who has left."""

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

PATIENCE = 1.0
"""Seconds in which a command that is stopped may tidy up. Then the process ends, whatever hangs."""

LAST_SECONDS = 0.3
"""Seconds that functions registered with `atexit` have where the process is ended by force."""


class Terminated(BaseException):
    """SIGTERM has come. This is no `SystemExit`, which raised within a strategy would be taken for the strategy's."""


def attend_to(command: Callable[..., int], *arguments: str) -> int:
    """Run a command as the process's only work, with care for signals.

    Returns:
        Its exit status; 143 where SIGTERM ended it.
    """
    try:
        _attend()
        return command(*arguments)
    except Terminated:
        return 128 + signal.SIGTERM


def _attend() -> None:
    """Take care of what may happen to the process while a command runs: signals, and missing standard streams.

    SIGINT becomes `KeyboardInterrupt` and SIGTERM `Terminated`, so that a command can tidy up; after `PATIENCE`
    seconds, or at a second signal, the process ends by force, even while foreign code hangs in the main thread.
    """
    _fill_streams()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    # Python runs handlers in the main thread only, and not while that waits for foreign code; this does not wait.
    bell, ear = socket.socketpair()
    bell.setblocking(False)
    signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(bell, ear), name="dyto-signals", daemon=True).start()
    ignored = sys.unraisablehook
    sys.unraisablehook = lambda told: None if told.exc_type in (KeyboardInterrupt, Terminated) else ignored(told)


def report_errors(command: Callable[[], Any], debug: bool) -> int:
    """Run a command; what goes wrong becomes one line on stderr and an exit code.

    Args:
        command: What to run.
        debug: Let errors through, with their tracebacks, and show the library's log.

    Returns:
        0, 2 for a mistake of usage, 130 for an interruption, 143 for a termination, 1 otherwise.
    """
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")
    else:
        # What matters of it is told in one line. The variables speak to a library that is not imported yet.
        for library, variable in (("transformers", "TRANSFORMERS_VERBOSITY"), ("huggingface_hub", "HF_HUB_VERBOSITY")):
            os.environ.setdefault(variable, "critical")
            logging.getLogger(library).setLevel(logging.CRITICAL)
    if sys.stdout is None:
        err.print("dyto: standard output is closed, expected a place to write to: send it to a file", style="red")
        return 1
    try:
        code = exit_code(command)
        sys.stdout.flush()  # here, so that a full disk or a reader who has left is noticed in time
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
        err.print(f"dyto: {' '.join(str(error).splitlines())}", style="red")
        return 2 if isinstance(error, ConfigError) else 1
    except (_OutputError, BrokenPipeError) as error:
        _divert_stdout()
        err.print(f"dyto: standard output cannot be written to ({_reason(error)}): a part of it is lost", style="red")
        return 1
    except Exception as error:
        if debug:
            raise
        said = " ".join(str(error).split())
        err.print(f"dyto: unexpected {type(error).__name__}: {said} (run again with --debug to see where)", style="red")
        return 1


def exit_code(command: Callable[[], Any]) -> int:
    """Run a command to its end: 0, or the code that it leaves with."""
    try:
        command()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


class _OutputError(Exception):
    """What is written to standard output cannot get out."""


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    return "its reader has left" if isinstance(cause, BrokenPipeError) else getattr(cause, "strerror", "") or str(cause)


def _divert_stdout() -> None:
    """Let what is still to be written go nowhere, so that nothing complains at the very end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _interrupt(number: int, frame: object) -> None:
    _next_one_ends(number)
    raise KeyboardInterrupt


def _terminate(number: int, frame: object) -> None:
    _next_one_ends(number)
    raise Terminated


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
    """Let nothing else take the number of a standard stream that is closed, and tell errors of writing apart."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is not None:
        sys.stdout = _Stream(sys.stdout, needed=True)
    if sys.stderr is not None:
        sys.stderr = _Stream(sys.stderr, needed=False)


class _Stream:
    """A standard stream that says when it cannot be written to or, where it is not needed, goes on without."""

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
        """Hand on what was written."""
        with self._told():
            self._stream.flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._needed:
                raise _OutputError from error
