"""The prefix of the last video, kept for the next question."""

from __future__ import annotations

import torch
from torch import Tensor

from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.generation.prefix import Prefix


class KeptPrefix:
    """A cache of the last prefix, which avoids reading the same video with the same text twice in a row.

    Args:
        model: The model of the prefixes.
        keep: Whether to keep prefixes at all.
    """

    def __init__(self, model: VideoModel, keep: bool = True) -> None:
        self._model, self._keep = model, keep
        self._kept: tuple[VisualTokens, Tensor, str, Prefix] | None = None

    def of(self, tokens: VisualTokens, before: Tensor, scaled: bool) -> Prefix:
        """Return the prefix of a video.

        Args:
            tokens: The video, compared by identity.
            before: (P,) token ids of the text before the video.
            scaled: As returned by `VideoModel.check_fit`.
        """
        if self._kept is None or not self._is(self._kept, tokens, before, scaled):
            self._kept = None  # free the old prefix before making the new one
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
