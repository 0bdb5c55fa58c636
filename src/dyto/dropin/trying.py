"""The trial of a model without an adapter, before its calls are shortened."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import torch

from dyto.dropin import blocks
from dyto.dropin.calls import shorten
from dyto.dropin.captions import Captions
from dyto.dropin.others import OtherModel, undisturbed
from dyto.dropin.wrapped import BorrowedTokenizer
from dyto.errors import ConfigError, ModelError
from dyto.models.adapters.generic import StockVision
from dyto.models.generation.language import Encoded
from dyto.models.generation.tokenizing import token_ids
from dyto.models.loading.records import Record
from dyto.models.loading.templates import own_chat
from dyto.models.pixels import Normalization
from dyto.models.processing import one_tile
from dyto.models.stock import StockModel
from dyto.models.stock_classes import image_token_of
from dyto.models.trial import ASKED, pictures_of_trial, stock_call
from dyto.strategies import Concat
from dyto.strategies.calling import BoundStrategy

ROW_END = "image_break"
MARKS = ("vision_start", "vision_end", "image_start", "image_end", ROW_END)
"""Names under which processors and tokenizers have the tokens around a picture, and between its rows."""

logger = logging.getLogger(__name__)

_tried: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
"""For every model what came of the trial of its adapter, and under "block" that of the block."""


class _InMemory(Record):
    """A trial that is kept as long as its model."""

    def __init__(self, model: StockModel) -> None:
        self._kept = _tried.setdefault(model, {})

    def read(self) -> dict[str, Any] | None:
        return self._kept or None

    def write(self, values: Mapping[str, Any]) -> None:
        self._kept.update(values)


class BorrowedVision(StockVision):
    """A model with the tokenizer of somebody else, which must not get new tokens."""

    def tokenize(self, before: str, after: str) -> Encoded:
        """Turn the two sides of a prompt into ids one by one, because the tokenizer may have no `<image>`."""
        return Encoded(
            token_ids(self.tokenizer, before).to(self.device),
            token_ids(self.tokenizer, after, add_special_tokens=False).to(self.device),
        )


def wrap_other(model: StockModel, processor: Any, marks: frozenset[int]) -> OtherModel:
    """Wrap a stock model of a family without an adapter. The first time it reads a short prompt in several ways.

    Args:
        model: The stock model.
        processor: Its processor.
        marks: Ids of the marks around pictures that its config names.

    Raises:
        ConfigError: There is no processor with an image processor and a tokenizer.
        ModelError: The model reads something else in a block than alone.
    """
    name, config = type(model).__name__, model.config
    tokenizer, images = getattr(processor, "tokenizer", None), getattr(processor, "image_processor", None)
    if tokenizer is None or images is None:
        raise ConfigError(
            f"{name} of type {config.model_type!r} has no adapter, so it reads a short prompt first, but processor is "
            f"a {type(processor).__name__}, expected one with image_processor and tokenizer: pass processor="
        )
    with undisturbed(model), blocks.calling(model):
        adapter = BorrowedVision(
            name,
            model,
            BorrowedTokenizer(image_token_of(name, config, tokenizer), tokenizer),
            normalization=Normalization(),
            chat="vicuna",
            processor=one_tile(images),
            picture=_picture(name, processor),
            record=_InMemory(model),
        )
    video = [getattr(config, f"video_token_{end}", None) for end in ("id", "index")]
    named = {part: _id_of(processor, f"{part}_token") for part in MARKS}
    wrapped = OtherModel(
        model,
        adapter,
        frozenset({adapter.image_token, *(number for number in video if isinstance(number, int))}),
        Captions(marks.union(own for own in named.values() if own is not None), lambda: tokenizer, _written(adapter)),
        tokenizer,
        named[ROW_END],
    )
    kept = _tried[model]
    if "block" not in kept:
        kept["block"] = _difference(wrapped, adapter)
    if not kept["block"] <= adapter.trial.allowed:
        raise ModelError(
            f"{name} of type {config.model_type!r} has no adapter, and in a block its logits differ from its own by "
            f"{kept['block']:.3g} deviations, expected {adapter.trial.allowed:g} at most: ask with "
            "dyto.VideoQA(dyto.load_model(...)) instead"
        )
    return wrapped


def _picture(name: str, processor: Any) -> str:
    """Return a picture as the processor's chat template writes it; "" if it has no usable one."""
    template = getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None)
    if not isinstance(template, str):
        return ""
    try:
        return own_chat(name, template, processor.tokenizer).picture
    except ModelError as err:
        logger.info("%s", err)
        return ""


def _id_of(processor: Any, name: str) -> int | None:
    """Return the id of a token that a processor or its tokenizer has under a name; None if they have none."""
    token = getattr(processor, name, None) or getattr(processor.tokenizer, name, None)
    found: int | None = processor.tokenizer.get_vocab().get(token)
    return found


def _written(adapter: StockVision) -> tuple[str, ...]:
    """Return the text around a picture, where it is more than words."""
    special = adapter.tokenizer.all_special_tokens
    return tuple(mark.strip() for mark in adapter.marks if any(token in mark for token in special))


@torch.inference_mode()
def _difference(wrapped: OtherModel, adapter: StockVision) -> float:
    """Return how far the logits of an uncompressed prompt are from those of the stock model, in their deviations."""
    pictures, asked = pictures_of_trial(), adapter.tokenize(*ASKED)
    made = adapter.pixels(pictures)
    count = adapter.tokens_of(made, len(pictures)).shape[1]
    call, model = stock_call(adapter, made, count, asked.before, asked.after), wrapped.model
    with undisturbed(model), blocks.calling(model):
        expected = model(**call).logits
    shortened = shorten(wrapped, BoundStrategy(Concat()), call, None, generating=False)
    with blocks.calling(model), shortened.reading(wrapped):
        found = model(**shortened.call).logits
    return float((found - expected).abs().max() / (expected.std() or 1.0))
