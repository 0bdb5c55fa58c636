"""The adapter of a model that was not loaded by this package."""

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
"""How pictures are normalised for a tower that several families use; for the others as for CLIP."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WrappedModel:
    """What is known about one model in somebody else's code.

    Attributes:
        model: The stock model.
        adapter: Its vision side.
        placeholders: Ids of the tokens that stand for images or videos.
        captions: Reads what stands between pictures.
        tokenizer: That of the processor, if it was given.
    """

    model: StockModel
    adapter: VideoModel
    placeholders: frozenset[int]
    captions: Captions
    tokenizer: Tokenizer | None = None

    @property
    def pad(self) -> int:
        """An id to fill up with; it is never attended to."""
        return int(self.model.config.get_text_config().pad_token_id or 0)

    def read(self, call: Mapping[str, Any]) -> list[Visual]:
        """The images and videos of a call."""
        return FAMILIES[self.model.config.model_type].read_call(self.adapter, call)

    def compress(self, strategy: BoundStrategy, sample: PromptSample) -> list[VisualTokens]:
        """Let a strategy compress each video of a sample."""
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
        """For as long as a shortened prompt is read: what the language model needs beside embeddings and positions.

        Args:
            visual: (B, n) bool, where visual tokens stand among what is read.
            tokens: Those of every video, row after row.
        """
        if isinstance(self.adapter, QwenVL):
            return deep_features(self.adapter, visual, tokens)
        return nullcontext()

    def _question(self, sample: PromptSample) -> str:
        """The text of a sample, for a strategy that looks at it."""
        if self.tokenizer is None:
            raise ConfigError("this strategy looks at the question, but there is no tokenizer: pass processor=")
        text = [number for number in sample.ids.tolist() if number not in self.placeholders]
        return str(self.tokenizer.decode(text, skip_special_tokens=True)).strip()


class BorrowedTokenizer:
    """Stands in for the tokenizer, which is somebody else's and must not be given new tokens.

    Args:
        image_id: What stands for `<image>`.
        tokenizer: To ask for the rest; None if there is none.
    """

    def __init__(self, image_id: int, tokenizer: Tokenizer | None = None) -> None:
        self._ids, self._tokenizer = {IMAGE: image_id}, tokenizer

    def get_vocab(self) -> dict[str, int]:
        """The one token that must be there."""
        return self._ids

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """The id of a token; None for an unknown one."""
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
        model: Of any class.
        processor: The stock processor, or an image processor, or None.

    Raises:
        ConfigError: It is no stock model of a family whose input can be compressed.
    """
    config = getattr(model, "config", None)
    if isinstance(model, torch.nn.parallel.DataParallel | torch.nn.parallel.DistributedDataParallel):
        raise ConfigError(f"{type(model).__name__} calls copies of the model: pass its .module, and call that")
    model_type = getattr(config, "model_type", None)
    if isinstance(model, VideoModel):
        raise ConfigError("this is a model of dyto, which compresses by itself: pass its .model, or ask with VideoQA")
    if model_type not in FAMILIES or not isinstance(model, FAMILIES[model_type].stock_class):
        known = ", ".join(sorted(FAMILIES))
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
    """The tokenizer that lies beside the model's weights; None if there is none."""
    if not getattr(model, "name_or_path", ""):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(
            model.name_or_path, local_files_only=True, trust_remote_code=False
        )
    except Exception as err:  # noqa: BLE001 - whatever is the matter with the folder, there is no tokenizer
        logger.info("no tokenizer beside %s: %s", model.name_or_path, err)
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
