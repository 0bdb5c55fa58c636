"""Attention that each token of a frame receives in one layer of a Qwen tower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dyto.errors import ConfigError


@contextmanager
def watched(tower: Any, layer: int) -> Iterator[list[Tensor]]:
    """Compute inside the block the attention that patches receive in a layer, for all frames that pass the tower.

    A hook on this attention module computes it from the module's own input. The tower is otherwise unchanged, and the
    hook is removed at the end.

    Args:
        tower: The stock tower.
        layer: Index of the layer; negative counts from the end.

    Yields:
        A list that gets for every pass (n,) float32 sums over the queries, averaged over the heads, in the layer's
        order of the n patches. In a window layer, patches see only their window.

    Raises:
        ConfigError: There is no such layer.
    """
    if not -len(tower.blocks) <= layer < len(tower.blocks):
        raise ConfigError(f"attention layer {layer}, but the tower has layers 0 to {len(tower.blocks) - 1}")
    received: list[Tensor] = []

    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states = args[0] if args else kwargs["hidden_states"]  # (n, C)
        query, key, _ = module.qkv(states).reshape(len(states), 3, module.num_heads, -1).unbind(1)  # (n, h, d)
        cos, sin = (part.float()[:, None] for part in kwargs["position_embeddings"])  # (n, 1, d)
        query, key = (_rotate(part.float(), cos, sin).transpose(0, 1) for part in (query, key))  # (h, n, d)
        lengths = kwargs["cu_seqlens"].diff().tolist()  # of frames or windows
        pairs = zip(torch.split(query, lengths, 1), torch.split(key, lengths, 1), strict=True)
        received.append(torch.cat([_received(q, k, module.scaling) for q, k in pairs]))

    handle = tower.blocks[layer].attn.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield received
    finally:
        handle.remove()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions, in which each half of the features rotates the other."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def _received(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """Return (m,) received attention from (h, m, d), head by head, to hold a single matrix of scores."""
    heads = [(q @ k.T * scale).softmax(-1).sum(0) for q, k in zip(query, key, strict=True)]
    return torch.stack(heads).mean(0)
