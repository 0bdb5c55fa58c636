"""The final check of a shortened prompt, where the language model reads it: no word of the user may be missing.

It is independent of how prompts are shortened: it compares the original text with the text that is read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dyto.dropin.captions import Captions, is_caption, shape_of
from dyto.errors import ModelError

FARTHEST = 64
"""Number of tokens before or after a picture that may be marks or a caption."""


@dataclass(frozen=True)
class Guard:
    """A comparison of texts.

    Attributes:
        captions: Reader of captions; without a tokenizer only marks and the ids in `between` may be missing.
        between: Ids between the frames of one video.
    """

    captions: Captions
    between: frozenset[int] = frozenset()

    def check(self, asked: Sequence[Sequence[int]], read: Sequence[Sequence[int]]) -> None:
        """Check that the text read is the text of the prompt, in the same order.

        Only marks and spaces next to a picture, and the caption of a frame, may be missing or repeated.

        Args:
            asked: Ids of one row as passed: the text before the first picture, before the second, ..., after the last.
            read: The same texts as the language model reads them.

        Raises:
            ModelError: Words are missing, added or moved.
        """
        shapes = self.captions.shapes(asked[1:-1])
        wanted, found = self._words(asked, shapes), self._words(read, shapes)
        if wanted == found:
            return
        pairs = enumerate(zip(wanted, found, strict=False))
        place = next((at for at, (one, other) in pairs if one != other), min(len(wanted), len(found)))
        raise ModelError(
            f"{len(wanted)} tokens of text were asked and {len(found)} would reach the model, expected the same: they "
            f"differ from token {place} on ({self._show(wanted[place : place + 8])} was asked, "
            f"{self._show(found[place : place + 8])} would be read). This is a mistake of dyto: please report it, and "
            "ask outside the block"
        )

    def _words(self, texts: Sequence[Sequence[int]], shapes: frozenset[str]) -> list[int]:
        """Return all texts without the parts that may be missing."""
        words: list[int] = []
        for number, text in enumerate(texts):
            first, last = number == 0, number == len(texts) - 1
            some = range(min(FARTHEST, len(text)), 0, -1)  # longest first
            stop = 0 if last else next((n for n in some if self._is_loose(text[-n:], shapes)), 0)
            rest = text[: len(text) - stop]
            some = range(min(FARTHEST, len(rest)), 0, -1)
            start = 0 if first else next((n for n in some if self._is_loose(rest[:n], frozenset())), 0)
            words += rest[start:]
        return words

    def _is_loose(self, ids: Sequence[int], shapes: frozenset[str]) -> bool:
        """Return whether ids are only marks and spaces, or a caption of one of these shapes."""
        text = self.captions.text(ids)
        if text is None:
            return all(number in self.between or number in self.captions.marks for number in ids)
        return not text or (is_caption(text) and shape_of(text) in shapes)

    def _show(self, ids: list[int]) -> str:
        tokenizer = self.captions.tokenizer()
        return str(ids) if tokenizer is None else repr(tokenizer.decode(ids))


@contextmanager
def watching(language_model: Any, embed: Any, ids: Tensor, text: Tensor) -> Iterator[None]:
    """Check while the language model reads a prompt that its embeddings belong to the compared text.

    Args:
        language_model: The module that receives `inputs_embeds`.
        embed: Function that embeds ids.
        ids: (B, n) all ids to read.
        text: (B, n) bool, where they are text, not padding.

    Raises:
        ModelError: The model reads other text, less, or more.
    """
    thread, done = threading.get_ident(), False

    def look(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        nonlocal done
        embeds = kwargs.get("inputs_embeds")
        if done or embeds is None or threading.get_ident() != thread:
            return
        done = True
        times = len(embeds) // len(ids)  # beams
        if embeds.shape[:2] != (len(ids) * times, ids.shape[1]):
            raise _elsewhere(f"{tuple(embeds.shape[:2])} places are read, expected {tuple(ids.shape)}")
        for copy in embeds.view(len(ids), times, *embeds.shape[1:]).unbind(1):
            expected = embed(ids[text])  # (n, D)
            found = copy[text.to(copy.device)]
            if not torch.equal(found, expected.to(found)) and not bool(expected.isnan().any()):
                raise _elsewhere("other text is read than was asked")

    unseen = torch.compiler.disable(look)  # type: ignore[no-untyped-call]
    handle = language_model.register_forward_pre_hook(unseen, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
    if not done:
        raise _elsewhere("the prompt was not read")


def _elsewhere(what: str) -> ModelError:
    return ModelError(f"{what}: this version of transformers is not known well enough; ask outside the block")
