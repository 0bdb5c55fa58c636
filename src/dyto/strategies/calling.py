"""The one place where a strategy is called: whatever goes wrong in it is told as a `StrategyError`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyto.errors import DytoError, StrategyError
from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.strategies.base import Encode, Strategy
from dyto.video import Frames


def call_strategy(strategy: Strategy, frames: Frames, encode: Encode, question: str | None) -> VisualTokens:
    """Let anybody's strategy turn frames into tokens.

    Args:
        strategy: The strategy, ours or somebody's own.
        frames: The frames of a video.
        encode: The vision side of a model.
        question: The question, or None.

    Raises:
        StrategyError: It raised an error of its own, or gave what no model can take; the error names it.
        DytoError: What it says itself, such as a `ConfigError` about a budget that it cannot meet.
    """
    try:
        tokens: Any = strategy(frames, encode, question)
    except (DytoError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as err:  # code of others may call sys.exit, which is to end nothing but itself
        raise StrategyError(f"strategy {name_of(strategy)} failed: {type(err).__name__}: {err}") from err
    if not isinstance(tokens, VisualTokens):
        found = type(tokens).__name__
        raise StrategyError(f"strategy {name_of(strategy)} returned {found}, expected dyto.VisualTokens")
    if wrong := malformed(tokens):
        raise StrategyError(f"strategy {name_of(strategy)} returned VisualTokens with {wrong}")
    return tokens


def name_of(target: Any) -> str:
    """What a strategy calls itself, or the name of its class or function.

    Example:
        >>> from dyto.strategies import STRATEGIES
        >>> name_of(STRATEGIES["uniform"](token_budget=40))
        'uniform'
    """
    inner = target.func if isinstance(target, partial) else target
    name = getattr(inner, "name", None) or getattr(inner, "__qualname__", type(inner).__qualname__)
    return str(name)


def malformed(tokens: Any) -> str:
    """What in `VisualTokens` is not of the type that it says, so that nobody could look further; "" for nothing."""
    if not isinstance(tokens.data, Tensor):
        return f"data of type {type(tokens.data).__name__}, expected a torch.Tensor"
    for name, kind in (("keyframes", KeyFrames), ("sources", Sources)):
        part = getattr(tokens, name)
        if not isinstance(part, kind):
            return f"{name} of type {type(part).__name__}, expected {kind.__name__}"
        for field, column in vars(part).items():
            if not isinstance(column, np.ndarray):
                return f"{name}.{field} of type {type(column).__name__}, expected a numpy array"
    if not isinstance(tokens.keyframe, np.ndarray):
        return f"keyframe of type {type(tokens.keyframe).__name__}, expected a numpy array"
    for stage, seconds in tokens.stages.items():
        if not isinstance(seconds, (int, float)):
            return f"stages[{stage!r}] = {seconds!r}, expected seconds"
    try:
        replace(tokens)  # checks what was changed after it was made
    except (ValueError, DytoError) as err:
        return str(err)
    return ""
