"""Idefics3: SmolVLM's shape with Llama 3, read like its path for several images."""

from __future__ import annotations

from typing import ClassVar

from dyto.finch import FloatArray
from dyto.models.adapters.smolvlm import MARK, SmolVLM


class Idefics3(SmolVLM):
    """An Idefics3 checkpoint in stock transformers, read like its path for several images, without tiles.

    A frame's longer side becomes four times the tower's side, then the frame is squashed to the tower's square
    (Lanczos, twice). Tokens, summary and merging are the same as in SmolVLM; times are not written.
    """

    own_time_text: ClassVar[str] = ""

    first_sides = 4

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        texts = [f"{self.time_text.format(seconds=at)}{MARK}<global-img>" for at in seconds.tolist()]
        return [texts[0], *(MARK + text for text in texts[1:]), MARK]
