"""The clock of a command, which counts what is imported, too."""

import time

_began = time.perf_counter()


def restart() -> None:
    """Begin again, for a command that is not the first in its process."""
    global _began
    _began = time.perf_counter()


def since_start() -> float:
    """Return the seconds since the command began."""
    return time.perf_counter() - _began
