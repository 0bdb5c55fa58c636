"""Adapters for models that this package did not load."""

from __future__ import annotations

import functools
import logging
from typing import Any, cast

import torch
import transformers

from dyto.dropin.captions import Captions
from dyto.dropin.trying import wrap_other
from dyto.dropin.wrapped import BorrowedTokenizer, WrappedModel
from dyto.errors import ConfigError
from dyto.models.base import VideoModel
from dyto.models.families import FAMILIES, HALF
from dyto.models.pixels import Normalization
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.stock_classes import family_of
from dyto.models.towers import FrameTower

MARK_IDS = (
    "vision_start_token_id", "vision_end_token_id", "boi_token_index", "eoi_token_index", "boi_token_id",
    "eoi_token_id", "image_start_token_id", "image_end_token_id", "image_start_id", "image_end_id",
    "visual_indicator_token_ids",
)  # fmt: skip
"""Where configs name the marks around pictures."""

TOWERS = {"siglip_vision_model": HALF}
"""Normalisation of pictures for towers shared by several families; CLIP's for the others."""

logger = logging.getLogger(__name__)


def wrap_model(model: object, processor: Any) -> WrappedModel:
    """Find the adapter for a stock model.

    Args:
        model: A model of any class.
        processor: The stock processor, an image processor, or None.

    Raises:
        ConfigError: The model is not a stock model of a family whose input can be compressed.
        ModelError: A family without an adapter did not pass its trial.
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
        other = family_of(model_type) if isinstance(model_type, str) and model_type not in FAMILIES else None
        if other is not None and isinstance(model, other.stock_class):
            return wrap_other(model, processor, _own_marks(config))
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
    captions = Captions(_own_marks(config), functools.cache(lambda: tokenizer or _own_tokenizer(model)))
    return WrappedModel(model, built, placeholders, captions, tokenizer)


def _own_marks(config: Any) -> frozenset[int]:
    """Return the ids of the marks around pictures that a config names."""
    told = [getattr(config, name, None) for name in MARK_IDS]
    marks = [number for own in told for number in (own if isinstance(own, list | tuple) else [own])]
    return frozenset(number for number in marks if isinstance(number, int))


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
