"""Strategies by name, with their budgets: ours, presets, and any callable in a module or a file."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from dyto.errors import ConfigError, unknown
from dyto.strategies import PRESETS, STRATEGIES, Strategy, build_strategy
from dyto.strategies.calling import describe_strategy as describe_strategy
from dyto.strategies.calling import name_of
from dyto.strategies.published import TARGETS, is_named

FOREIGN: list[str] = []
"""Modules and files of others that this process has imported for their strategies."""


def find_strategy(target: str) -> Any:
    """Find the strategy that a text names.

    Args:
        target: A name of `STRATEGIES`, alone or with options ("uniform-pool:pool=3"), a published name, a name of
            `PRESETS`, "package.module:callable" or "path/to/file.py:callable"; the part after the colon may have
            dots.

    Returns:
        The class of a named strategy; an object if there are options, or for a preset; otherwise what is found under
        that name.

    Raises:
        ConfigError: There is no such strategy, file, module or name, or it cannot be called.

    Example:
        >>> find_strategy("finest").partition
        'finest'
    """
    if target in STRATEGIES:
        return STRATEGIES[target]
    if target in PRESETS:
        return build_strategy("dyto", preset=target)
    if is_named(target):
        return build_strategy(target)
    place, colon, name = target.rpartition(":")
    if not (colon and place and name):
        raise unknown("strategy", target, TARGETS)
    found: Any = _module(place)
    for part in name.split("."):
        if not hasattr(found, part):
            raise unknown(f"name in {place}", name, _own(found))
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{target} is a {type(found).__name__}, expected a strategy: a callable, or a class of them")
    return found


def make_strategy(name: str, *, preset: str | None = None, token_budget: int | None = None, **fields: Any) -> Strategy:
    """Make a strategy as commands name it.

    Args:
        name: A name for `find_strategy`.
        preset: A preset of "dyto".
        token_budget: Largest number of visual tokens; None for the strategy's own choice.
        **fields: Further fields of one of ours.

    Raises:
        ConfigError: There is no such strategy or preset, they do not fit together, or the strategy takes no budget.

    Example:
        >>> make_strategy("finest", token_budget=1000).token_budget
        1000
    """
    if is_named(name):
        return build_strategy(name, preset=preset, token_budget=token_budget, **fields)
    if preset is not None:
        raise ConfigError(f"preset {preset!r} given with strategy {name!r}, but only 'dyto' has presets")
    if fields:
        raise ConfigError(f"{', '.join(fields)} given with strategy {name!r}: set the defaults of its fields instead")
    return with_budget(find_strategy(name), token_budget)


def make_second(name: str, token_budget: int | None) -> Strategy:
    """Make a strategy to show next to another: at the other's budget, unless it takes none.

    Example:
        >>> make_second("uniform", 1000).token_budget, make_second("concat", 1000)
        (1000, Concat())
    """
    return make_strategy(name, token_budget=token_budget if takes_budget(find_strategy(name)) else None)


def _own(place: Any) -> list[str]:
    """List the names in a module or class that could be strategies: its own, or all if it defines none."""
    names = [name for name, value in vars(place).items() if callable(value) and not name.startswith("_")]
    home = getattr(place, "__name__", None)
    return [name for name in names if getattr(vars(place)[name], "__module__", None) == home] or names


def _module(place: str) -> ModuleType:
    """Import a module by name, also from the working directory, or from a file."""
    FOREIGN.append(place)
    try:
        with _here():
            if place.endswith(".py"):
                return _module_of_file(Path(place))
            return importlib.import_module(place)
    except ModuleNotFoundError as err:
        raise ConfigError(
            f"{place} cannot be imported: no module named {err.name!r}; name an installed module, or a file as "
            "path/to/file.py:callable"
        ) from err
    except (ImportError, SyntaxError) as err:
        raise ConfigError(f"{place} cannot be imported: {err}; fix it and try again") from err


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}, expected the Python file of a strategy: check the path")
    name = f"dyto_target_{sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
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


def takes_budget(target: Any) -> bool:
    """Return whether `with_budget` can set the number of tokens of a strategy.

    Example:
        >>> takes_budget(STRATEGIES["uniform"]), takes_budget(STRATEGIES["concat"])
        (True, False)
    """
    return "token_budget" in _parameters(target) or hasattr(target, "token_budget")


def with_budget(target: Any, token_budget: int | None) -> Strategy:
    """Return a strategy with a budget.

    Args:
        target: A class that takes `token_budget`; an object with that attribute; a function that takes it
            in addition to frames, encode and question; or a strategy without that setting, if the budget is None.
        token_budget: Largest number of visual tokens; None for the strategy's own choice.

    Raises:
        ConfigError: The strategy takes no budget, or refuses this one.
    """
    if token_budget is not None and not takes_budget(target):
        raise ConfigError(
            f"strategy {name_of(target)} takes no token_budget, expected a field or an argument of that name: "
            "add one, or leave the strategy out"
        )
    given = {} if token_budget is None else {"token_budget": token_budget}
    if isinstance(target, type):
        return _made(target, given)
    strategy: object
    if not given:
        strategy = target
    elif dataclasses.is_dataclass(target) and not isinstance(target, type):
        strategy = dataclasses.replace(target, **given)
    elif hasattr(target, "token_budget"):
        strategy = copied = copy.copy(target)
        copied.token_budget = token_budget
    else:
        strategy = partial(target, token_budget=token_budget)
    return cast(Strategy, strategy)


def _made(kind: type[Any], given: dict[str, int]) -> Strategy:
    try:
        made: Strategy = kind(**given)
    except TypeError as err:
        raise ConfigError(f"{kind.__qualname__} cannot be made: {err}; give its other fields default values") from err
    if not callable(made):
        raise ConfigError(f"objects of {kind.__qualname__} cannot be called, expected a strategy: write its __call__")
    return made


def _parameters(target: Any) -> set[str]:
    if isinstance(target, type) and dataclasses.is_dataclass(target):
        return {field.name for field in dataclasses.fields(target) if field.init}
    try:
        return set(inspect.signature(target).parameters)
    except (TypeError, ValueError):  # some callables written in C have no signature
        return set()


def short_name(target: str) -> str:
    """Return the name of a strategy from `find_strategy` for use in a folder name.

    Example:
        >>> short_name("uniform-pool:pool=3"), short_name("lib/mine.py:Mine")
        ('uniform-pool:pool=3', 'Mine')
    """
    return target if is_named(target) else target.rpartition(":")[2]
