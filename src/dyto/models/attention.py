"""Attention that each patch of a frame receives in one layer of a tower."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dyto.errors import ConfigError


def layer_at(layers: Sequence[Any], layer: int) -> int:
    """Return the place of a layer of a tower, from 0.

    Args:
        layers: The layers.
        layer: Index of the layer; negative counts from the end.

    Raises:
        ConfigError: There is no such layer.
    """
    if not -len(layers) <= layer < len(layers):
        raise ConfigError(f"attention layer {layer}, but the tower has layers 0 to {len(layers) - 1}")
    return range(len(layers))[layer]


def received_attention(x: Tensor, block: Any, has_cls: bool) -> Tensor:
    """Return the attention that patches receive in one layer of a tower, averaged over its heads.

    Args:
        x: (B, 1 + P or P, C) input of the layer.
        block: The layer.
        has_cls: True for the attention from CLS; False, for a tower without CLS, for the mean attention from all
            patches.

    Returns:
        (B, P) float32.
    """
    if hasattr(block, "attention"):  # InternVL
        attention, x = block.attention, block.layernorm_before(x)
        query, key = attention.q_norm(attention.q_proj(x)), attention.k_norm(attention.k_proj(x))
    else:
        attention, x = block.self_attn, block.layer_norm1(x)
        query, key = attention.q_proj(x), attention.k_proj(x)
    query, key = (y.reshape(*y.shape[:2], attention.num_heads, -1).transpose(1, 2).float() for y in (query, key))
    scale = query.shape[-1] ** -0.5
    if has_cls:
        scores = query[:, :, :1] @ key.transpose(2, 3) * scale  # (B, h, 1, n)
        return scores.softmax(-1).mean(1)[:, 0, 1:]
    paid = torch.zeros(x.shape[:2], device=x.device)  # (B, P)
    for frame, heads in enumerate(zip(query, key, strict=True)):  # one (P, P) at a time: P may be 4096
        for one, other in zip(*heads, strict=True):
            paid[frame] += (one @ other.T * scale).softmax(-1).mean(0) / len(heads[0])
    return paid


def mean_of_squares(attention: Tensor, grid: tuple[int, int]) -> Tensor:
    """Average attention over the square of patches behind each token.

    Args:
        attention: (B, P) attention of the patches of a square frame, in raster order.
        grid: Rows and columns of the tokens.

    Returns:
        (B, N).

    Example:
        >>> import torch
        >>> mean_of_squares(torch.arange(16.0)[None], (2, 2))
        tensor([[ 2.5000,  4.5000, 10.5000, 12.5000]])
    """
    side = math.isqrt(attention.shape[1])
    return F.avg_pool2d(attention.reshape(-1, 1, side, side), side // grid[0]).flatten(1)
