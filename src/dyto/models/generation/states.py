"""The memory of a language model: keys and values, and the states of convolutions and recurrences.

A cache is a list of layers, possibly of several kinds: those that keep the keys and values
of all places, those that keep a window of them, and those of linear attention and state space models, which keep
one state for any length. All hold tensors whose first axis is the row of the batch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, DynamicLayer

BY_PLACE = ("keys", "values")
"""Tensors with one entry per place, on the last axis but one."""

KNOWN = (*BY_PLACE, "conv_states", "recurrent_states")
"""Tensors in the layers of transformers, for attention (sliding or not) and for recurrences."""

Held: TypeAlias = "dict[tuple[str, int | None], Tensor]"


def tensors_of(layer: Any) -> Held:
    """Yield all tensors in a layer of a cache, by attribute and, for a dict, by its key."""
    return {
        (name, key): part
        for name, value in vars(layer).items()
        for key, part in (value.items() if isinstance(value, dict) else [(None, value)])
        if isinstance(part, Tensor) and part.ndim
    }


def bytes_of(cache: DynamicCache) -> int:
    """Return the size in bytes of everything in a cache.

    Example:
        >>> cache = DynamicCache()
        >>> _ = cache.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4), 0)
        >>> bytes_of(cache)
        320
    """
    return sum(part.nbytes for layer in cache.layers for value in vars(layer).values() for part in _tensors_in(value))


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield all tensors in a value but single numbers: itself, or in lists, tuples and dicts of any depth."""
    if isinstance(value, Tensor):
        if value.ndim:
            yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors_in(part)


def release_unused(cache: DynamicCache) -> None:
    """Free memory that a cache holds but does not use: a window is a part of the tensor it was cut from.

    Afterwards `bytes_of` says what the cache really takes.
    """
    for layer in cache.layers:
        for (name, key), part in tensors_of(layer).items():
            if part.untyped_storage().nbytes() > part.nbytes:
                if key is None:
                    setattr(layer, name, part.clone(memory_format=torch.contiguous_format))
                else:
                    getattr(layer, name)[key] = part.clone(memory_format=torch.contiguous_format)


def ignores_padding(cache: DynamicCache) -> bool:
    """Return whether masked places change nothing, wherever they are.

    In a window they displace others, and a recurrence forgets as it passes them.
    """
    return all(type(layer) is DynamicLayer or not tensors_of(layer) for layer in cache.layers)


def can_stand_together(cache: DynamicCache) -> bool:
    """Return whether rows of a cache can be joined; rows of an unknown kind are read one by one."""
    return all(name in KNOWN for layer in cache.layers for name, _ in tensors_of(layer))


def side_by_side(caches: Sequence[DynamicCache]) -> DynamicCache:
    """Put caches of one row each into one of Q rows; the originals stay unchanged.

    Keys and values of shorter texts are padded on the left. States have no length and are copied. Nothing can be taken
    back out of a recurrence, so a question must never be read into a state that another question needs.

    Args:
        caches: At least one; other attributes, such as the number of places seen, come from the longest.
    """
    longest = max(caches, key=lambda cache: cache.get_seq_length())
    joined = copy.copy(longest)
    joined.layers = [_apart(layer) for layer in longest.layers]
    if len(caches) == 1:
        return joined
    alike = all(cache is longest for cache in caches)
    for number, layer in enumerate(joined.layers):
        for (name, key), own in tensors_of(layer).items():
            if alike and type(layer) is DynamicLayer:
                setattr(layer, name, own.expand(len(caches), *own.shape[1:]))
                continue
            rows = list(_rows(caches, number, name, key))
            if name in BY_PLACE:
                places = own.shape[2]
                rows = [F.pad(row, (0, 0, places - row.shape[2], 0)) for row in rows]  # (1, h, places, d)
            if key is None:
                setattr(layer, name, torch.cat(rows))
            else:
                getattr(layer, name)[key] = torch.cat(rows)
    return joined


def _apart(layer: Any) -> Any:
    """Copy a layer so that reading on changes only the copy.

    A plain layer puts longer keys and values in the place of its own, and so may share them; others write into theirs.
    """
    return copy.copy(layer) if type(layer) is DynamicLayer else copy.deepcopy(layer)


def _rows(caches: Sequence[DynamicCache], number: int, name: str, key: int | None) -> Iterator[Tensor]:
    """Return the tensors of all caches in one place of one layer."""
    for cache in caches:
        yield tensors_of(cache.layers[number])[name, key]


SPARE_PLACES = 32
"""Places for which a growing layer has room when it is copied."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of plain attention with room for further ones, which are copied only when it is used up.

    A stock layer copies all of its keys and values at every step of an answer.

    Args:
        layer: A plain layer to go on from; it stays unchanged.

    Example:
        >>> layer = DynamicLayer()
        >>> _ = layer.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4))
        >>> keys, values = GrowingLayer(layer).update(torch.ones(3, 2, 1, 4), torch.ones(3, 2, 1, 4))
        >>> keys.shape, keys[:, 0, :, 0].sum(), layer.get_seq_length()
        (torch.Size([3, 2, 6, 4]), tensor(3.), 5)
    """

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.__dict__.update(vars(layer))
        self._held: dict[str, Tensor] = {}

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add keys and values (Q, h, n, d), and return all of them; a single row before may go on as Q."""
        for name, new in zip(BY_PLACE, (key_states, value_states), strict=True):
            before: Tensor = getattr(self, name)  # (Q or 1, h, P, d)
            start, end = before.shape[2], before.shape[2] + new.shape[2]
            if name not in self._held or end > self._held[name].shape[2]:
                self._held[name] = new.new_empty(*new.shape[:2], end + SPARE_PLACES, new.shape[3])
                self._held[name][:, :, :start] = before
            self._held[name][:, :, start:end] = new
            setattr(self, name, self._held[name][:, :, :end])
        return self.keys, self.values


def growing(cache: DynamicCache) -> DynamicCache:
    """Return a cache of plain layers with room for an answer; the original stays unchanged.

    Args:
        cache: A cache that `ignores_padding`.
    """
    grown = copy.copy(cache)
    grown.layers = [GrowingLayer(layer) if tensors_of(layer) else layer for layer in cache.layers]
    return grown
