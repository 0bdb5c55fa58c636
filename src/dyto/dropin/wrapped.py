"""A model in somebody's own code, and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor

from dyto.dropin.arguments import LAYOUT
from dyto.dropin.captions import Captions
from dyto.dropin.inputs import PIXELS, PromptSample, PromptVideo, Visual
from dyto.dropin.qwen import PatchedFrames, deep_features, positions_of
from dyto.dropin.splice import PromptRow
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.deepstack import with_deep
from dyto.models.families import FAMILIES
from dyto.models.mrope import QwenVL
from dyto.models.stock import StockModel, Tokenizer
from dyto.prompts import IMAGE
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import Encoder
from dyto.timing import Stopwatch


@dataclass(frozen=True)
class WrappedModel:
    """The known facts about a model in a user's own code.

    Attributes:
        model: The stock model.
        adapter: Adapter for its vision side.
        placeholders: Placeholder ids of images or videos.
        captions: Reader of the text between pictures.
        tokenizer: The processor's tokenizer, if it was given.
    """

    model: StockModel
    adapter: VideoModel
    placeholders: frozenset[int]
    captions: Captions
    tokenizer: Tokenizer | None = None

    @property
    def pad(self) -> int:
        """Padding id, which is never attended to."""
        return int(self.model.config.get_text_config().pad_token_id or 0)

    @property
    def told_of_pixels(self) -> frozenset[str]:
        """Names of the arguments that hold or describe pixels."""
        return frozenset((*PIXELS, *LAYOUT))

    @property
    def has_axes(self) -> bool:
        """Whether positions have three axes."""
        return isinstance(self.adapter, QwenVL)

    @property
    def sees_both_ways(self) -> bool:
        """Whether the tokens of a picture attend to each other in both directions."""
        return FAMILIES[self.model.config.model_type].sees_both_ways

    def read(self, call: Mapping[str, Any]) -> list[Visual]:
        """Read the images and videos of a call."""
        return FAMILIES[self.model.config.model_type].read_call(self.adapter, call)

    def embed(self, ids: Tensor) -> Tensor:
        """Return (..., D) embeddings of the text of a prompt, as the language model reads them."""
        embeds: Tensor = self.model.get_input_embeddings()(ids.to(self.adapter.device))
        return embeds

    def positions_of(self, row: PromptRow, tokens: Sequence[VisualTokens]) -> tuple[Tensor, int]:
        """Return (n, 3) positions of a shortened row on three axes, and the position of the text that follows."""
        return positions_of(cast(QwenVL, self.adapter), row, tokens)

    def compress(self, strategy: BoundStrategy, sample: PromptSample) -> list[VisualTokens]:
        """Compress each video of a sample with a strategy."""
        question = self._question(sample) if sample.clips and strategy.uses_question else None
        return [self._compress(strategy, clip, question) for clip in sample.clips]

    def _compress(self, strategy: BoundStrategy, clip: PromptVideo, question: str | None) -> VisualTokens:
        encoder = Encoder(self.vision_of(clip), Stopwatch(self.adapter.device))
        tokens = with_deep(strategy(clip.frames, encoder, question), encoder.seen)
        return replace(tokens, warnings=(*tokens.warnings, *clip.frames.warnings))

    def vision_of(self, clip: PromptVideo) -> Any:
        """Return what encodes the frames of a video for a strategy."""
        if isinstance(self.adapter, QwenVL):
            return PatchedFrames(self.adapter, clip.patches, clip.frames.data.shape[1:3])
        return self.adapter

    def reading(self, visual: Tensor, tokens: list[VisualTokens]) -> AbstractContextManager[None]:
        """Provide what the language model needs besides embeddings and positions while it reads a shortened prompt.

        Args:
            visual: (B, n) bool, where the ids are visual tokens.
            tokens: The tokens of every video, row after row.
        """
        if isinstance(self.adapter, QwenVL):
            return deep_features(self.adapter, visual, tokens)
        return nullcontext()

    def _question(self, sample: PromptSample) -> str:
        """Return the text of a sample, for a strategy that reads it."""
        if self.tokenizer is None:
            raise ConfigError("this strategy reads the question, but there is no tokenizer: pass processor=")
        text = [number for number in sample.ids.tolist() if number not in self.placeholders]
        return str(self.tokenizer.decode(text, skip_special_tokens=True)).strip()


class BorrowedTokenizer:
    """Substitute for the user's tokenizer, which must not get new tokens.

    Args:
        image_id: Id of `<image>`.
        tokenizer: Tokenizer for everything else; None if there is none.
    """

    def __init__(self, image_id: int, tokenizer: Tokenizer | None = None) -> None:
        self._ids, self._tokenizer = {IMAGE: image_id}, tokenizer

    def get_vocab(self) -> dict[str, int]:
        """Return all tokens."""
        return {**({} if self._tokenizer is None else self._tokenizer.get_vocab()), **self._ids}

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """Return the id of a token, or None if it is unknown."""
        if token in self._ids or self._tokenizer is None:
            return self._ids.get(token)
        found: int | None = self._tokenizer.convert_tokens_to_ids(token)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_tokenizer"], name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tokenize a text."""
        if self._tokenizer is None:
            raise ConfigError("this strategy reads words, but there is no tokenizer: pass processor=")
        return self._tokenizer(*args, **kwargs)
