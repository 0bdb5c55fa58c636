"""Adapters for models that this package did not load."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import transformers
from torch import Tensor

from dyto.dropin.captions import Captions
from dyto.dropin.inputs import PromptSample, PromptVideo, Visual
from dyto.dropin.qwen import PatchedFrames, deep_features
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.deepstack import with_deep
from dyto.models.families import FAMILIES, HALF
from dyto.models.mrope import QwenVL
from dyto.models.pixels import Normalization
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.stock_classes import family_of
from dyto.models.towers import FrameTower
from dyto.prompts import IMAGE
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import Encoder
from dyto.timing import Stopwatch

MARK_IDS = (
    "vision_start_token_id", "vision_end_token_id", "boi_token_index", "eoi_token_index", "boi_token_id",
    "eoi_token_id",
)  # fmt: skip
"""Where configs name the marks around pictures."""

TOWERS = {"siglip_vision_model": HALF}
"""Normalisation of pictures for towers shared by several families; CLIP's for the others."""

logger = logging.getLogger(__name__)


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

    def read(self, call: Mapping[str, Any]) -> list[Visual]:
        """Read the images and videos of a call."""
        return FAMILIES[self.model.config.model_type].read_call(self.adapter, call)

    def compress(self, strategy: BoundStrategy, sample: PromptSample) -> list[VisualTokens]:
        """Compress each video of a sample with a strategy."""
        question = self._question(sample) if sample.clips and strategy.uses_question else None
        return [self._compress(strategy, clip, question) for clip in sample.clips]

    def _compress(self, strategy: BoundStrategy, clip: PromptVideo, question: str | None) -> VisualTokens:
        vision: Any = self.adapter
        if isinstance(self.adapter, QwenVL):
            vision = PatchedFrames(self.adapter, clip.patches, clip.frames.data.shape[1:3])
        encoder = Encoder(vision, Stopwatch(self.adapter.device))
        tokens = with_deep(strategy(clip.frames, encoder, question), encoder.seen)
        return replace(tokens, warnings=(*tokens.warnings, *clip.frames.warnings))

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
        """Return the only required token."""
        return self._ids

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """Return the id of a token, or None if it is unknown."""
        if token in self._ids or self._tokenizer is None:
            return self._ids.get(token)
        found: int | None = self._tokenizer.convert_tokens_to_ids(token)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tokenize a text."""
        if self._tokenizer is None:
            raise ConfigError("this strategy reads words, but there is no tokenizer: pass processor=")
        return self._tokenizer(*args, **kwargs)


def wrap_model(model: Any, processor: Any) -> WrappedModel:
    """Find the adapter for a stock model.

    Args:
        model: A model of any class.
        processor: The stock processor, an image processor, or None.

    Raises:
        ConfigError: The model is not a stock model of a family whose input can be compressed.
    """
    config = getattr(model, "config", None)
    if isinstance(model, torch.nn.parallel.DataParallel | torch.nn.parallel.DistributedDataParallel):
        raise ConfigError(f"{type(model).__name__} calls copies of the model: pass its .module, and call that")
    model_type = getattr(config, "model_type", None)
    if isinstance(model, VideoModel):
        raise ConfigError(
            "this is dyto's own adapter, which compresses by itself: pass its .model, or ask with VideoQA"
        )
    if model_type not in FAMILIES or not isinstance(model, FAMILIES[model_type].stock_class):
        known = ", ".join(sorted(FAMILIES))
        if isinstance(model_type, str) and model_type not in FAMILIES and family_of(model_type):
            raise ConfigError(
                f"{type(model).__name__} of type {model_type!r} has no adapter here, so its own calls cannot be "
                f"shortened, expected a model of type {known}: ask with dyto.VideoQA(dyto.load_model(...)) instead, "
                "which needs no adapter"
            )
        raise ConfigError(
            f"{type(model).__name__} of type {model_type!r} would not be affected, expected one of transformers that "
            f"generates, of type {known}; of a wrapped one pass what is inside (PEFT: .get_base_model())"
        )
    ids = [getattr(config, f"{kind}_token_{end}", None) for kind in ("image", "video") for end in ("id", "index")]
    placeholders = frozenset(number for number in ids if isinstance(number, int))
    tokenizer = getattr(processor, "tokenizer", None)
    adapter: type[VideoModel] = FAMILIES[model_type].adapter_class
    built = adapter(
        type(model).__name__,
        model,
        cast(Tokenizer, BorrowedTokenizer(min(placeholders), tokenizer)),
        normalization=_normalization(model.config, processor),
        chat="vicuna",
    )
    if isinstance(built, FrameTower):
        built.take_finished()  # such pictures come from the processor
    marks = [getattr(config, name, None) for name in MARK_IDS]
    captions = Captions(
        frozenset(number for number in marks if isinstance(number, int)),
        functools.cache(lambda: tokenizer or _own_tokenizer(model)),
    )
    return WrappedModel(model, built, placeholders, captions, tokenizer)


def _own_tokenizer(model: StockModel) -> Any:
    """Return the tokenizer stored next to the model's weights, or None."""
    if not getattr(model, "name_or_path", ""):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(
            model.name_or_path, local_files_only=True, trust_remote_code=False
        )
    except Exception as err:  # noqa: BLE001 - any error means that there is no usable tokenizer
        logger.info("no tokenizer next to %s: %s", model.name_or_path, err)
        return None


def _normalization(config: Any, processor: Any) -> Normalization:
    images = getattr(processor, "image_processor", processor)
    if images is None:
        usual = FAMILIES[config.model_type].normalization or TOWERS.get(config.vision_config.model_type)
        return Normalization(*usual) if usual else Normalization()
    try:
        (r, g, b), (dr, dg, db) = (map(float, values) for values in (images.image_mean, images.image_std))
    except (AttributeError, TypeError, ValueError) as err:
        raise ConfigError(
            f"processor is a {type(processor).__name__}, expected one with image_mean and image_std: pass the "
            "processor that makes the inputs"
        ) from err
    return Normalization((r, g, b), (dr, dg, db))
