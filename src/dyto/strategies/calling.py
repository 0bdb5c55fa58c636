"""Guarded calls of strategies: every error inside a strategy becomes a `StrategyError`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyto._shapes import is_grid, is_whole
from dyto.errors import DytoError, StrategyError
from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.strategies.base import Encode, Strategy
from dyto.video import Frames


class BoundStrategy:
    """A strategy as the rest of the package uses it: its attributes are read once, and its calls are guarded.

    Args:
        strategy: The strategy: any callable that follows `Strategy`.

    Attributes:
        inner: The strategy itself.
        name: Its own name, or that of its class or function.
        uses_question: Whether its tokens depend on the question, so that each question needs its own encoding.
        needs: Keys of `dyto.strategies.NEEDS` that the model must offer.
        picks_keyframes: Whether its key frames as whole pictures can stand for its tokens.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.inner = strategy
        self.name = name_of(strategy)
        self.uses_question = bool(getattr(strategy, "uses_question", False))
        self.needs: tuple[str, ...] = tuple(getattr(strategy, "needs", ()))
        self.picks_keyframes = bool(getattr(strategy, "picks_keyframes", False))

    @cached_property
    def description(self) -> dict[str, Any]:
        """See `describe_strategy`."""
        return describe_strategy(self.inner)

    def question(self, question: str | None) -> str | None:
        """Return the question if the strategy reads it, otherwise None."""
        return question if self.uses_question else None

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Turn frames into tokens.

        Raises:
            StrategyError: The strategy raised an unexpected error or returned unusable tokens; the message names it.
            DytoError: The strategy's own error, such as a `ConfigError` about a budget that it cannot meet.
        """
        try:
            tokens: Any = self.inner(frames, encode, question)
        except (DytoError, torch.OutOfMemoryError):
            raise
        except (Exception, SystemExit) as err:  # foreign code may call sys.exit, which must not end the run
            raise StrategyError(f"strategy {self.name} failed: {type(err).__name__}: {err}") from err
        if not isinstance(tokens, VisualTokens):
            found = type(tokens).__name__
            raise StrategyError(f"strategy {self.name} returned {found}, expected dyto.VisualTokens")
        if wrong := malformed(tokens):
            raise StrategyError(f"strategy {self.name} returned VisualTokens with {wrong}")
        return tokens


def name_of(target: Any) -> str:
    """Return the strategy's own name, or the name of its class or function.

    Example:
        >>> from dyto.strategies import STRATEGIES
        >>> name_of(STRATEGIES["uniform"](token_budget=40))
        'uniform'
    """
    inner = target.func if isinstance(target, partial) else target
    name = getattr(inner, "name", None) or getattr(inner, "__qualname__", type(inner).__qualname__)
    return str(name)


def describe_strategy(strategy: object) -> dict[str, Any]:
    """Return a strategy's name and fields, JSON-ready; if it is not ours, also a hash of its file.

    Example:
        >>> from dyto.strategies import STRATEGIES
        >>> describe_strategy(STRATEGIES["uniform"](token_budget=99))["token_budget"]
        99
    """
    told: dict[str, Any] = {"name": name_of(strategy)}
    if dataclasses.is_dataclass(strategy) and not isinstance(strategy, type):
        told |= _plain(strategy)
    digest = _source_digest(strategy)
    return told if digest is None else told | {"source_sha256": digest}


def _plain(value: Any) -> Any:
    """Convert a value for JSON; for types that JSON lacks, such as a tensor, name the class."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value)) if isinstance(value, tuple) else list(map(_plain, value))
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _source_digest(target: Any) -> str | None:
    """Hash the file that defines a strategy; None for ours, which are known by the package's version."""
    inner = target.func if isinstance(target, partial) else target
    kind = inner if isinstance(inner, type) or inspect.isroutine(inner) else type(inner)
    if kind.__module__.partition(".")[0] == "dyto":
        return None
    try:
        path = inspect.getsourcefile(kind)
    except TypeError:
        path = None
    return sha256(Path(path).read_bytes()).hexdigest()[:16] if path and Path(path).is_file() else None


def malformed(tokens: Any) -> str:
    """Say which part of `VisualTokens` has the wrong form; "" for none."""
    if not isinstance(tokens.data, Tensor):
        return f"data of type {type(tokens.data).__name__}, expected a torch.Tensor"
    for name, kind in (("keyframes", KeyFrames), ("sources", Sources)):
        if not isinstance(getattr(tokens, name), kind):
            return f"{name} of type {type(getattr(tokens, name)).__name__}, expected {kind.__name__}"
    if fault := _fields(tokens) or _kinds(tokens):
        return fault
    try:
        replace(tokens)  # check again, because fields may have changed
    except (ValueError, DytoError) as err:
        return str(err)
    return _places(tokens)


def _fields(tokens: Any) -> str:
    """Say what is wrong with the fields that are not columns."""
    grid, budget, uncompressed = tokens.grid, tokens.budget, tokens.uncompressed
    if not is_grid(grid):
        return f"grid = {grid!r}, expected rows and columns of patches"
    if budget is not None and not is_whole(budget, 1):
        return f"budget = {budget!r}, expected a number of tokens, or None"
    if not is_whole(uncompressed, 0):
        return f"uncompressed = {uncompressed!r}, expected a number of tokens"
    if not isinstance(tokens.stages, Mapping):
        return f"stages = {tokens.stages!r}, expected seconds by name"
    for stage, seconds in tokens.stages.items():
        if not isinstance(stage, str) or not isinstance(seconds, (int, float)):
            return f"stages[{stage!r}] = {seconds!r}, expected seconds"
    if not isinstance(tokens.warnings, tuple) or not all(isinstance(warning, str) for warning in tokens.warnings):
        return f"warnings = {tokens.warnings!r}, expected a tuple of texts"
    if tokens.deep is not None and not isinstance(tokens.deep, Tensor):
        return f"deep of type {type(tokens.deep).__name__}, expected a torch.Tensor"
    return ""


def _kinds(tokens: Any) -> str:
    """Say which column of key frames and sources is not a row of numbers."""
    parts = {"keyframes": tokens.keyframes, "sources": tokens.sources}
    columns = {f"{name}.{field}": column for name, part in parts.items() for field, column in vars(part).items()}
    for name, column in {"keyframe": tokens.keyframe, **columns}.items():
        if not isinstance(column, np.ndarray):
            return f"{name} of type {type(column).__name__}, expected a numpy array"
        seconds = name == "keyframes.seconds"
        if column.ndim != 1 or column.dtype.kind not in ("fiu" if seconds else "iu") or not np.isfinite(column).all():
            expected = "finite" if seconds else "whole"
            return f"{name} of {column.dtype} and shape {column.shape}, expected one row of {expected} numbers"
    return ""


def _places(tokens: VisualTokens) -> str:
    """Say what is wrong with the sources: columns of unequal length, out of order, or out of range."""
    frames, sources = vars(tokens.keyframes), vars(tokens.sources)
    for name, columns in (("keyframes", frames), ("sources", sources)):
        lengths = {field: len(column) for field, column in columns.items()}
        if len(set(lengths.values())) > 1:
            return f"{name} of unequal lengths, {lengths}"
    most = {"token": len(tokens), "keyframe": len(tokens.keyframes), "patch": tokens.grid[0] * tokens.grid[1]}
    for name, count in most.items():
        column = sources[name]
        if len(column) and not 0 <= column.min() <= column.max() < count:
            return f"sources.{name} from {column.min()} to {column.max()}, expected 0 to {count - 1}"
    return "sources that are not sorted by token" if (np.diff(sources["token"]) < 0).any() else ""
