"""The words that a token can show, each a direction that tower and language model share from the start.

A token of a red ring on gray lies along "red", "ring" and "gray"; so do the embeddings of these words. The language
model then finds what a question names by likeness, and need not learn two languages at once. The directions have no
negative entries and no entry in common, so that a token merged by maximum or by mean shows what its parts showed.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from transformers import LlavaNextForConditionalGeneration

from dyto.models.adapters.tiny import GRID, build_config, vocabulary
from dyto.synthetic.world import BACKGROUND_NAMES, COLORS, KINDS, SHAPES

SIDES = ("top", "bottom", "left", "right")
WORDS: tuple[str, ...] = (*COLORS, *SHAPES, *BACKGROUND_NAMES, *SIDES)
"""Colours and shapes of objects, backgrounds, and the half of the picture that an object is in."""
ENTRIES = 6
"""Entries of an embedding that belong to one word."""
LENGTH = 3.0
"""Of every embedding of the untrained language model."""
ALIKE_LAYERS, ALIKE_HEADS = 3, 3
"""In how many layers, from the first, how many heads begin by attending to what is like their own token."""
SHARPNESS = 0.1
"""Deviation of the entries of their queries and keys."""
COPIED = 0.3
"""How much of what they attend to they add to their own token."""


@functools.lru_cache(maxsize=1)
def directions() -> Tensor:
    """(W, D) float32 unit vectors, one for each of `WORDS`.

    Example:
        >>> d = directions()
        >>> bool(torch.allclose(d @ d.T, torch.eye(len(WORDS)), atol=1e-6))
        True
    """
    found = torch.zeros(len(WORDS), build_config().text_config.hidden_size)
    for number, row in enumerate(found):
        row[number * ENTRIES : (number + 1) * ENTRIES] = ENTRIES**-0.5
    return found


@functools.lru_cache(maxsize=1)
def _of_kinds() -> Tensor:
    """(KINDS + 1, W): the words of each kind of object; the last row, of no object, is zero."""
    table = torch.zeros(len(KINDS) + 1, len(WORDS))
    for row, name in zip(table, KINDS, strict=False):
        for word in name.split():
            row[WORDS.index(word)] = 1
    return table


def shown_words(kinds: Tensor, backgrounds: Tensor) -> Tensor:
    """Which words patches show.

    Args:
        kinds: (B, 36) the kind of object in each patch, `len(KINDS)` for none; negative counts as none.
        backgrounds: (B, 36) the background behind each.

    Returns:
        (B, 36, W) float32, 1 for what is shown.
    """
    kinds = torch.where(kinds < 0, len(KINDS), kinds)
    words = _of_kinds().to(kinds.device)[kinds]  # (B, 36, W)
    words.scatter_(2, len(COLORS) + len(SHAPES) + backgrounds[..., None], 1.0)
    place = torch.arange(GRID * GRID, device=kinds.device)
    low, right = place // GRID >= GRID // 2, place % GRID >= GRID // 2
    sides = torch.stack([~low, low, ~right, right], 1)  # (36, 4)
    words[..., -len(SIDES) :] = sides * (kinds < len(KINDS))[..., None]
    return words


def teach_words(model: LlavaNextForConditionalGeneration, seed: int) -> None:
    """Prepare the untrained language model: embeddings along `WORDS`, and heads that look for likeness.

    All other embeddings are random, of the same length. Half of the heads of the first layers have equal queries
    and keys, and copy a part of what they find: "ring" in a question begins by fetching what tokens of a ring show.

    Args:
        model: The tiny model; its embeddings, its head and these heads of attention are set.
        seed: Of what is random.
    """
    table = model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(seed)
    start = torch.nn.functional.normalize(torch.randn(table.shape, generator=generator), dim=1)
    ids = {token: index for index, token in enumerate(vocabulary())}
    start[[ids[word] for word in WORDS]] = directions()
    with torch.no_grad():
        table.copy_(LENGTH * start)
        model.lm_head.weight.copy_(start)
        for layer in model.model.language_model.layers[:ALIKE_LAYERS]:
            _attend_alike(layer.self_attn, generator)


def _attend_alike(attention: Any, generator: torch.Generator) -> None:
    size = ALIKE_HEADS * attention.head_dim
    shape = size, attention.q_proj.in_features
    alike = SHARPNESS * torch.randn(shape, generator=generator)
    attention.q_proj.weight[:size] = attention.k_proj.weight[:size] = alike
    part = torch.linalg.qr(torch.randn(shape, generator=generator).T)[0].T  # (size, D), orthonormal rows
    attention.v_proj.weight[:size] = part
    attention.o_proj.weight[:, :size] = COPIED * part.T
