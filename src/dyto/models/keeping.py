"""The prefix of the video asked about last, kept for the next question."""

from __future__ import annotations

import torch
from torch import Tensor

from dyto.features import VisualTokens
from dyto.models.base import Prefix, VideoModel


class KeptPrefix:
    """Reads a video into the language model unless it was the last one read, with the same text before it.

    Args:
        model: Whose prefixes these are.
    """

    def __init__(self, model: VideoModel) -> None:
        self._model = model
        self._kept: tuple[VisualTokens, Tensor, Prefix] | None = None

    def of(self, tokens: VisualTokens, before: Tensor, scaled: bool) -> Prefix:
        """The prefix of a video.

        Args:
            tokens: The video; known again by its identity.
            before: (P,) token ids of the text before it.
            scaled: As `VideoModel.check_fit` says.
        """
        kept = self._kept
        if kept is None or kept[0] is not tokens or kept[2].scaled != scaled or not torch.equal(kept[1], before):
            self._kept = None  # free the old one before the new one is made
            self._kept = kept = (tokens, before, self._model.prefill(before, tokens.data, scaled=scaled))
        return kept[2]

    def forget(self) -> None:
        """Free the kept prefix."""
        self._kept = None
