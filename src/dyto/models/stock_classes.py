"""The common parts of all stock classes for pictures, found by name for the generic adapter."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor

from dyto.errors import ModelError
from dyto.features import VisualTokens
from dyto.models.families import Family
from dyto.models.generation.chats import OTHER_CHATS, OTHER_MARKS
from dyto.models.generation.layout import TextRun
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


def image_token_of(name: str, config: Any, tokenizer: Tokenizer) -> int:
    """Return the id of the placeholders of a picture, which a config names.

    Raises:
        ModelError: It names none, or one that the tokenizer lacks.
    """
    named = [getattr(config, f"image_{end}", None) for end in ("token_id", "token_index", "patch_id")]
    found = next((own for own in named if isinstance(own, int)), None)
    if found is None or found not in tokenizer.get_vocab().values():
        raise ModelError(
            f"config.json of model {name} says image_token_id = {found}, expected the id of a token of its tokenizer, "
            "which stands for a picture: download it again, or use another checkpoint"
        )
    return found


def tokens_of(name: str, holder: Any, made: dict[str, Any], count: int) -> Tensor:
    """Return the (B, N, D) tokens that a stock class makes of the pixels of B pictures.

    Args:
        name: Name of the model, for errors.
        holder: The part of the model that makes them.
        made: The pixels, and what else its image processor returns.
        count: Number of pictures, B.

    Raises:
        ModelError: The pictures have different numbers of tokens.
    """
    features = holder.get_image_features(**accepted(holder.get_image_features, made))
    features = getattr(features, "pooler_output", features)
    if not isinstance(features, Tensor):
        features = torch.cat([part.flatten(0, -2) for part in features])
    features = features.flatten(0, -2)  # (B * N, D)
    if len(features) % count:
        raise ModelError(
            f"model {name} makes {len(features)} tokens of {count} pictures, expected equally many of each: "
            "it cuts pictures into tiles, or packs them; write an adapter as docs/families.md describes"
        )
    return features.view(count, -1, features.shape[-1])


def mark_embeddings(holder: Any, ids: Tensor, words: Tensor) -> Tensor:
    """Return (n, D) embeddings of text ids, of marks those that a stock class looks up in a table of their own.

    Args:
        holder: The part of the model that makes tokens of pictures; Gemma 3n's `embed_vision` has such a table.
        ids: (n,) text ids.
        words: (n, D) their embeddings in the table of words.
    """
    table = getattr(holder, "embed_vision", None)
    is_mark = ids >= getattr(table, "vocab_offset", math.inf)
    if table is None or not is_mark.any():
        return words
    return words.index_put((is_mark,), table(input_ids=ids[is_mark]).to(words))


def marks_around(picture: str, image_token: int, config: Any, tokenizer: Tokenizer) -> tuple[str, str]:
    """Return the text before and after the tokens of a picture, as a processor writes it.

    Args:
        picture: A picture in the chat template, including its placeholder; "" if it has none.
        image_token: Id of the placeholders.
        config: Config of the model.
        tokenizer: Its tokenizer.
    """
    placeholder, (start, end) = str(tokenizer.decode([image_token])), marks_of(config, tokenizer)
    before, found, after = picture.partition(placeholder)
    if not found:  # the processor replaces another text
        text = picture.strip()
        before, _, after = picture.partition(text) if text else ("", "", "")
    return (before, after) if before.strip() and after.strip() else (before + start, end + after)


def marks_of(config: Any, tokenizer: Tokenizer) -> tuple[str, str]:
    """Find the marks around a picture in the config, the tokenizer or its vocabulary; "" for none."""
    vocabulary = tokenizer.get_vocab()
    known = OTHER_MARKS.get(str(getattr(config, "model_type", "")))
    if known and all(mark in vocabulary for mark in re.findall(r"<[^<>]+>", "".join(known))):
        return known
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
    runs: Sequence[TextRun],
    patch: Tensor,
    tokens: Sequence[tuple[int, int]],
    grid: tuple[str, int],
    word: Tensor,
    image_token: int,
) -> Tensor:
    """Return positions of three axes of a text with videos, as a stock class has them for all tokens of key frames.

    Args:
        rope: Its `get_rope_index`.
        runs: The text, and the visual tokens that follow each part.
        patch: (L,) of each visual token the patch of its frame whose place it takes.
        tokens: For each run, rows and columns of the tokens of a whole frame.
        grid: The argument that tells `rope` of the patches of a frame, and how many are along the side of a token.
        word: (1,) id of a word, to stand before the text and behind it.
        image_token: Id of the placeholders.

    Returns:
        (3, V + 1) from 0; the last one is where a text goes on.
    """
    ids, kept, shapes = [word], [], []
    for run, size in zip(runs, tokens, strict=True):
        place = sum(map(len, ids))
        kept.append(place + torch.arange(len(run.text), device=word.device))
        ids.append(run.text)
        if run.tokens.stop > run.tokens.start:
            kept.append(place + len(run.text) + patch[run.tokens])
            ids.append(word.new_full((size[0] * size[1],), image_token))
            patches = [side * grid[1] for side in size]
            shapes.append([1, *patches] if grid[0] == GRIDS[0] else patches)
    whole = torch.cat([*ids, word])[None]
    types = (whole == image_token).int()
    call = {"input_ids": whole, "mm_token_type_ids": types, grid[0]: word.new_tensor(shapes)}
    axes: Tensor = rope(**accepted(rope, call))[0][:, 0] - 1  # (3, 1 + whole + 1)
    kept.append(torch.tensor([whole.shape[1] - 1], device=word.device))
    return axes[:, torch.cat(kept)]


def patches_in(name: str, videos: Sequence[VisualTokens]) -> Tensor:
    """Return the (L,) patches whose places the tokens of some videos take.

    Raises:
        ModelError: The tokens do not state them.
    """
    try:
        return torch.cat([torch.from_numpy(video.patch) for video in videos])
    except ValueError as err:
        raise ModelError(f"model {name} needs the places of tokens in their frames, but {err}") from err
