"""LLaVA-NeXT (LLaVA 1.6): CLIP tower with CLS, two-layer projector, Llama, Vicuna, Mistral or Yi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dyto.models.adapters.llava import Llava
from dyto.models.anyres import AnyresTower


class LlavaNext(AnyresTower, Llava):
    """A LLaVA-NeXT checkpoint in stock transformers.

    Frames are resized to the tower's square, one tile each, without newline tokens, as in the publication of DyTo.
    The summary of a frame is its CLS token after the projector.
    """

    crops = False
    towers: ClassVar[Mapping[str, bool]] = {"clip_vision_model": True}
