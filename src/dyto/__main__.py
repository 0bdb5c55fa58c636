"""`dyto` and `python -m dyto`: from here on an interrupt ends the process, with status 130 and no traceback."""

try:
    import os
    import signal
    import sys
except KeyboardInterrupt:
    raise SystemExit(130) from None


def main() -> None:
    """Run the command line."""
    start("dyto.cli", "main")


def start(module: str, function: str, *arguments: str) -> None:
    """Run a command as the process's only work, and leave with its exit status.

    Nothing of the command is imported before an interrupt is taken care of: importing takes seconds.

    Args:
        module: Where the command is.
        function: Its name; it returns the exit status.
        *arguments: What it takes.
    """
    signal.signal(signal.SIGINT, _leave)
    from importlib import import_module

    command = getattr(import_module(module), function)
    import_module("dyto.process").attend()
    try:
        status = command(*arguments)
    except KeyboardInterrupt:
        status = 130
    signal.signal(signal.SIGINT, _leave)  # while the interpreter tidies up
    sys.exit(status)


def _leave(number: int, frame: object) -> None:
    os.write(2, b"dyto: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
