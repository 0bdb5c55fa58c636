"""The interface of every model family.

A family implements the vision side (`encode`) and locates its parts; `LanguageSide` and `Generates` do the rest. Most
families have a tower for frames of one size: see `dyto.models.towers.FrameTower`.
"""

from __future__ import annotations

import copy
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.models.generation.compiling import CompiledBlocks, can_compile, spread_out
from dyto.models.generation.generating import Generates
from dyto.models.generation.language import Encoded
from dyto.models.generation.prefix import Prefix
from dyto.models.generation.tokenizing import token_ids
from dyto.models.pixels import Pictures
from dyto.tokens import NOT_ITS_WORLD
from dyto.video import FrameSize

if TYPE_CHECKING:
    from dyto.eye.base import Eye
    from dyto.strategies.calling import BoundStrategy
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
"""Old method names that user-defined families may still use, with the new names."""


class VideoModel(Generates):
    """One checkpoint of one family.

    Attributes:
        name: Name of the model, as given by the user.
        model: The stock transformers model.
        tokenizer: The stock tokenizer, with `<image>` as a single token.
        normalization: Mean and deviation of the tower's input.
        chat: Chat format of its prompts: a key of `dyto.prompts.PROMPT_PAIRS`, or that of its own chat template.
        image_size: Height and width of the frames for the tower, in pixels; for a family with native aspect ratio, a
            function from the source's (height, width) to these.
        num_patches: Number of visual tokens per frame, N; the largest number if it depends on the frames.
        time_text: Text before the tokens of each key frame, with `{seconds}` for its time; "" for none.
        rope_factor: Factor by which the original context may be extended; 1 for no scaling.
        notices: Notes for readers of any of its answers.
        knows: Tells from (T, H, W, 3) frames whether the model knows what they show; None for a model of the real
            world.
        can_cache: Whether encoded videos can be kept in a cache.
        gives_likelihoods: Whether `logits` can say how likely an answer is.
        answers_elsewhere: Whether another process answers, to which `pass_on` hands a question.
        eye: What compares its frames in the place of its own tower, see `dyto.models.eyes.seen_by`.
    """

    image_size: FrameSize
    num_patches: int
    knows: Callable[[Any], bool] | None = None
    eye: Eye | None = None
    can_cache: ClassVar[bool] = True
    gives_likelihoods: ClassVar[bool] = True
    answers_elsewhere: ClassVar[bool] = False

    def __init_subclass__(cls, **more: Any) -> None:
        """Accept the method names from before 0.2.0, with a warning."""
        super().__init_subclass__(**more)
        for former, name in FORMER_NAMES.items():
            if former in vars(cls):
                warnings.warn(f"{cls.__name__}.{former} was renamed: use {name}", DeprecationWarning, stacklevel=2)
                setattr(cls, name, vars(cls)[former])

    @abstractmethod
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """Encode frames, or any pictures, for a strategy.

        Args:
            images: Frames, or uint8 (H, W, 3) pictures of any size.
            attention_layer: Layer of the tower whose attention to the patches should be returned too.

        Returns:
            The features; patches are projected only on request. The attention is None if the family has none.

        Raises:
            ConfigError: There are no pictures, or the tower has no such layer.
        """

    def seeing_by(self, encode: Callable[..., FrameFeatures]) -> VideoModel:
        """Return a copy of the model that encodes frames with another function, called like `encode`.

        Returns:
            The copy, which shares all weights.
        """
        copied = copy.copy(self)
        setattr(copied, "encode", encode)  # noqa: B010 - replaces the method in this copy only
        return copied

    def accept(self, strategy: BoundStrategy) -> BoundStrategy:
        """Return a strategy unchanged if the model can take its tokens, as most models can.

        Raises:
            ConfigError: It cannot; the message names the strategy.
        """
        return strategy

    def finish(self, tokens: VisualTokens, frames: Frames) -> VisualTokens:
        """Return what the model reads of the frames that a strategy encoded: its tokens, in most families.

        If the model does not know what the frames show, a warning says so, see `VisualTokens.meaningful`.
        """
        if self.knows is None or self.knows(frames.data):
            return tokens
        return replace(tokens, warnings=(NOT_ITS_WORLD, *tokens.warnings))

    @property
    def reads_subtitles(self) -> bool:
        """Whether a prompt may hold what is said in the video; not for a model that knows only its own questions."""
        return self.knows is None

    def check_subtitles(self) -> None:
        """Check that a prompt may hold what is said in the video.

        Raises:
            ConfigError: The model reads only its own questions.
        """
        if not self.reads_subtitles:
            raise ConfigError(
                f"model {self.name} reads only its own kind of question, and no subtitles: name another model, or pass "
                "subtitles none (--subtitles none)"
            )

    @property
    def where(self) -> str:
        """Where the model computes: device and precision, or the address of an endpoint."""
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}"

    def account(self, tokens: VisualTokens, question: str, choices: Sequence[str] | None) -> Mapping[str, Any]:
        """Return what a model knows about an answer beyond its text, for a family that knows more.

        Args:
            tokens: The video.
            question: The question.
            choices: Its options, if any.

        Returns:
            JSON-ready values, such as a "confidence"; empty if there is nothing to say.
        """
        return {}

    def tower(self) -> Any:
        """Return the module of the tower."""
        return self.model.model.vision_tower

    @cached_property
    def _compiled_blocks(self) -> CompiledBlocks:
        return CompiledBlocks(self.tower())

    def compiled_tower(self) -> AbstractContextManager[None]:
        """Run the layers of the tower compiled inside a block, for one thread at a time.

        Compiling takes some seconds the first time, and again for frames of another shape or number. Features differ
        by rounding. If torch cannot compile, or the model is spread over several devices, nothing changes.
        """
        possible = not spread_out(self.model) and can_compile(self.device.type)
        return self._compiled_blocks.running() if possible else nullcontext()

    @torch.inference_mode()
    def embed_text(self, text: str) -> Tensor:
        """Return (n, D) embeddings of the words of a text, in the space of the patches, for strategies that use it."""
        written = token_ids(self.tokenizer, text, add_special_tokens=False).to(self.device)
        words: Tensor = self.model.get_input_embeddings()(written)
        return words
