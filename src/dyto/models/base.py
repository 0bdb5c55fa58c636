"""What every model family offers to the pipeline.

A family implements the vision side (`encode`) and says where its parts are; `LanguageSide` and `Generates` do the
rest. Most have a tower that takes frames of one size: see `dyto.models.towers.FrameTower`.
"""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.models.compiling import CompiledBlocks, can_compile, spread_out
from dyto.models.generating import Generates
from dyto.models.language import Encoded
from dyto.models.pixels import Pictures
from dyto.models.prefix import Prefix
from dyto.models.tokenizing import token_ids
from dyto.video import FrameSize

if TYPE_CHECKING:
    from dyto.video import Frames

__all__ = ["Encoded", "Prefix", "VideoModel"]

FORMER_NAMES = {
    "_attend": "attend",
    "_causal_lm": "causal_lm",
    "_frame_texts": "frame_texts",
    "_language_model": "language_model",
    "_positions": "positions",
    "_prepare": "prepare",
    "_project": "project",
    "_read": "read_prompt",
    "_states": "tower_states",
    "_tower": "tower",
    "_video_end": "video_end",
}
"""Methods that families of users may still define under these names."""


class VideoModel(Generates):
    """One checkpoint of one family.

    Attributes:
        name: As the user gave it.
        model: The stock transformers model.
        tokenizer: The stock tokenizer; it holds `<image>` as one token.
        normalization: Mean and deviation of the tower's input.
        chat: The chat format its prompts take, a key of `dyto.prompts.PROMPT_PAIRS`.
        image_size: Height and width to which frames are resized before the tower, pixels; where a family takes
            frames in their own aspect, what makes them of (height, width) in the source.
        num_patches: Visual tokens per frame, N; the most there can be where it depends on the frames.
        time_text: What is written before the tokens of each key frame, with `{seconds}` for its time; "" for nothing.
        rope_factor: How many times the original context may be used; 1 for no scaling.
        notices: What a reader of any of its answers should know.
    """

    image_size: FrameSize
    num_patches: int

    def __init_subclass__(cls, **more: Any) -> None:
        """Take the names that methods of a family had before 0.2.0, with a warning."""
        super().__init_subclass__(**more)
        for former, name in FORMER_NAMES.items():
            if former in vars(cls):
                warnings.warn(f"{cls.__name__}.{former} is called {name} now", DeprecationWarning, stacklevel=2)
                setattr(cls, name, vars(cls)[former])

    @abstractmethod
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """Encode frames, or any pictures, for a strategy.

        Args:
            images: Frames, or uint8 (H, W, 3) pictures of any size.
            attention_layer: Layer of the tower whose attention to the patches is wanted, too.

        Returns:
            Their features; patches are projected only when asked for. The attention is None where a family has none to
            give.

        Raises:
            ConfigError: No pictures, or the tower has no such layer.
        """

    def seeing_by(self, encode: Callable[..., FrameFeatures]) -> VideoModel:
        """The same model whose frames are encoded by another function, called like `encode`.

        Returns:
            A copy that shares all weights.
        """
        copied = copy.copy(self)
        setattr(copied, "encode", encode)  # noqa: B010 - instead of the method, for this copy alone
        return copied

    def account(self, tokens: VisualTokens, question: str, choices: Sequence[str] | None) -> Mapping[str, Any]:
        """What a model knows of an answer beyond its text, for a family that knows more.

        Args:
            tokens: The video.
            question: What was asked.
            choices: The options it had, if it had any.

        Returns:
            JSON-ready values, such as a "confidence"; none where there is nothing to say.
        """
        return {}

    def tower(self) -> Any:
        """The module of the tower."""
        return self.model.model.vision_tower

    @cached_property
    def _compiled_blocks(self) -> CompiledBlocks:
        return CompiledBlocks(self.tower())

    def compiled_tower(self) -> AbstractContextManager[None]:
        """Lets the layers of the tower run compiled inside a block; for one thread at a time.

        Compiling takes some seconds the first time, and again for frames of another shape or number. Features differ
        by rounding. Where torch cannot compile, or parts of the model lie on several devices, nothing changes.
        """
        possible = not spread_out(self.model) and can_compile(self.device.type)
        return self._compiled_blocks.running() if possible else nullcontext()

    @torch.inference_mode()
    def embed_text(self, text: str) -> Tensor:
        """(n, D) embeddings of the words of a text, in the space of the patches, for strategies that look at it."""
        written = token_ids(self.tokenizer, text, add_special_tokens=False).to(self.device)
        words: Tensor = self.model.get_input_embeddings()(written)
        return words
