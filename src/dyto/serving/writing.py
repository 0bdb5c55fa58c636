"""From tokens to text, piece by piece, up to a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import TextStreamer

from dyto.models.stock import Tokenizer


class Writer(TextStreamer):  # type: ignore[misc]
    """A stock streamer of one row, which holds back what might begin a stop text.

    Args:
        tokenizer: The model's tokenizer.
        stops: Texts before which the answer ends.
        tell: Called with each piece of text.
        skip: Letters that were told before, and are not told again.

    Attributes:
        stopped: Whether a stop text has come.
        told: Number of letters told so far, with those that were skipped.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], tell: Callable[[str], None], skip: int = 0) -> None:
        super().__init__(tokenizer, skip_special_tokens=True)
        self._stops, self._tell, self._skip = tuple(stops), tell, skip
        self._held = ""
        self.stopped = False
        self.told = 0

    def token(self, token: int) -> None:
        """Take one more token."""
        if not self.stopped:
            self.put(torch.tensor([token]))

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Tell what can no longer be part of a stop text; called by the stock streamer."""
        if self.stopped:
            return
        self._held += text
        ready = cut_before(self._held, self._stops)
        self.stopped = len(ready) < len(self._held)
        if not self.stopped and not stream_end:
            ready = ready[: len(ready) - self._open(ready)]
        self._held = self._held[len(ready) :]
        fresh = ready[max(0, self._skip - self.told) :]
        self.told += len(ready)
        if fresh:
            self._tell(fresh)

    def _open(self, text: str) -> int:
        """Return how many letters at the end of a text might begin a stop text."""
        most = len(text) + 1
        lengths = [n for stop in self._stops for n in range(1, min(most, len(stop))) if text.endswith(stop[:n])]
        return max(lengths, default=0)


def cut_before(text: str, stops: Sequence[str]) -> str:
    """Cut a text before the first of some stop texts.

    Example:
        >>> cut_before("a red ring. It moves.", [".", "moves"])
        'a red ring'
    """
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]
