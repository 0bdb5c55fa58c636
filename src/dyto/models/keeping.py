"""The prefix of the video asked about last, kept for the next question."""

from __future__ import annotations

import torch
from torch import Tensor

from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.prefix import Prefix


class KeptPrefix:
    """Reads a video into the language model unless it was the last one read, with the same text before it.

    Args:
        model: Whose prefixes these are.
        keep: Whether they are kept at all.
    """

    def __init__(self, model: VideoModel, keep: bool = True) -> None:
        self._model, self._keep = model, keep
        self._kept: tuple[VisualTokens, Tensor, str, Prefix] | None = None

    def of(self, tokens: VisualTokens, before: Tensor, scaled: bool) -> Prefix:
        """The prefix of a video.

        Args:
            tokens: The video; known again by its identity.
            before: (P,) token ids of the text before it.
            scaled: As `VideoModel.check_fit` says.
        """
        if self._kept is None or not self._is(self._kept, tokens, before, scaled):
            self._kept = None  # free the old one before the new one is made
            prefix = self._model.prefill(before, tokens, scaled=scaled)
            if not self._keep:
                return prefix
            self._kept = (tokens, before, self._model.time_text, prefix)
        return self._kept[3]

    def _is(
        self, kept: tuple[VisualTokens, Tensor, str, Prefix], tokens: VisualTokens, before: Tensor, scaled: bool
    ) -> bool:
        video, text, times, prefix = kept
        same = video is tokens and prefix.scaled == scaled and times == self._model.time_text
        return same and torch.equal(text, before)

    def forget(self) -> None:
        """Free the kept prefix."""
        self._kept = None
