"""Entry point of `dyto` and `python -m dyto`; from here on, signals end the process cleanly (Ctrl-C: status 130)."""

try:
    import atexit
    import os
    import signal
    import sys
except KeyboardInterrupt:
    raise SystemExit(130) from None

SPINS = "10000"
"""How often an idle OpenMP thread looks for work before it sleeps: some 30 microseconds."""


def main() -> None:
    """Run the command line."""
    start("dyto.cli.app", "main")


def start(module: str, function: str, *arguments: str) -> None:
    """Run a command as the only work of this process, and exit with its status.

    The command is imported only after the signal handlers are set, because imports take seconds.

    Args:
        module: The module of the command.
        function: The name of the function, which returns the exit status.
        *arguments: Arguments of the function.
    """
    atexit.register(_ignore_signals)  # first registered, last called
    _let_idle_threads_sleep()
    _leave_at_signals()
    try:
        from importlib import import_module

        import_module("dyto.cli.clock")  # it starts with its import
        with import_module("dyto.cli.quick").quickly():
            command = getattr(import_module(module), function)
        status = import_module("dyto.cli.process").attend_to(command, *arguments)
        end = import_module("dyto.cli.ending").end
    except KeyboardInterrupt:
        status, end = 130, sys.exit
    _leave_at_signals()  # while the process ends
    end(status)


def _let_idle_threads_sleep() -> None:
    """Let idle OpenMP threads sleep soon, for other threads need their cores; it is read when torch is imported.

    They would spin for milliseconds. If they slept at once ("passive"), waking them would take longer than the small
    products of a language model: 150 instead of 60 ms for 16 tokens of `tiny`.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # GNU's
        os.environ.setdefault("KMP_BLOCKTIME", "0")  # LLVM's, in milliseconds


def _leave_at_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _ignore_signals() -> None:
    """Ignore signals once the status is final: Python would otherwise let them kill the exiting process."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    except ValueError:  # in another thread: the process is being killed
        pass


def _leave(number: int, frame: object) -> None:
    try:
        os.write(2, b"dyto: interrupted\n" if number == signal.SIGINT else b"dyto: terminated\n")
    finally:
        os._exit(128 + number)


if __name__ == "__main__":
    main()
