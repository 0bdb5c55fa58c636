"""Objects that a text names: "package.module:name" or "path/to/file.py:name". Naming one runs its module or file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from dyto.errors import ConfigError, unknown

FOREIGN: list[str] = []
"""Modules and files of others that this process has imported."""


def find_object(target: str, kind: str, known: Iterable[str], fits: Callable[[Any], bool]) -> Any:
    """Find the object that a text names, in a module (also of the working directory) or in a file.

    Args:
        target: "package.module:name" or "path/to/file.py:name"; the part after the colon may have dots.
        kind: What is looked for ("strategy"), for messages.
        known: Names without a colon that are known, for messages.
        fits: Function that says whether an object is of that kind, for messages.

    Returns:
        The object, of whatever type it is.

    Raises:
        ConfigError: The text has another form, or there is no such file, module or name.

    Example:
        >>> find_object("math:pi", "number", ["one"], lambda value: isinstance(value, float))
        3.141592653589793
    """
    place, colon, name = target.rpartition(":")
    if not (colon and place and name):
        raise unknown(kind, target, [*known, "MODULE:NAME", "FILE.py:NAME"])
    found: Any = _module(place, kind)
    for part in name.split("."):
        if not hasattr(found, part):
            raise unknown(f"name in {place}", name, _own(found, fits))
        found = getattr(found, part)
    return found


def _own(place: Any, fits: Callable[[Any], bool]) -> list[str]:
    """List the names in a module or class that fit: its own, or all if it defines none."""
    names = [name for name, value in vars(place).items() if fits(value) and not name.startswith("_")]
    home = getattr(place, "__name__", None)
    return [name for name in names if getattr(vars(place)[name], "__module__", home) == home] or names


def _module(place: str, kind: str) -> ModuleType:
    """Import a module by name, also from the working directory, or from a file."""
    FOREIGN.append(place)
    try:
        with _here():
            return _module_of_file(Path(place), kind) if place.endswith(".py") else importlib.import_module(place)
    except ModuleNotFoundError as err:
        raise ConfigError(
            f"{place} cannot be imported: no module named {err.name!r}; name an installed module, or a file as "
            "path/to/file.py:NAME"
        ) from err
    except (ImportError, SyntaxError) as err:
        raise ConfigError(f"{place} cannot be imported: {err}; fix it and try again") from err


def _module_of_file(path: Path, kind: str) -> ModuleType:
    """Run a file as a module, or return the module if the same content of the file has run already."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}, expected the Python file of a {kind}: check the path")
    content = sha256(str(path.resolve()).encode() + b"\0" + path.read_bytes()).hexdigest()
    name = f"dyto_target_{content[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _here() -> Iterator[None]:
    """Put the working directory on the module path, as `python -m` does."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")
