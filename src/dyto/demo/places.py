"""Where the files of the demo lie while it runs, and that nothing stays of them."""

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


def make_folder() -> Path:
    """A fresh folder for this process; those that killed demos left behind are removed.

    Returns:
        The folder, readable by nobody else.

    Raises:
        ConfigError: There is no place for one.
    """
    try:
        for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            owner = old.name.removeprefix(PREFIX).partition("-")[0]
            if owner.isdecimal() and _ours(old) and not _runs(int(owner)):
                shutil.rmtree(old, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    except OSError as err:
        raise no_place(err) from err


def no_place(err: OSError) -> ConfigError:
    """The error of a demo that cannot write its files."""
    return ConfigError(
        f"the demo cannot write to the folder for temporary files ({err.strerror or err}): make room there, or name "
        f"another in TMPDIR"
    )


@contextmanager
def own_folder() -> Iterator[Path]:
    """The place of uploads, removed at the end; gradio is told of it, and to tell nobody of us."""
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
    """Whether this is a folder, no link to one, and of the person who runs this."""
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
