"""Caches that hold a shortened prompt, for calls that continue from them: the original prompt, and the cached one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from transformers import Cache

from dyto.dropin import blocks
from dyto.errors import ConfigError
from dyto.models.stock import StockModel

CACHES = ("cache", "past_key_values")
"""What transformers calls the cache: since 5.24, and before."""

LENGTH = "get_seq_length"


@dataclass(frozen=True)
class Kept:
    """The prompt in a cache.

    Attributes:
        ids: (B, L) original ids, with padding; -1 for ids that were not passed again.
        mask: (B, L) attention mask of the original ids.
        short: (B, L') ids of the shortened prompt.
        short_mask: (B, L') attention mask of the shortened prompt.
        then: (B,) position of the text that follows.
    """

    ids: Tensor
    mask: Tensor
    short: Tensor
    short_mask: Tensor
    then: Tensor

    @classmethod
    def nothing(cls, ids: Tensor) -> Kept:
        """Return the content of an empty cache with `rows` rows."""
        none, start = ids[:, :0], ids.new_zeros(len(ids))
        return cls(none, none, none, none, start)

    def and_text(self, ids: Tensor, mask: Tensor) -> Kept:
        """Return the content with a text appended, (B, b) ids and mask."""
        told = ids.clamp(min=0)
        return Kept(
            torch.cat([self.ids, ids], 1),
            torch.cat([self.mask, mask], 1),
            torch.cat([self.short, told], 1),
            torch.cat([self.short_mask, mask], 1),
            self.then + mask.sum(1),
        )

    def repeated(self, rows: int) -> Kept:
        """Repeat each row, as for beams and several answers.

        Raises:
            ConfigError: The new number of rows is not a multiple of the old one.
        """
        times, rest = divmod(rows, len(self.ids))
        if rest or not times:
            raise ConfigError(f"input_ids has {rows} rows, but the cache holds {len(self.ids)}: pass all of them")
        parts = {name: getattr(self, name).repeat_interleave(times, 0) for name in vars(self)}
        return Kept(**parts)


class Shut:
    """Replacement of a cache's `get_seq_length`, because a stock model must not count a shortened prompt.

    Outside a block, the prompt and the cache differ in length, and stock code would silently cut its input by the
    cache's length.
    """

    def __init__(self, cache: Any, model: StockModel | None, kept: Kept) -> None:
        self._cache, self.kept = ref(cache), kept
        self._model = (lambda: None) if model is None else ref(model)

    def __call__(self, layer_idx: int = 0) -> int:
        """Return the length, inside a block only."""
        cache, model = self._cache(), self._model()
        if cache is None or model is None or blocks.current(model) is None:
            raise ConfigError(
                "this cache was filled in a block that compresses, and holds a shortened prompt: continue from it "
                "inside a block, or start again without it"
            )
        return int(type(cache).get_seq_length(cache, layer_idx))

    def __deepcopy__(self, memo: dict[int, Any]) -> Shut:
        """Return the replacement for a copied cache."""
        return Shut(memo.get(id(self._cache()), self._cache()), self._model(), self.kept)


def cache_in(values: Mapping[str, Any]) -> Any:
    """Return the cache in the arguments or the result of a call, under any name; None if there is none."""
    return next((values[name] for name in CACHES if name in values.keys() and values[name] is not None), None)  # noqa: SIM118 - a result answers to its old name, with a warning


def cache_of(result: Any) -> Any:
    """Return the cache in the result of `forward` or `generate`; None if there is none."""
    if isinstance(result, tuple):
        return next((part for part in result if isinstance(part, Cache)), None)
    return cache_in(result) if isinstance(result, Mapping) else None


def kept_in(cache: Any) -> Kept | None:
    """Return the known content of a cache; None if it was not filled in a block, or is empty again."""
    shut = getattr(cache, "__dict__", {}).get(LENGTH)
    if not isinstance(shut, Shut):
        return None
    if not length_of(cache):
        del vars(cache)[LENGTH]
        return None
    return shut.kept


def length_of(cache: Any) -> int:
    """Return the number of filled places in a cache."""
    return 0 if cache is None else int(type(cache).get_seq_length(cache))


def keep(cache: Any, model: StockModel, kept: Kept) -> None:
    """Record the content of a cache."""
    vars(cache)[LENGTH] = Shut(cache, model, kept)


@contextmanager
def open_for_reading(cache: Any) -> Iterator[None]:
    """Let the model itself read the length of a cache."""
    shut = getattr(cache, "__dict__", {}).pop(LENGTH, None)
    try:
        yield
    finally:
        if shut is not None:
            vars(cache)[LENGTH] = shut


def split(call: Mapping[str, Any], kept: Kept, generating: bool) -> tuple[Kept, Tensor, Tensor]:
    """Split the ids of a call that continues from a cache.

    `generate` gets all ids from the beginning, or only new ones with a mask for all, as stock code passes them;
    `forward` gets only new ids.

    Args:
        call: Arguments of the call.
        kept: The prompt in the cache; the cache may also hold the answer.
        generating: Whether `generate` is called.

    Returns:
        The whole content of the cache, and (B, n) ids and mask of the new part.

    Raises:
        ConfigError: The ids or the mask do not match this cache.
    """
    ids, mask = call["input_ids"], call.get("attention_mask")
    kept = kept.repeated(len(ids))
    filled, (shortened, length) = length_of(cache_in(call)), (kept.short.shape[1], kept.ids.shape[1])
    answered = filled - shortened  # places after the prompt
    if answered < 0:
        raise ConfigError(
            f"the cache has {filled} places, but its shortened prompt has {shortened}: it was cut inside the prompt; "
            "start again without it"
        )
    if generating and (mask is None or mask.shape == ids.shape):
        if ids.shape[1] <= length + answered or not _begins(ids, kept):
            raise ConfigError(
                f"input_ids of shape {tuple(ids.shape)} was given with a cache, expected the {length + answered} ids "
                "that it holds and new ones behind them: pass the result of `generate`, with the next turn appended"
            )
        mask = torch.ones_like(ids) if mask is None else mask
        begun = kept.and_text(ids[:, length : length + answered], mask[:, length : length + answered])
        return begun, ids[:, length + answered :], mask[:, length + answered :]
    new = answered + ids.shape[1]
    if mask is None:
        mask = ids.new_ones(len(ids), new)
    elif mask.shape[1] not in (length + new, shortened + new):
        raise ConfigError(
            f"attention_mask is {mask.shape[1]} long, expected {length + new}: one place for every id so far and now"
        )
    mask = mask[:, mask.shape[1] - new :]
    return kept.and_text(ids.new_full((len(ids), answered), -1), mask[:, :answered]), ids, mask[:, answered:]


def _begins(ids: Tensor, kept: Kept) -> bool:
    """Return whether ids begin with the prompt in a cache, ignoring padding."""
    told = kept.mask.bool() & (kept.ids >= 0)
    return torch.equal(ids[:, : kept.ids.shape[1]][told.to(ids.device)], kept.ids[told].to(ids.device))
