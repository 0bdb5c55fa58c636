"""The one interface of all strategies, and what they share."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy.typing as npt

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens

if TYPE_CHECKING:
    import numpy as np

    from dyto.video import Frames

REFERENCE_PATCHES = 576
"""Patches per frame of CLIP-L/336, for which the published budgets are stated."""


class Encode(Protocol):
    """The vision side of a model, as a strategy is given it."""

    def __call__(
        self, images: Frames | Sequence[npt.NDArray[np.uint8]], *, attention_layer: int | None = None
    ) -> FrameFeatures:
        """Encode frames, or any uint8 (H, W, 3) pictures composed of them."""
        ...


class Strategy(Protocol):
    """Turns the frames of a video into the tokens that a language model reads.

    Any callable of this shape is a strategy; it needs no registration. Two optional attributes are looked at:
    `uses_question` (True if the tokens depend on the question, so that each question needs an encoding of its
    own) and `name`.
    """

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode what is needed of the frames and return at most the budgeted number of tokens."""
        ...


def resolve_budget(token_budget: int | None, reference: int, num_patches: int) -> int:
    """The number of tokens allowed for a tower.

    Args:
        token_budget: What was asked for; None for the published budget scaled to the tower.
        reference: The published budget, stated for 576 patches per frame.
        num_patches: Patches per frame of this tower.

    Returns:
        `token_budget`, or round(reference / 576 * num_patches), at least 1.

    Raises:
        ConfigError: A budget below 1, or no whole number.

    Example:
        >>> resolve_budget(None, 3680, 576), resolve_budget(None, 3680, 36), resolve_budget(99, 3680, 36)
        (3680, 230, 99)
    """
    if token_budget is None:
        return max(1, round(reference / REFERENCE_PATCHES * num_patches))
    try:
        budget = operator.index(token_budget)
    except TypeError as err:
        raise ConfigError(f"token budget {token_budget!r}, expected a whole number: round it") from err
    if budget < 1:
        raise ConfigError(f"token budget {budget}, expected at least 1: every video needs a token")
    return budget
