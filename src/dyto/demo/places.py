"""The folder of a server's files, which is removed at the end."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dyto.errors import ConfigError

PREFIX = "dyto-demo-"


def make_folder(prefix: str = PREFIX) -> Path:
    """Make a new folder for this process, and remove the leftovers of killed ones.

    Args:
        prefix: Beginning of the folder's name, by which leftovers are known.

    Returns:
        The folder, readable by nobody else.

    Raises:
        ConfigError: No folder can be made.
    """
    try:
        for old in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            owner = old.name.removeprefix(prefix).partition("-")[0]
            if owner.isdecimal() and _ours(old) and not _runs(int(owner)):
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
    except OSError as err:
        raise no_place(err) from err


def no_place(err: OSError) -> ConfigError:
    """Return the error for a server that cannot write its files."""
    return ConfigError(
        f"the server cannot write to the folder for temporary files ({err.strerror or err}): make room there, or name "
        f"another in TMPDIR"
    )


@contextmanager
def own_folder() -> Iterator[Path]:
    """Provide the folder of uploads, removed at the end; gradio uses it, and sends no analytics."""
    folder = make_folder()
    settings = {"GRADIO_TEMP_DIR": str(folder / "gradio"), "GRADIO_ANALYTICS_ENABLED": "False"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield folder
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def _ours(folder: Path) -> bool:
    """Return whether this is a real folder, not a link, that belongs to the current user."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())


def _runs(process: int) -> bool:
    if os.name == "nt":  # where asking in this way would interrupt it: what is left behind stays
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
