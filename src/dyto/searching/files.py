"""The files that a search is about."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from dyto.errors import ConfigError
from dyto.memory.header import SUFFIX


def memory_files(given: Iterable[str | PathLike[str]]) -> list[Path]:
    """Find the memories that are meant.

    Args:
        given: Files, which are taken as they are, and folders, which stand for the files `*.dyto` in them and in the
            folders below.

    Returns:
        Each file once, in the order given; those of a folder by name.

    Raises:
        ConfigError: There are none.

    Example:
        >>> [path.name for path in memory_files(["b.dyto", "a.dyto", "./b.dyto"])]
        ['b.dyto', 'a.dyto']
    """
    named = [Path(one) for one in given]
    found: dict[Path, Path] = {}
    for one in named:
        for path in sorted(one.rglob(f"*{SUFFIX}")) if one.is_dir() else [one]:
            found.setdefault(path.absolute(), path)
    if not found:
        where = ", ".join(map(str, named)) or "nothing"
        raise ConfigError(
            f"found no memory in {where}, expected files *{SUFFIX}: make some with `dyto remember VIDEO --out FOLDER`"
        )
    return list(found.values())
