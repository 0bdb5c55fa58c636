"""Greedy answers step by step: what `generate` of transformers writes, without preparations for other ways to write.

A step of a small model takes a few milliseconds on a CPU, and stock `generate` adds half of that again: it copies and
checks configs, reads signatures, and updates inputs that these answers do not have.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from dyto.models.generation.prefix import Batch
from dyto.models.generation.states import growing, ignores_padding
from dyto.models.loading.versions import cache_argument
from dyto.models.stock import StockModel

Processor = Callable[[Tensor, Tensor], Tensor]
Criterion = Callable[[Tensor, Any], Tensor]

INPUTS = frozenset(("inputs_embeds", "input_ids", "attention_mask", "position_ids", "use_cache", "logits_to_keep"))
"""What a stock model must take for these steps."""


def can_step(model: StockModel, batch: Batch) -> bool:
    """Return whether answers can be written here: places are counted, and attention sees all of them.

    Args:
        model: The stock model.
        batch: The questions.
    """
    return batch.positions is None and ignores_padding(batch.cache) and _inputs(type(model)) >= INPUTS


@cache
def _inputs(kind: Any) -> frozenset[str]:
    """Return the names of a stock model's inputs."""
    return frozenset(inspect.signature(kind.forward).parameters)


def write_greedily(
    model: StockModel,
    batch: Batch,
    *,
    max_new_tokens: int,
    min_new_tokens: int = 0,
    ends: Sequence[int],
    pad: int,
    processors: Sequence[Processor],
    stops: Sequence[Criterion],
) -> Tensor:
    """Write the likeliest token at every step, as stock `generate` does with the same inputs.

    Args:
        model: The stock model.
        batch: The questions after their prefixes.
        max_new_tokens: Largest number of tokens in an answer.
        min_new_tokens: Number of tokens before which none ends.
        ends: Tokens that end an answer.
        pad: Token that follows in the rows that have ended.
        processors: Logits processors, in their order.
        stops: Stopping criteria.

    Returns:
        (Q, n) ids of the answers.
    """
    mask, kept = batch.mask, growing(batch.cache)
    places = kept.get_seq_length()
    seen = (mask.cumsum(1) - 1).masked_fill(mask == 0, 0)  # (Q, P + S)
    positions = seen[:, places:]  # (Q, S)
    padded = not bool(mask.all())  # without padding there is no mask, and attention is faster
    ids = mask.new_zeros(len(mask), 0)  # (Q, n)
    going = torch.ones(len(mask), dtype=torch.bool, device=mask.device)
    ending = torch.tensor(list(ends), dtype=ids.dtype, device=mask.device)
    fed: dict[str, Tensor] = {"inputs_embeds": batch.questions}
    while True:
        logits: Tensor = model(
            **fed,
            attention_mask=mask if padded else None,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **cache_argument(model, kept),
        ).logits
        scores = logits[:, -1].float()  # (Q, V)
        if ids.shape[1] < min_new_tokens:
            scores = scores.index_fill(1, ending.to(scores.device), -torch.inf)
        for process in processors:
            scores = process(ids, scores)
        tokens = scores.argmax(-1).to(ids.device).where(going, ids.new_tensor(pad))  # (Q,)
        ids = torch.cat([ids, tokens[:, None]], 1)
        going = going & ~torch.isin(tokens, ending)
        for stop in stops:
            going = going & ~stop(ids, None)
        if ids.shape[1] == max_new_tokens or not bool(going.any()):
            return ids
        fed = {"input_ids": tokens[:, None]}
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        positions = positions[:, -1:] + 1
