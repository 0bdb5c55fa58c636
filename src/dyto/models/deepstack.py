"""DeepStack: features of several tower layers for each token, for families that pass them to the language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens


def with_deep(tokens: VisualTokens, seen: Sequence[FrameFeatures]) -> VisualTokens:
    """Add DeepStack features to tokens, derived from their sources.

    This works for any strategy: the key frames are looked up among the frames that it encoded.

    Args:
        tokens: Tokens from a strategy.
        seen: Features of the frames that the strategy encoded, in order; none for a family without DeepStack.

    Returns:
        The tokens with `deep`; unchanged if they already have it or the family has none.

    Raises:
        ConfigError: The key frames were not encoded, or tokens have no patch.
    """
    if tokens.deep is not None or not seen:
        return tokens
    for features in reversed(seen):
        place = {int(number): position for position, number in enumerate(features.indices)}
        if features.grid == tokens.grid and all(int(number) in place for number in tokens.keyframes.indices):
            positions = np.array([place[int(number)] for number in tokens.keyframes.indices], np.int64)
            try:
                return replace(tokens, deep=features.deep_of(positions, tokens.sources, len(tokens)))
            except ValueError as err:
                raise ConfigError(f"this model needs the patches that each token stands for, but {err}") from err
    raise ConfigError(
        "this model needs the patches that each token stands for, but the strategy did not encode its key frames as "
        "frames: use another strategy, or let it set `VisualTokens.deep` with `FrameFeatures.deep_of`"
    )
