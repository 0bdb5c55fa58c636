"""The common parts of all stock classes for pictures, found by name for the generic adapter."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor

from dyto.errors import ModelError
from dyto.models.families import Family
from dyto.models.generation.chats import OTHER_CHATS
from dyto.models.generation.layout import Run
from dyto.models.processing import accepted
from dyto.models.stock import StockModel, Tokenizer

NEEDS_TRANSFORMERS: dict[str, str] = {
    "apertus1p5": "5.24", "dots3_note": "5.23", "granite_docling": "5.23", "hy_v4_vl": "5.24",
    "hyperclovax_vision_v2": "5.18", "inkling2": "5.23", "inkling2_loop": "5.24", "lfm3_vl": "5.23",
    "minicpm_ocr": "5.21", "minicpmv4_7": "5.18", "mistral_large4": "5.22", "molmo2": "5.20", "muse_spark": "5.20",
    "nemotron_h_omni": "5.18", "unlimited_ocr": "5.20",
}  # fmt: skip
"""The first version of transformers with a picture class for a model type that 5.17 lacks."""

MARKS = (("vision_start", "vision_end"), ("image_start", "image_end"), ("boi", "eoi"), ("im_start", "im_end"))
"""Names of the marks around a picture in configs and tokenizers."""

WRITTEN = (("<|vision_start|>", "<|vision_end|>"), ("<|image_start|>", "<|image_end|>"), ("<img>", "</img>"))
"""Such marks as text, if only the vocabulary contains them."""

ENDS = ("token_id", "token_index", "id")

GRIDS = ("image_grid_thw", "image_grid_hw", "spatial_shapes", "target_sizes", "image_grids",
         "image_sizes")  # fmt: skip
"""Names under which processors return the rows and columns of a picture's patches."""


def family_of(model_type: str) -> Family | None:
    """Make a table row for a model type without one; None if transformers has no suitable class."""
    from transformers.models.auto.modeling_auto import (  # slow to import
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
    )

    names = {**MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, **MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES}
    named = names.get(model_type)
    stock = named if isinstance(named, str) or named is None else named[0]
    kind = None if stock is None else getattr(transformers, stock, None)
    if stock is None or kind is None:
        return None
    parts = [part for part in vars(sys.modules[kind.__module__]).values() if isinstance(part, type)]
    if not any(hasattr(part, "get_image_features") and hasattr(part, "get_placeholder_mask") for part in parts):
        return None
    return Family("dyto.models.adapters.generic:StockVision", stock, OTHER_CHATS.get(model_type))


def holder_of(name: str, model: StockModel) -> Any:
    """Return the part of a stock model that makes tokens of pictures and knows their placeholders.

    Raises:
        ModelError: No part does.
    """
    for part in model.modules():
        if all(hasattr(part, name) for name in ("get_image_features", "get_placeholder_mask", "language_model")):
            return part
    raise ModelError(
        f"model {name} is a {type(model).__name__}, expected a class with get_image_features, get_placeholder_mask and "
        "a language_model: see `dyto list models`"
    )


def marks_of(config: Any, tokenizer: Tokenizer) -> tuple[str, str]:
    """Find the marks around a picture in the config, the tokenizer or its vocabulary; "" for none."""
    for pair in MARKS:
        ids = [
            next((own for end in ENDS if (own := getattr(config, f"{name}_{end}", None)) is not None), None)
            for name in pair
        ]
        if None not in ids:
            return str(tokenizer.decode([ids[0]])), str(tokenizer.decode([ids[1]]))
        named = [getattr(tokenizer, f"{name}_token", None) for name in pair]
        if all(named):
            return str(named[0]), str(named[1])
    vocabulary = tokenizer.get_vocab()
    return next((pair for pair in WRITTEN if vocabulary.keys() >= set(pair)), ("", ""))


def patches_of(made: dict[str, Any]) -> tuple[str, tuple[int, int]]:
    """Return the name under which a processor gives patch grids, and the grid (rows, columns) of the first picture.

    Example:
        >>> import torch
        >>> patches_of({"target_sizes": torch.tensor([[8, 12]])}), patches_of({})
        (('target_sizes', (8, 12)), ('', (1, 1)))
    """
    name = next((name for name in GRIDS if made.get(name) is not None), "")
    told = made[name][0].flatten().tolist() if name else [1, 1]
    rows, cols = told[-2:] if len(told) < 4 else told[:2]
    return name, (int(rows), int(cols))


def grid_of(made: dict[str, Any], count: int) -> tuple[int, int]:
    """Return the grid of a picture's tokens: that of its patches, reduced; else a square, or one row.

    Example:
        >>> import torch
        >>> grid_of({"image_grid_thw": torch.tensor([[1, 8, 12]])}, 24), grid_of({}, 16), grid_of({}, 6)
        ((4, 6), (4, 4), (1, 6))
    """
    rows, cols = patches_of(made)[1]
    height = math.isqrt(round(count * rows / cols)) if cols else 1
    if height and count % height == 0 and height * cols == count // height * rows:
        return height, count // height
    return 1, count


def axes_of(
    rope: Callable[..., Any],
    runs: Sequence[Run],
    patch: Tensor,
    tokens: tuple[int, int],
    grid: tuple[str, list[int]],
    word: Tensor,
    image_token: int,
) -> Tensor:
    """Return positions of three axes of a video's tokens, as a stock class has them for all tokens of its key frames.

    Args:
        rope: Its `get_rope_index`.
        runs: The video.
        patch: (L,) of each visual token the patch of its frame whose place it takes.
        tokens: Rows and columns of the tokens of a whole frame.
        grid: The argument by which `rope` is told of the patches of a frame, and its value.
        word: (1,) id of a word, to stand before the video and behind it.
        image_token: Id of the placeholders.

    Returns:
        (3, V + 1) from 0; the last one is where a text goes on.
    """
    count, ids, kept = tokens[0] * tokens[1], [word], []
    for run in runs:
        place = sum(map(len, ids))
        kept.append(place + torch.arange(len(run.text), device=word.device))
        ids.append(run.text)
        if run.tokens.stop > run.tokens.start:
            kept.append(place + len(run.text) + patch[run.tokens])
            ids.append(word.new_full((count,), image_token))
    whole = torch.cat([*ids, word])[None]
    types = (whole == image_token).int()
    grids = word.new_tensor([grid[1]]).repeat(int(types.sum()) // count, 1)
    call = {"input_ids": whole, "mm_token_type_ids": types, grid[0]: grids}
    axes: Tensor = rope(**accepted(rope, call))[0][:, 0] - 1  # (3, 1 + whole + 1)
    kept.append(torch.tensor([whole.shape[1] - 1], device=word.device))
    return axes[:, torch.cat(kept)]
