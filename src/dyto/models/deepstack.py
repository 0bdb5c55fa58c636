"""DeepStack: what several layers of a tower saw of each token, for families that hand it to their language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens


def with_deep(tokens: VisualTokens, seen: Sequence[FrameFeatures]) -> VisualTokens:
    """Give tokens their DeepStack features, by where they come from.

    Any strategy's tokens can be given them: their key frames are looked up among the frames that it encoded.

    Args:
        tokens: What a strategy made.
        seen: The features of the frames that it was given, in the order in which it asked for them; none of a family
            without DeepStack.

    Returns:
        The tokens with `deep`; as they are where they have it already or the family has none.

    Raises:
        ConfigError: The key frames are not among those encoded, or tokens come from no patch.
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
        "frames: take another strategy, or set `VisualTokens.deep` in it with `FrameFeatures.deep_of`"
    )
