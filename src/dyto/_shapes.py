"""Checks of the shapes and numbers of features and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import BadFeaturesError, ConfigError


@contextmanager
def usable_features() -> Iterator[None]:
    """Blame the model for features that the mathematics inside the block refuses.

    Raises:
        BadFeaturesError: The features hold NaN or infinity, or their shapes do not fit together.
    """
    try:
        yield
    except ConfigError:
        raise
    except ValueError as err:
        raise BadFeaturesError(
            f"the vision tower gave unusable features: {err}; try another dtype, or another copy of the checkpoint"
        ) from err


def numbers_of(values: Any, name: str) -> Tensor:
    """Return a tensor or array as a floating point tensor."""
    try:
        found = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as err:
        raise BadFeaturesError(f"{name} is a {type(values).__name__} ({err}), expected a tensor or an array") from err
    if not found.is_floating_point():
        raise BadFeaturesError(f"{name} has dtype {found.dtype}, expected floating point numbers: convert them")
    return found


def per_frame(values: Any, name: str, dtype: Any, count: int) -> npt.NDArray[Any]:
    """Check that there is one number per frame, and return them as an array."""
    try:
        found = np.asarray(values, dtype)
    except (TypeError, ValueError) as err:
        raise BadFeaturesError(f"{name} is {values!r:.80} ({err}), expected {count} numbers") from err
    if found.shape != (count,):
        raise BadFeaturesError(f"{name} has shape {found.shape}, expected ({count},)")
    return found


def is_whole(number: Any, least: int) -> bool:
    """Return whether a value is an integer and at least `least`."""
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool) and bool(number >= least)


def is_grid(value: Any) -> bool:
    """Return whether a value is a grid: rows and columns of the patches of a frame."""
    return isinstance(value, tuple) and len(value) == 2 and all(is_whole(side, 1) for side in value)
