"""The line on the terminal while a model is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.status import Status

from dyto.cli.console import err
from dyto.models.loading.downloads import download_of
from dyto.models.loading.naming import usual_model
from dyto.models.ranking import chosen_for


class _LateStatus(Status):
    """A line that begins with its first update, if it was not begun before."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.start()
        super().update(*args, **kwargs)


@contextmanager
def loading_model(name: str | None, words: str = "loading the model") -> Iterator[Status]:
    """Say that a model is loaded; while it is downloaded, leave the terminal to the bars of huggingface_hub.

    Args:
        name: Name of the model; None for the usual one.
        words: What is said if nothing has to be downloaded.

    Yields:
        The line, which later stages update.
    """
    status = _LateStatus(words, console=err)
    missing = download_of(chosen_for(usual_model(name))[0])
    if missing:
        err.print(f"downloading the model: {missing}")
    else:
        status.start()
    try:
        yield status
    finally:
        status.stop()
