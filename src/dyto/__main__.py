"""`dyto` and `python -m dyto`: from here on a signal ends the process in good order, Ctrl-C with status 130."""

try:
    import atexit
    import os
    import signal
    import sys
except KeyboardInterrupt:
    raise SystemExit(130) from None


def main() -> None:
    """Run the command line."""
    start("dyto.cli.app", "main")


def start(module: str, function: str, *arguments: str) -> None:
    """Run a command as the process's only work, and leave with its exit status.

    Nothing of the command is imported before an interrupt is taken care of: importing takes seconds.

    Args:
        module: Where the command is.
        function: Its name; it returns the exit status.
        *arguments: What it takes.
    """
    atexit.register(_ignore_signals)  # first registered, last called
    _leave_at_signals()
    try:
        from importlib import import_module

        command = getattr(import_module(module), function)
        status = import_module("dyto.cli.process").attend_to(command, *arguments)
    except KeyboardInterrupt:
        status = 130
    _leave_at_signals()  # while the interpreter tidies up
    sys.exit(status)


def _leave_at_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _ignore_signals() -> None:
    """The work is done and its status stands: from here Python would let a signal kill the process as it leaves."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    except ValueError:  # in another thread: the process is being ended by force
        pass


def _leave(number: int, frame: object) -> None:
    try:
        os.write(2, b"dyto: interrupted\n" if number == signal.SIGINT else b"dyto: terminated\n")
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
